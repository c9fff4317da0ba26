"""Ids of the image files of a studies folder; an id stays with its file.

An id follows from the file's name alone (`file_names.id_from_name`). Exceptions are in the register
``.cardiolabel/image_ids.json``: ids that earlier versions gave by the order of the files, and files whose
names differ in the suffix only. Its entries never change. Ids of earlier versions are looked for once, when a
folder with labels or records is first seen. An earlier id with labels that could belong to several images is
given to none of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cardiolabel.records.file_names import (
    clean_id,
    earlier_ids,
    id_from_name,
    id_with_digits,
    image_stem,
    image_suffix,
    normalized,
    record_from_name,
)
from cardiolabel.records.id_register import IdRegister, by_base
from cardiolabel.records.label_names import label_stem
from cardiolabel.records.layout import SUFFIX, StudiesLayout

__all__ = ["ImageIds", "image_ids"]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.nii\.gz")


@dataclass(frozen=True)
class ImageIds:
    """Ids of a folder's image files.

    Attributes
    ----------
    by_name : mapping of str to str
        The id of every file.
    disputed : mapping of str to tuple of str
        File names that an earlier id could belong to, by that id.
    unowned : frozenset of str
        Ids that none of the files has: the disputed ones, and those of files that are gone.
    """

    by_name: Mapping[str, str]
    disputed: Mapping[str, tuple[str, ...]]
    unowned: frozenset[str]


def image_ids(folder: Path, paths: Sequence[Path], *, manifest_ids: Collection[str] = ()) -> ImageIds:
    """Return the ids of a folder's images, and register those that do not follow from a name.

    Parameters
    ----------
    folder : Path
        The studies folder. Where it cannot be written to, nothing is noted.
    paths : sequence of Path
        Every image file in the folder itself that the manifest does not name.
    manifest_ids : collection of str
        Ids that the manifest gives to other files.

    Returns
    -------
    ImageIds
    """
    register = IdRegister.read(folder)
    names = sorted(path.name for path in paths)
    by_name = {name: id for name, id in register.ids_of(names).items() if id not in manifest_ids}
    settling = _Settling(folder, names, register, frozenset(manifest_ids), by_name)
    for base, group in settling.groups.items():
        settling.settle(base, group)
    if names and (register.has_changed or register.patients or settling.labels):
        register.settle()
    register.write(folder)
    disputed = {id: tuple(files) for id, files in register.disputed.items()}
    return ImageIds(by_name, disputed, register.unowned_ids(by_name.values()))


def _stem(name: str) -> str:
    return name[: -len(SUFFIX)] if _is_plain(name) else normalized(image_stem(Path(name)))


def _own_id(name: str) -> str:
    return name[: -len(SUFFIX)] if _is_plain(name) else id_from_name(image_stem(Path(name)))


def _is_plain(name: str) -> bool:
    """Return whether a file is named ``<image_id>.nii.gz``."""
    return _PLAIN.fullmatch(name) is not None


def _is_exact(name: str) -> bool:
    """Return whether a file's id keeps its whole name."""
    return _own_id(name) == _stem(name)


def _patient(name: str) -> str:
    return record_from_name(Path(name)).patient


@dataclass
class _Settling:
    """Assigns ids to files that have none, and adds them to the register."""

    folder: Path
    names: list[str]
    register: IdRegister
    manifest_ids: frozenset[str]
    by_name: dict[str, str]
    taken: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.taken = {*self.manifest_ids, *self.register.ids, *self.register.disputed, *self.by_name.values()}

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Files whose names earlier versions cleaned to one id, without case."""
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            cleaned = _stem(name) if _is_plain(name) else clean_id(_stem(name))
            groups[cleaned.casefold()].append(name)
        return dict(groups)

    @cached_property
    def labels(self) -> frozenset[str]:
        """Names of label files without their suffixes, before the folder is settled."""
        if self.register.is_settled:
            return frozenset()
        files = StudiesLayout(self.folder).labels.glob("*/*")
        return frozenset(normalized(stem) for path in files if (stem := label_stem(path.name)))

    @cached_property
    def labels_by_base(self) -> dict[str, list[str]]:
        """Label names by the cleaned names that earlier versions could have made them from."""
        return by_base(self.labels)

    @cached_property
    def recorded_by_base(self) -> dict[str, list[str]]:
        """Ids of the store's records, grouped in the same way."""
        return by_base(self.register.patients)

    @cached_property
    def unlike_names(self) -> dict[str, str]:
        """Records whose ids do not follow from their images' names."""
        return self.register.unlike_names()

    @cached_property
    def earlier(self) -> dict[str, str]:
        """Ids that earlier versions would give to the present files."""
        served = [name for name in self.names if (image_suffix(Path(name)) or "").startswith(".nii")]
        return earlier_ids(served, taken=self.manifest_ids)

    @cached_property
    def files_of_stem(self) -> dict[str, list[str]]:
        """Files by their names without suffix."""
        files: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            files[_stem(name)].append(name)
        return dict(files)

    def settle(self, base: str, group: list[str]) -> None:
        """Assign ids to the files of a group that have none."""
        unsettled = [name for name in group if name not in self.by_name]
        patients = self.register.patients
        if all(_is_plain(name) for name in unsettled):
            patients = self.unlike_names
        recorded = {id: patients[id] for id in self.recorded_by_base.get(base, ()) if id in patients}
        if len(group) == 1 and unsettled and not recorded and _is_plain(group[0]):
            own = _own_id(group[0])
            if own not in self.taken:
                self.by_name[group[0]] = own
                self.taken.add(own)
                return
        if not unsettled:
            return
        self._by_records(recorded, unsettled)
        self._by_labels(base, group, set(recorded))
        self._by_names([name for name in group if name not in self.by_name], set(recorded))

    def _give(self, name: str, image_id: str) -> None:
        self.by_name[name] = image_id
        self.taken.add(image_id)
        if not (_is_plain(name) and image_id == _own_id(name)):
            self.register.add(image_id, name)

    def _dispute(self, image_id: str, names: Iterable[str]) -> None:
        self.register.dispute(image_id, names)
        self.taken.add(image_id)

    def _by_records(self, recorded: Mapping[str, str], unsettled: Sequence[str]) -> None:
        """Assign ids by the patients that the store recorded; images that are gone keep theirs."""
        of_patient: defaultdict[str, list[str]] = defaultdict(list)
        for name in unsettled if recorded else ():
            of_patient[_patient(name)].append(name)
        for patient, names in of_patient.items():
            ids = sorted((id for id in recorded if recorded[id] == patient), key=lambda id: (len(id), id))
            free = [id for id in ids if id not in self.taken]
            if len(free) == len(names):
                for name, image_id in zip(names, free, strict=True):
                    self._give(name, image_id)
            else:
                for image_id in free:
                    self._dispute(image_id, names)

    def _by_labels(self, base: str, group: list[str], recorded: set[str]) -> None:
        """Assign an earlier id with labels to the only image that can have had it, if there is only one."""
        labels = {
            id
            for id in self.labels_by_base.get(base, ())
            if id not in self.taken and id not in recorded
            if id.casefold() == base or self._is_no_file_s_own(id)
        }
        if not labels:
            return
        candidates = [name for name in group if self.by_name.get(name) not in recorded]
        candidates = [name for name in candidates if not self._has_own_label(name)]
        unsettled = [name for name in candidates if name not in self.by_name]
        if not unsettled:
            return
        earlier = {name: self.earlier.get(name, "") for name in candidates}
        if unsettled == candidates and labels == set(earlier.values()):
            for name, image_id in earlier.items():
                self._give(name, image_id)
            return
        numbered = len(group) > 1 and any(id.casefold() != base for id in labels)
        for image_id in labels:
            owner = next((name for name in unsettled if _is_plain(name) and _own_id(name) == image_id), None)
            if numbered or owner is None or self._may_be_another_s(image_id, owner, earlier):
                self._dispute(image_id, candidates)

    def _may_be_another_s(self, image_id: str, owner: str, earlier: Mapping[str, str]) -> bool:
        """Return whether earlier versions gave an id to another file before its label was there."""
        others = [name for name, its in earlier.items() if its == image_id and name != owner]
        labels = [
            path.stat().st_ctime_ns for path in StudiesLayout(self.folder).labels.glob(f"*/{image_id}.*")
        ]
        return any((self.folder / name).stat().st_ctime_ns < max(labels, default=0) for name in others)

    def _is_no_file_s_own(self, image_id: str) -> bool:
        """Return whether no file has this name, or its label shows that earlier versions gave it another
        id.
        """
        ids = [self.earlier.get(name, image_id) for name in self.files_of_stem.get(image_id, ())]
        return all(id != image_id and id in self.labels for id in ids)

    def _has_own_label(self, name: str) -> bool:
        """Return whether a label has a name's own id, or its file's name, which no other name shares."""
        return not _is_exact(name) and bool({_own_id(name), _stem(name)} & self.labels)

    def _by_names(self, unsettled: Sequence[str], recorded: set[str]) -> None:
        """Return the id of a name, unless another has it; of several files of one stem, one gets it, by its
        suffix.
        """
        by_id: defaultdict[str, list[str]] = defaultdict(list)
        for name in unsettled:
            by_id[_own_id(name)].append(name)
        for own, names in by_id.items():
            owner = None if own in self.taken | recorded else _first_by_suffix(names)
            if owner is not None:
                self._give(owner, own)
            for name in names:
                if name != owner:
                    stem = image_stem(Path(name))
                    self._give(name, id_with_digits(stem, place=f"file{name[len(stem) :]}"))


def _first_by_suffix(names: Sequence[str]) -> str | None:
    """Return the file named as its id, else the only NIfTI file, else the only file; or None."""
    nifti = [name for name in names if (image_suffix(Path(name)) or "").startswith(".nii")]
    for chosen in ([name for name in names if _is_plain(name)], nifti, names):
        if chosen:
            return chosen[0] if len(chosen) == 1 else None
    return None
