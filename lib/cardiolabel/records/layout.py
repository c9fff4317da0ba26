"""The layout of a studies folder: where its images, masks, manifest and private files lie."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record, View

SUFFIX = ".nii.gz"
"""Ending of every image and mask that this product writes."""

FINAL, ORIGINAL = "final", "original"
"""Tags of masks: corrected by an annotator, and predicted by a model."""

TAGS = (FINAL, ORIGINAL)
"""All tags, the most trusted first."""

LABELS = "labels"
HOME = ".cardiolabel"
MANIFEST = "manifest.csv"


def file_of(folder: Path, image_id: str) -> Path:
    """Give the file that an image or a mask has in a folder.

    Examples
    --------
    >>> file_of(Path("masks"), "patient0001_4CH_ED").name
    'patient0001_4CH_ED.nii.gz'
    """
    return folder / f"{image_id}{SUFFIX}"


def id_of(path: Path) -> str:
    """Give the image id in the name of a file that this product wrote; the reverse of `file_of`."""
    return path.name.removesuffix(SUFFIX)


@dataclass(frozen=True)
class StudiesLayout:
    """Paths within one studies folder; nothing is read or made.

    Parameters
    ----------
    folder : Path
        The studies folder, or a folder of results, which has ``labels`` as well.
    """

    folder: Path

    @property
    def manifest(self) -> Path:
        """The table of images."""
        return self.folder / MANIFEST

    @property
    def labels(self) -> Path:
        """Folder of masks: one folder per tag in a studies folder, the files themselves among results."""
        return self.folder / LABELS

    @property
    def final(self) -> Path:
        """Folder of final masks."""
        return self.labels / FINAL

    def tagged(self, tag: str) -> Path:
        """Return the folder of the masks with a tag."""
        return self.labels / tag

    def label(self, image_id: str, tag: str = FINAL) -> Path:
        """Mask of an image."""
        return file_of(self.tagged(tag), image_id)

    def image(self, image_id: str) -> Path:
        """File of an image that this product wrote."""
        return file_of(self.folder, image_id)

    @property
    def home(self) -> Path:
        """Private folder of records, versions and caches."""
        return self.folder / HOME

    @property
    def versions(self) -> Path:
        """Archive of every version of every mask."""
        return self.home / "versions"

    @property
    def drafts(self) -> Path:
        """Versions that are being stored."""
        return self.home / "drafts"

    @property
    def removed_images(self) -> Path:
        """Archive of images that were replaced or removed."""
        return self.home / "images"

    @property
    def viewer_images(self) -> Path:
        """Copies of images that viewers cannot open otherwise."""
        return self.home / "viewer"

    @property
    def database(self) -> Path:
        """Database of the records, unless they are in PostgreSQL."""
        return self.home / "store.sqlite"

    @property
    def store_id(self) -> Path:
        """Identity of the store, which ties the folder to its database."""
        return self.home / "id"

    @property
    def image_ids(self) -> Path:
        """Register of image ids that do not follow from file names."""
        return self.home / "image_ids.json"

    @property
    def prepared_ids(self) -> Path:
        """Image ids that a dataset was prepared under."""
        return self.home / "prepared_ids.json"

    @property
    def imported(self) -> Path:
        """What was imported from files that are not NIfTI."""
        return self.home / "imported.json"

    @property
    def models(self) -> Path:
        """Models that were published for these studies, and the runs that trained them."""
        return self.home / "models"


def labelled_records(
    records: Iterable[Record], masks: Path, views: Collection[View] | None = None
) -> list[Record]:
    """Keep the records that models may learn from: with a mask in a folder, and without a refused consent.

    Parameters
    ----------
    records : iterable of Record
    masks : Path
        Folder of masks, for instance `StudiesLayout.final`.
    views : collection of View, optional
        Any view if not given.
    """
    return [
        record
        for record in records
        if record.training_consent is not False
        and (views is None or record.view in views)
        and file_of(masks, record.image_id).is_file()
    ]
