"""``Info*.cfg`` files, as CAMUS and ACDC carry them: lines of ``key: value``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cardiolabel.errors import DatasetError
from cardiolabel.io.text_files import decoded

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class InfoCfg:
    """Content of a file, with line numbers; unknown keys are ignored."""

    path: Path
    values: dict[str, tuple[str, str]]

    def value(self, key: str, understand: Callable[[str], _Value], expected: str) -> _Value | None:
        """Return a key's value; None where the file has no such key or leaves it blank.

        Parameters
        ----------
        key : str
        understand : callable
            Turns the text into the value, or raises ValueError.
        expected : str
            What a person should have typed, for the message.

        Raises
        ------
        DatasetError
            The value cannot be understood; file and line are named.
        """
        text, where = self.values.get(key, ("", ""))
        if not text:
            return None
        try:
            return understand(text)
        except ValueError as error:
            raise DatasetError(f"{where}: {key} is {text!r}; expected {expected}") from error

    def required(self, key: str, understand: Callable[[str], _Value], expected: str) -> _Value:
        """Return a key's value, as `value`; an error if it is missing."""
        value = self.value(key, understand, expected)
        if value is None:
            raise DatasetError(f"{self.path}: no {key}; expected a line '{key}: ' with {expected}")
        return value


def read_info_cfg(path: Path) -> InfoCfg:
    """Read an ``Info*.cfg``.

    Raises
    ------
    DatasetError
        It cannot be read, or a line is no ``key: value``; the file and line are named.
    """
    values: dict[str, tuple[str, str]] = {}
    for number, line in _lines(path):
        key, colon, value = line.partition(":")
        where = f"{path}, line {number}"
        if not colon or not key.strip():
            raise DatasetError(f"{where}: {line!r}; expected a line like 'ED: 1'")
        if key.strip() in values:
            raise DatasetError(f"{where}: a second {key.strip()}; expected one")
        values[key.strip()] = (value.strip(), where)
    if not values:
        raise DatasetError(f"{path}, line 1: empty; expected lines like 'ED: 1'")
    return InfoCfg(path, values)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, numbered from 1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        lines = decoded(content).splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: expected plain text") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
