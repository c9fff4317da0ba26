"""Deletion for good: every file, version and record of a patient's images, and what names them.

What is to go is noted first, in ``.cardiolabel/erasing.json``, so that the next start ends what a killed
process began.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from cardiolabel.domain import Record
from cardiolabel.errors import DamagedStoreError
from cardiolabel.io.files import atomic, sync_folder
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store import counts, tables
from cardiolabel.store.database import fact, replace_fact
from cardiolabel.store.image_files import ImageFiles
from cardiolabel.store.store import ERASURES_FACT, Store

__all__ = ["Erased", "Erasure"]

_PLAN = "erasing.json"
_TEXTS = (".json", ".jsonl", ".csv", ".txt", ".cfg")
_OF_IMAGES = (
    tables.images,
    tables.labels,
    tables.versions,
    tables.measurements,
    tables.leases,
    tables.openings,
)


@dataclass(frozen=True)
class Erased:
    """What was deleted.

    Attributes
    ----------
    images, files, versions : int
        How many images, files and versions of labels.
    left : tuple of str
        Files within the studies folder that still name an image or its patient, and files outside of it that
        an image was a link to; people must look at them.
    """

    images: int
    files: int
    versions: int
    left: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What is to go: ids of images, names of their patients who have no other image, and files."""

    images: tuple[str, ...]
    patients: tuple[str, ...]
    files: tuple[str, ...]


class Erasure:
    """Deletes patients of one studies folder for good.

    Parameters
    ----------
    studies : StudiesFolder
    store : Store
    images : ImageFiles
        Keeps others from changing images meanwhile.
    """

    def __init__(self, studies: StudiesFolder, store: Store, images: ImageFiles) -> None:
        self._studies, self._store, self._images = studies, store, images
        self._layout = StudiesLayout(studies.folder)

    def erase(self, records: Sequence[Record]) -> Erased:
        """Delete all images of a patient with all that was made of them.

        Files that the images were imported from go as well where they are in the studies folder. Backups,
        exports, and models that learned from the images are not touched.

        Parameters
        ----------
        records : sequence of Record
            The patient's images in the studies folder.

        Raises
        ------
        BusyError, StoreError, OSError
            It is not done, or not whole; the next start ends it, or the same call.
        """
        with self._images.locked():
            plan = self._planned(records)
            outside = tuple(
                f"{record.path.name} was a link to {record.path.resolve()}"
                for record in records
                if record.path.is_symlink()
            )
            with atomic(self._plan_file) as draft:
                draft.write_text(json.dumps(asdict(plan)), encoding="utf-8")
            sync_folder(self._plan_file.parent)
            return self._carry_out(plan, outside)

    def finish(self) -> Erased | None:
        """End an erasure that a killed process began; None where there is none."""
        if not self._plan_file.is_file():
            return None
        with self._images.locked():
            try:
                content = json.loads(self._plan_file.read_text(encoding="utf-8"))
                plan = _Plan(**{name: tuple(map(str, content[name])) for name in _Plan.__annotations__})
            except (ValueError, KeyError, TypeError) as error:
                message = f"{self._plan_file}: damaged; delete the patient again, then remove this file"
                raise DamagedStoreError(message) from error
            return self._carry_out(plan, ())

    @property
    def _plan_file(self) -> Path:
        return self._layout.home / _PLAN

    def _planned(self, records: Sequence[Record]) -> _Plan:
        image_ids = {record.image_id for record in records}
        others = [record for record in self._studies.records() if record.image_id not in image_ids]
        names = {name for record in records for name in (record.patient, record.person) if name}
        names -= {name for record in others for name in (record.patient, record.person) if name}
        sources = self._sources()
        shared = {path for image_id in sources.keys() - image_ids for path in sources[image_id]}
        files = [path for image_id in image_ids for path in sources.get(image_id, ()) if path not in shared]
        files += [_within(record.path, self._studies.folder) for record in records]
        return _Plan(tuple(sorted(image_ids)), tuple(sorted(names)), tuple(files))

    def _sources(self) -> dict[str, list[str]]:
        """Return the files that images were imported from, by image id, relative to the studies folder."""
        sources: dict[str, list[str]] = {}
        if self._layout.imported.is_file():
            content = json.loads(self._layout.imported.read_text(encoding="utf-8"))
            sources |= {str(key): list(map(str, paths)) for key, paths in content.get("sources", {}).items()}
            if self._layout.prepared_ids.is_file():
                names = json.loads(self._layout.prepared_ids.read_text(encoding="utf-8"))
                for name, image_id in names.items():
                    sources.setdefault(str(image_id), []).append(str(name))
        return sources

    def _carry_out(self, plan: _Plan, outside: tuple[str, ...]) -> Erased:
        files = sum(_remove(self._studies.folder / path) for path in plan.files)
        for image_id in plan.images:
            files += sum(_remove(path) for path in self._folders(image_id))
        files += sum(_remove(path) for path in list(self._walked()) if _stem(path) in plan.images)
        self._leave_out_rows(plan)
        versions = self._erase_records(plan)
        for register in self._registers():
            _scrub(register, {*plan.images, *plan.patients, *plan.files})
        self._plan_file.unlink(missing_ok=True)
        return Erased(len(plan.images), files, versions, (*outside, *self._left(plan)))

    def _walked(self) -> Iterator[Path]:
        """Yield all files of the studies folder but those of another studies folder within it."""
        root = self._studies.folder
        for folder, names, files in os.walk(root):
            here = Path(folder)
            if here != root and (StudiesLayout(here).home.exists() or StudiesLayout(here).manifest.exists()):
                names.clear()
                continue
            yield from (here / name for name in files)

    def _folders(self, image_id: str) -> Iterator[Path]:
        """Yield the folders that belong to an image alone."""
        yield from self._layout.versions.glob(f"*/{_literal(image_id)}")
        yield self._layout.removed_images / image_id
        yield self._layout.viewer_images / image_id

    def _leave_out_rows(self, plan: _Plan) -> None:
        if self._layout.manifest.exists():
            rows = manifest.read(self._studies.folder)
            manifest.write([row for row in rows if row.image_id not in plan.images], self._studies.folder)

    def _erase_records(self, plan: _Plan) -> int:
        """Delete the rows of all tables; returns how many versions there were."""
        self._store.sync.catch_up()
        with self._store.database.writing() as connection:
            self._store.database.alone(connection)
            of_images = tables.versions.c.image_id.in_(plan.images)
            versions = len(connection.execute(select(tables.versions.c.number).where(of_images)).all())
            for table in _OF_IMAGES:
                connection.execute(delete(table).where(table.c.image_id.in_(plan.images)))
            connection.execute(delete(tables.scores).where(tables.scores.c.patient.in_(plan.patients)))
            counts.recount(connection)
            replace_fact(connection, ERASURES_FACT, str(int(fact(connection, ERASURES_FACT) or 0) + 1))
        self._store.database.compact()
        return versions

    def _registers(self) -> Iterator[Path]:
        yield from self._layout.home.glob("*.json")

    def _left(self, plan: _Plan) -> Iterator[str]:
        """Yield the files whose names, or whose text, still tell an image or its patient."""
        names = "|".join(re.escape(name) for name in (*plan.images, *plan.patients))
        pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])")
        for path in sorted(self._walked()):
            place = path.relative_to(self._studies.folder).as_posix()
            if pattern.search(place):
                yield place
            elif path.suffix.lower() in _TEXTS:
                if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
                    yield place
        yield from (path.name for path in self._layout.home.glob("store.sqlite.before-rebuild-*"))


def _scrub(path: Path, names: Collection[str]) -> None:
    """Take every entry that is, or is called, one of some names out of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cleaned = _without(content, names)
    if cleaned != content:
        with atomic(path) as draft:
            draft.write_text(json.dumps(cleaned, indent=1) + "\n", encoding="utf-8")


def _without(content: Any, names: Collection[str]) -> Any:
    """Return JSON without entries that are, or are called, one of some names.

    >>> _without({"ids": ["a", "b"], "notes": [["a", "dark"]], "files": {"a": 1, "c": "a", "d": 2}}, {"a"})
    {'ids': ['b'], 'notes': [], 'files': {'d': 2}}
    """
    if isinstance(content, dict):
        return {
            key: _without(value, names)
            for key, value in content.items()
            if key not in names and not (isinstance(value, str) and value in names)
        }
    if isinstance(content, list):
        return [_without(item, names) for item in content if _name_of(item) not in names]
    return content


def _name_of(item: Any) -> str:
    """Return the name that an item of a list is, or that it begins with, as what is said of an image does."""
    if isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item):
        item = item[0]
    return item if isinstance(item, str) else ""


def _remove(path: Path) -> int:
    """Remove a file, or a folder with its files; returns how many files."""
    if path.is_dir() and not path.is_symlink():
        files = sum(1 for inner in path.rglob("*") if not inner.is_dir())
        shutil.rmtree(path)
        return files
    if path.is_symlink() or path.exists():
        path.unlink()
        return 1
    return 0


def _stem(path: Path) -> str:
    """Return the image id in the name of a file, also of a reference mask."""
    return path.name.split(".", 1)[0].removesuffix("_gt")


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _literal(name: str) -> str:
    """Return a pattern that matches a name alone."""
    return re.sub(r"([*?\[])", r"[\1]", name)
