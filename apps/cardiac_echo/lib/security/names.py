"""Names that may reach a file system, anywhere in a request."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from lib.security.audit_entry import note_claim
from lib.server.errors import refused

NAMES = frozenset(
    {
        *("image", "image_id", "images", "id", "label", "label_id", "label_tag", "tag"),
        *("session_id", "session", "model", "strategy", "method", "patient", "version"),
    }
)
"""Parameters, in a query or in JSON, that become part of a file's path."""

_LONGEST = 255
_DEPTH = 50
_MAX_VALUES = 50_000
_MAX_FIELDS = 1000


def is_path(name: str) -> bool:
    r"""Return whether a name could leave its folder, or is invalid for a file.

    Percent signs are decoded repeatedly, as programs between client and server may do.

    Examples
    --------
    >>> is_path("patient0001_4CH_ED"), is_path("../labels/x"), is_path("/etc/passwd"), is_path("..")
    (False, True, True, True)
    >>> is_path("%2e%2e%2fx"), is_path("%252e%252e"), is_path("100%"), is_path("..\\x"), is_path("a\0b")
    (True, True, False, True, True)
    """
    decoded = unquote(name)
    while len(name.encode("utf-8", "surrogatepass")) <= _LONGEST and not _leads_out(name):
        if decoded == name:
            return False
        name, decoded = decoded, unquote(decoded)
    return True


def _leads_out(name: str) -> bool:
    return name in {".", ".."} or any(letter in "/\\\x7f" or ord(letter) < 32 for letter in name)


def harmless(name: str) -> str:
    """Return a file's name reduced to ASCII letters, digits and ``._-``, for messages.

    Examples
    --------
    >>> harmless("Müller 4CH.nii.gz"), harmless("..")
    ('M_ller_4CH.nii.gz', 'upload')
    """
    # Shortened at its front, as the end says what the file is.
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-200:].lstrip(".") or "upload"


def check_name(key: str, name: str) -> None:
    """Refuse a name that `is_path`."""
    if is_path(name):
        raise refused(400, "bad_name", f"{key}={name[:80]!r}: expected a name, not a path")


def strict_json(text: str | bytes, *, what: str) -> Any:
    """Parse standard JSON, and refuse names in it that are paths.

    Python accepts NaN, Infinity, invalid Unicode and endless nesting, which cannot be answered or stored.
    Commas and brackets are counted first, as an upper bound of the values.

    Parameters
    ----------
    what : str
        Where the text stands in the request, for messages.
    """
    if _most_values(text) > _MAX_VALUES:
        raise refused(422, "bad_params", f"{what}: expected JSON of at most {_MAX_VALUES} values")
    try:
        value = json.loads(text or "{}", parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise refused(422, "bad_params", f"{what}: expected a JSON object ({_reason(error)})") from None
    for key, name in _texts(value, what):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise refused(422, "bad_params", f"{what}: expected Unicode text") from None
        if key in NAMES:
            check_name(key, name)
    note_claim(value)
    return value


def _most_values(text: str | bytes) -> int:
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return sum(content.count(mark) for mark in (b",", b"[", b"{")) + 1


def _texts(value: Any, what: str) -> Iterator[tuple[str, str]]:
    """Yield every key and text with its own key, at any depth."""
    waiting = [("", value, 0)]
    while waiting:
        key, text, depth = waiting.pop()
        if depth > _DEPTH:
            raise refused(422, "bad_params", f"{what}: expected JSON nested at most {_DEPTH} deep")
        if isinstance(text, str):
            yield key, text
        elif isinstance(text, dict):
            if len(text) > _MAX_FIELDS:
                raise refused(
                    422, "bad_params", f"{what}: expected at most {_MAX_FIELDS} fields in an object"
                )
            for name, inner in text.items():
                yield "", name
                waiting.append((name, inner, depth + 1))
        elif isinstance(text, list):
            waiting.extend((key, inner, depth + 1) for inner in text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error) if isinstance(error, json.JSONDecodeError) else str(error)[:80]
