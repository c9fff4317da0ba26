"""Names in use in a studies folder, so that a new image takes no other image's labels, patient or file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from cardiolabel.records import manifest
from cardiolabel.records.file_names import id_from_name, image_stem, image_suffix, normalized
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store.database import Database
from cardiolabel.store.tables import versions

__all__ = ["TakenNames", "name_key"]


def name_key(name: str) -> str:
    """Return the form in which names are compared: without case, Unicode form, image suffix, and trailing
    blanks and points.

    Parameters
    ----------
    name : str
        An image id, or a file's name with or without its suffix.

    Examples
    --------
    >>> name_key("Patient1_4CH_ED.nii.gz") == name_key("patient1_4ch_ed.nii")
    True
    >>> name_key("Mu" + chr(0x308) + "ller") == name_key("M" + chr(0xFC) + "ller")
    True
    """
    path = Path(name)
    while image_suffix(path) and image_stem(path):
        path = Path(image_stem(path))
    folded = unicodedata.normalize("NFKC", normalized(path.name).casefold())
    return normalized(folded.casefold()).rstrip(". ")


@dataclass(frozen=True)
class TakenNames:
    """Names in use in a studies folder, also by images that are gone.

    Attributes
    ----------
    owners : mapping of str to set of str
        Image ids by the `name_key` of every name that is theirs: ids, names of image files whether they can
        be read or not, and those of the manifest's rows.
    present : frozenset of str
        Ids of images that are there; of a file that cannot be read its name.
    labelled : frozenset of str
        Ids that have labels, or had some that are kept.
    listed : mapping of str to Path
        The file of each id in the manifest, whether it is there or not.
    """

    owners: Mapping[str, set[str]]
    present: frozenset[str]
    labelled: frozenset[str]
    listed: Mapping[str, Path]

    @classmethod
    def read(cls, studies: StudiesFolder, database: Database) -> TakenNames:
        """Read the names of a folder and of its records; errors as `StudiesFolder.records`."""
        folder = studies.folder
        has_manifest = StudiesLayout(folder).manifest.exists()
        rows = manifest.read_table(folder).records if has_manifest else ()
        listed = {row.image_id: row.path for row in rows}
        with database.reading() as connection:
            labelled = set(connection.execute(select(versions.c.image_id).distinct()).scalars())
        labelled.update(path.name for path in StudiesLayout(folder).versions.glob("*/*"))
        files = _ids_of_files(studies)
        owners: dict[str, set[str]] = {}
        for name, image_id in (*files.items(), *_ids_of_names(studies), *((id, id) for id in labelled)):
            owners.setdefault(name_key(name), set()).add(image_id)
        for image_id, path in listed.items():
            owners.setdefault(name_key(image_id), set()).add(image_id)
            if path.parent == folder:
                owners.setdefault(name_key(path.name), set()).add(image_id)
        present = frozenset((*files.values(), *studies.by_id()))
        return cls(owners, present, frozenset(labelled), listed)

    def owners_of(self, stem: str) -> set[str]:
        """Return the ids of the images that use a new file's name, or the id that follows from it."""
        return {id for name in (stem, id_from_name(stem)) for id in self.owners.get(name_key(name), ())}


def _ids_of_files(studies: StudiesFolder) -> dict[str, str]:
    """Return the ids of the image files in the folder; for an unread file its name without suffix."""
    ids = {record.path: record.image_id for record in studies.records()}
    paths = [path for path in studies.folder.iterdir() if image_suffix(path)]
    return {path.name: ids.get(path, image_stem(path)) for path in paths}


def _ids_of_names(studies: StudiesFolder) -> Iterator[tuple[str, str]]:
    """Return the ids by possible label names, and the ids of images that are gone or disputed."""
    yield from studies.image_names().items()
    for image_id in (*studies.by_id(), *studies.unowned_ids(), *studies.disputed_labels()):
        yield image_id, image_id
