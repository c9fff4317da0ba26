"""Register of image ids that do not follow from a file's name: ``.cardiolabel/image_ids.json``."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records.file_names import clean_id, image_stem, normalized
from cardiolabel.records.layout import StudiesLayout

__all__ = ["IdRegister", "by_base", "note_patients"]

"""The register within a studies folder."""

_NUMBER = re.compile(r"_\d+$")
_log = logging.getLogger(__name__)


def by_base(image_ids: Iterable[str]) -> dict[str, list[str]]:
    """Group ids by the cleaned names that earlier versions could have made them from, without case.

    >>> by_base(["Scan", "scan_2"])
    {'scan': ['Scan', 'scan_2'], 'scan_2': ['scan_2']}
    """
    grouped: dict[str, list[str]] = {}
    for image_id in image_ids:
        for base in {image_id.casefold(), _NUMBER.sub("", image_id).casefold()}:
            grouped.setdefault(base, []).append(image_id)
    return grouped


@dataclass
class IdRegister:
    """Owners of the ids that do not follow from names; files that are gone keep theirs.

    Attributes
    ----------
    ids : dict of str to str
        The file of each id.
    disputed : dict of str to list of str
        Files that could own an id which has labels; none of them has it.
    patients : dict of str to str
        The patient of each id that the store recorded before the folder was settled; afterwards only of ids
        that cleaning or numbering made.
    is_settled : bool
        Whether the ids of earlier versions were given to their images. From then on no file gets one.
    """

    ids: dict[str, str] = field(default_factory=dict)
    disputed: dict[str, list[str]] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    is_settled: bool = False
    has_changed: bool = False

    @classmethod
    def read(cls, folder: Path) -> IdRegister:
        """Read a folder's register; before it is settled, with the ids that a store in the folder recorded.

        Raises
        ------
        DatasetError
            The register is damaged.
        """
        register = cls._stored(folder)
        if not (register.is_settled or register.patients) and (StudiesLayout(folder).database).is_file():
            register.patients = _recorded_patients(StudiesLayout(folder).database)
        return register

    @classmethod
    def _stored(cls, folder: Path) -> IdRegister:
        path = StudiesLayout(folder).image_ids
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                ids={str(id): str(name) for id, name in content["ids"].items()},
                disputed={
                    str(id): [str(name) for name in names] for id, names in content["disputed"].items()
                },
                patients={str(id): str(patient) for id, patient in content["patients"].items()},
                is_settled=bool(content["is_settled"]),
            )
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path}: the register of image ids cannot be read ({type(error).__name__}: {error}); restore"
                " it, as without it labels could go to other patients"
            ) from error

    def write(self, folder: Path) -> None:
        """Write additions, if any; a read-only folder stays as it is."""
        if not self.has_changed:
            return
        newest = self._stored(folder)  # another process may have added something meanwhile
        content = {
            "ids": {**self.ids, **newest.ids},
            "disputed": {**self.disputed, **newest.disputed},
            "patients": newest.patients if newest.is_settled else self.patients,
            "is_settled": self.is_settled or newest.is_settled,
        }
        try:
            with atomic(StudiesLayout(folder).image_ids) as draft:
                draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            _log.debug("%s cannot be written: %s", StudiesLayout(folder).image_ids, error)

    def add(self, image_id: str, name: str) -> None:
        """Record the owner of an id."""
        if self.ids.get(image_id) != name:
            self.ids[image_id] = name
            self.has_changed = True

    def dispute(self, image_id: str, names: Iterable[str]) -> None:
        """Record that an id could belong to several files."""
        self.disputed[image_id] = sorted(names)
        self.has_changed = True

    def settle(self) -> None:
        """Record that the ids of earlier versions were assigned."""
        if not self.is_settled:
            self.patients = self.unlike_names()
            self.is_settled = self.has_changed = True

    def unlike_names(self) -> dict[str, str]:
        """Return the patients of the recorded ids that do not follow from their images' names."""
        unlike = {id for id, patient in self.patients.items() if _was_cleaned(id, patient)}
        bases = {_NUMBER.sub("", id).casefold() for id in unlike}
        return {
            id: patient for id, patient in self.patients.items() if id in unlike or id.casefold() in bases
        }

    def unowned_ids(self, image_ids: Iterable[str]) -> frozenset[str]:
        """Return the ids that none of these images has: disputed ones, and those of files that are gone."""
        return frozenset({*self.ids, *self.disputed, *self.unlike_names()} - set(image_ids))

    def ids_of(self, names: Sequence[str]) -> dict[str, str]:
        """Return the ids of files by their recorded names, else by their stems in NFC.

        A folder that was copied from macOS, or whose images were compressed since, keeps its ids.
        """
        files = set(names)
        ids = {name: id for id, name in self.ids.items() if name in files}
        by_stem: dict[str, list[str]] = {}
        for name in names:
            if name not in ids:
                by_stem.setdefault(_stem(name), []).append(name)
        for id, name in self.ids.items():
            same_stem = by_stem.get(_stem(name), []) if name not in files else []
            if len(same_stem) == 1:
                ids.setdefault(same_stem[0], id)
        return ids


def note_patients(folder: Path, patients: Mapping[str, str]) -> None:
    """Add the patients of a store's records to a folder's register that has none yet.

    Parameters
    ----------
    folder : Path
        The studies folder.
    patients : mapping of str to str
        Patients by image id.
    """
    register = IdRegister._stored(folder)
    if patients and not register.is_settled and register.patients != patients:
        register.patients, register.has_changed = dict(patients), True
        register.write(folder)


def _stem(name: str) -> str:
    return normalized(image_stem(Path(name)))


def _was_cleaned(image_id: str, patient: str) -> bool:
    """Return whether an id was made by cleaning or numbering names, as earlier versions did."""
    base = _NUMBER.sub("", image_id)
    if clean_id(patient) == patient:
        return base != image_id and base.startswith(patient) and not patient.startswith(image_id)
    ends = (image_id[start:] for start in range(len(image_id) + 1))
    cleaned = {clean_id(patient + joint + end) for end in ends for joint in ("", "_", "-")}
    return bool({image_id, base} & cleaned)


def _recorded_patients(store: Path) -> dict[str, str]:
    """Return the patients by image id from the store in a folder; empty where it cannot be read."""
    for options in ("mode=ro", "mode=ro&immutable=1"):  # the second for folders that cannot be written to
        try:
            with closing(sqlite3.connect(f"{store.resolve().as_uri()}?{options}", uri=True)) as connection:
                return dict(connection.execute("SELECT image_id, patient FROM images").fetchall())
        except sqlite3.Error as error:
            _log.debug("%s cannot be read: %s", store, error)
    return {}
