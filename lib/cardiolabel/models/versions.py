"""Versions of models: all of them are kept, and one of each model is served.

The shipped files of a model are its version 0. Others lie in ``versions/<name>/<number>`` of the folder of
published models; the file ``served`` beside them names the version in use. The files of a version never
change, so a process that loads one while another is published gets a complete model.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from cardiolabel.errors import CorruptWeightsError, InputError, ModelError, StaleModelError
from cardiolabel.io.files import atomic, copy_synced, sync_folder
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.networks.weights import ModelCard, read_card, read_weights
from cardiolabel.system.file_cache import FileState, file_state

FOLDER = "versions"
SUFFIXES = (".safetensors", ".json")
"""Endings of weights and card, which are always together."""

_SERVED, _NOTE, _LOCK = "served", "note.json", "lock"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Version:
    """One version of a model; ``card`` is None with a ``reason`` where it cannot be used.

    ``note`` is what the publisher recorded: time, reason, training data, accuracy.
    """

    number: int
    folder: Path
    served: bool
    card: ModelCard | None
    reason: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-safe values, with version, sha256 and metrics of the card."""
        card = self.card
        return {
            "number": self.number,
            "served": self.served,
            "version": card.version if card else None,
            "sha256": card.sha256 if card else None,
            "metrics": card.metrics if card else {},
            "reason": self.reason,
            "note": dict(self.note),
        }


def copy_model(name: str, source: Path, dest: Path) -> Path:
    """Copy the weights and the card of a model into a folder; returns that folder."""
    for suffix in SUFFIXES:
        shutil.copyfile(source / f"{name}{suffix}", dest / f"{name}{suffix}")
    return dest


class Versions:
    """Versions of the models in two folders; safe between threads and processes.

    Parameters
    ----------
    folders : ModelFolders or Path
        ``shipped`` holds ``<name>.safetensors`` and ``<name>.json``, ``published`` has `FOLDER` once
        something was published; a single path stands for both.
    """

    def __init__(self, folders: ModelFolders | Path) -> None:
        self._folders = ModelFolders.of(folders)

    def names(self) -> list[str]:
        """List the models that have any version, in order."""
        shipped = {path.stem for path in self._folders.shipped.glob(f"*{SUFFIXES[0]}")}
        published = {path.name for path in (self._folders.published / FOLDER).glob("*") if path.is_dir()}
        return sorted(shipped | published)

    def exist(self, name: str) -> bool:
        """Return whether there is any version of a model."""
        return self._own(name) or bool(self._numbers(name))

    def served(self, name: str) -> int:
        """Return the number of the version in service.

        Raises
        ------
        CorruptWeightsError
            The file that says so was damaged.
        """
        try:
            return int((self._of(name) / _SERVED).read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except ValueError as error:
            raise CorruptWeightsError(
                f"{FOLDER}/{name}/{_SERVED} is damaged; write the number of a version into it, or remove it"
            ) from error

    def folder(self, name: str, number: int | None = None) -> Path:
        """Return the folder of a version's files, by default of the served one; errors as `served`."""
        number = self.served(name) if number is None else number
        return self._of(name) / str(number) if number else self._folders.shipped

    def state(self, name: str) -> FileState | None:
        """Return a token that changes whenever another version is served."""
        try:
            return file_state(self._of(name) / _SERVED)
        except OSError:
            return None

    def listed(self, name: str) -> list[Version]:
        """Return all versions of a model, the newest first; errors as `served`."""
        served = self.served(name)
        numbers = self._numbers(name) + ([0] if self._own(name) or not served else [])
        return [self._version(name, number, served=number == served) for number in numbers]

    def publish(
        self, name: str, made: Path, *, note: Mapping[str, Any], instead_of: int | None = None
    ) -> Version:
        """Copy a model into a new version and serve it, whole or not at all.

        Parameters
        ----------
        name : str
        made : Path
            Folder with its files.
        note : mapping
            JSON-safe; what there is to say of it.
        instead_of : int, optional
            The version that it was compared with.

        Raises
        ------
        StaleModelError
            Another version than ``instead_of`` is served by now.
        MissingWeightsError, CorruptWeightsError
            The files are not there, or not what the card says.
        OSError
            The disk is full or the folder cannot be written.
        """
        read_weights(name, made)
        with self._locked(name) as folder:
            served = self.served(name)
            if instead_of not in (None, served):
                raise StaleModelError(
                    f"{name}: version {served} is served by now, not {instead_of}, which the new one was"
                    " compared with; compare it again"
                )
            number = max([0, *self._numbers(name)]) + 1
            draft = folder / f"{_PARTIAL}{secrets.token_hex(8)}"
            draft.mkdir()
            try:
                for suffix in SUFFIXES:
                    copy_synced(made / f"{name}{suffix}", draft / f"{name}{suffix}")
                with atomic(draft / _NOTE) as written:
                    written.write_text(json.dumps(dict(note), indent=1) + "\n", encoding="utf-8")
                draft.replace(folder / str(number))
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            sync_folder(folder)
            self._serve(name, number)
        return self._version(name, number, served=True)

    def roll_back(self, name: str, number: int | None = None) -> Version:
        """Serve another version; by default the last one before the served one that can be used.

        Raises
        ------
        InputError
            There is no such version, or none before the served one.
        MissingWeightsError, CorruptWeightsError
            It cannot be used; nothing changed.
        OSError
            The folder cannot be written.
        """
        if not self.exist(name):
            raise InputError(f"no model {name[:80]!r} in {self._folders.shipped.name}")
        with self._locked(name):
            versions = [version for version in self.listed(name) if version.card]
            if number is None:
                served = self.served(name)
                number = next((version.number for version in versions if version.number < served), None)
                if number is None:
                    raise InputError(f"{name}: there is no version before {served}, which is served")
            elif number not in {version.number for version in versions}:
                numbers = ", ".join(str(version.number) for version in versions) or "none"
                raise InputError(f"{name}: no usable version {number}; there are: {numbers}")
            read_weights(name, self.folder(name, number))
            self._serve(name, number)
        return self._version(name, number, served=True)

    def _of(self, name: str) -> Path:
        return self._folders.published / FOLDER / name

    def _own(self, name: str) -> bool:
        return (self._folders.shipped / f"{name}{SUFFIXES[0]}").is_file()

    def _numbers(self, name: str) -> list[int]:
        """Return the versions besides 0, the newest first."""
        folder = self._of(name)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted((int(name) for name in names if name.isascii() and name.isdigit()), reverse=True)

    def _version(self, name: str, number: int, *, served: bool) -> Version:
        folder = self.folder(name, number)
        try:
            card, reason = read_card(name, folder), ""
        except ModelError as error:
            card, reason = None, str(error)
        try:
            note = json.loads((folder / _NOTE).read_text(encoding="utf-8")) if number else {}
        except (OSError, ValueError):
            note = {}
        return Version(number, folder, served, card, reason, note)

    def _serve(self, name: str, number: int) -> None:
        with atomic(self._of(name) / _SERVED) as draft:
            draft.write_text(f"{number}\n", encoding="ascii")
        sync_folder(self._of(name))

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        """Yield one writer at a time; a process that is killed holds nothing any more."""
        folder = self._of(name)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            for left in folder.glob(f"{_PARTIAL}*"):  # by a process that was killed
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield folder
