"""The DICOM images that masks and results are of, read without pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from cardiolabel.datasets import dicom
from cardiolabel.datasets.listing import Entry
from cardiolabel.errors import DatasetError, ImageContentError
from cardiolabel.io.dicom_file import read_dataset, readable
from cardiolabel.io.ultrasound_dicom import ultrasound
from cardiolabel.pipeline.import_folder import Slices, imported_files

__all__ = ["Original", "imported_originals", "originals"]

_OF_PATIENT_AND_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""Fields that results repeat; they may be empty, but not missing (type 2 in DICOM PS3.3)."""


@dataclass(frozen=True, eq=False)
class Original:
    """One image of a studies folder as DICOM.

    Attributes
    ----------
    image_id : str
    instances : tuple of Dataset
        The file of an ultrasound image, or those of a stack's slices in their order; without pixels.
    frames : tuple of int or None
        Frame (from 0) of each slice within its file; None for a file of one image, and for ultrasound.
    left, top : int
        Column and row of the whole picture at which the image's first pixel lies.
    """

    image_id: str
    instances: tuple[Dataset, ...]
    frames: tuple[int | None, ...]
    left: int = 0
    top: int = 0

    @property
    def rows(self) -> int:
        """Rows of the whole picture."""
        return int(self.instances[0].Rows)

    @property
    def cols(self) -> int:
        """Columns of the whole picture."""
        return int(self.instances[0].Columns)

    @property
    def is_stack(self) -> bool:
        """Whether each slice is an instance of its own."""
        return len(self.instances) > 1

    def to_picture(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image's mask ``(H, W)`` on the whole picture."""
        picture = np.zeros((self.rows, self.cols), np.uint8)
        rows, cols = mask.shape
        picture[self.top : self.top + rows, self.left : self.left + cols] = mask
        return picture

    def from_picture(self, picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return a mask on the whole picture as one of the image.

        Raises
        ------
        ImageContentError
            It reaches beyond the part that the image is of.
        """
        rows, cols = shape
        mask = picture[self.top : self.top + rows, self.left : self.left + cols]
        if np.count_nonzero(mask) != np.count_nonzero(picture):
            raise ImageContentError(
                f"{self.image_id}: the mask reaches beyond the ultrasound region "
                f"(rows {self.top} to {self.top + rows - 1}, columns {self.left} to {self.left + cols - 1})"
            )
        return mask.copy()

    def at(self, frame: int) -> tuple[Dataset, int | None]:
        """Return the file of a frame or slice (from 0), and its number (from 1) in a file of several."""
        if self.is_stack or self.frames[0] is not None:
            own = self.frames[frame]
            return self.instances[frame], None if own is None else own + 1
        return self.instances[0], frame + 1 if int(self.instances[0].get("NumberOfFrames") or 1) > 1 else None


def imported_originals(folder: Path, image_ids: Iterable[str]) -> dict[str, Original]:
    """Return the DICOM images within a studies folder that its images were imported from.

    Parameters
    ----------
    folder : Path
        The studies folder, which the files were imported into where they lie.
    image_ids : iterable of str
        Images to look for.

    Returns
    -------
    dict of str to Original
        Those whose files are there, by image id.

    Raises
    ------
    DatasetError
        The folder's note of the import is damaged, or a file has no identifiers.
    InputError
        A file cannot be read.
    """
    files = imported_files(folder)
    return {
        image_id: _original(image_id, slices)
        for image_id in image_ids
        if (slices := files.get(image_id)) and all(path.is_file() for path, _ in slices)
    }


def originals(
    folder: Path, image_ids: Iterable[str], *, key: bytes, choose_phases: dicom.PhaseChoice
) -> dict[str, Original]:
    """Find the DICOM images of a studies folder in another folder, by the ids that importing gives them.

    Parameters
    ----------
    folder : Path
        What the images were imported from, in any subfolders.
    image_ids : iterable of str
        Images to look for.
    key : bytes
        Key of the patients' pseudonyms, as when they were imported.
    choose_phases : PhaseChoice
        As when they were imported.

    Returns
    -------
    dict of str to Original
        Those that were found, by image id.

    Raises
    ------
    DatasetError
        No such folder, or no DICOM file in it.
    """
    wanted = list(image_ids)
    found: dict[str, Original] = {}
    for keep_names in (False, True):
        missing = [image_id for image_id in wanted if image_id not in found]
        if not missing:
            break
        listing = dicom.listing(folder, key=key, choose_phases=choose_phases, keep_names=keep_names)
        by_id = {entry.record.image_id: entry for entry in listing.entries}
        for image_id in missing:
            if entry := _entry(image_id, by_id):
                found[image_id] = _original(image_id, entry.slices or ((entry.record.path, None),))
    return found


def _entry(image_id: str, by_id: Mapping[str, Entry]) -> Entry | None:
    """Return the entry of an image, also of one that was uploaded for a patient of another name."""
    if image_id in by_id:
        return by_id[image_id]
    ending = [entry for own, entry in by_id.items() if image_id.endswith(f"_{own}")]
    return ending[0] if len(ending) == 1 else None


def _original(image_id: str, slices: Slices) -> Original:
    headers = {path: _header(path) for path in dict.fromkeys(path for path, _ in slices)}
    instances = tuple(headers[path] for path, _ in slices)
    frames = tuple(frame for _, frame in slices)
    if len(slices) > 1:
        return Original(image_id, instances, frames)
    box = ultrasound(instances[0], slices[0][0]).region.box
    return Original(image_id, instances, frames, left=box.left, top=box.top)


def _header(path: Path) -> Dataset:
    with readable(path):
        header = read_dataset(path, stop_before_pixels=True)
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not header.get(name):
            raise DatasetError(f"{path.name}: has no {name}, so that no result can refer to it")
    for name in _OF_PATIENT_AND_STUDY:
        if name not in header:
            setattr(header, name, None)
    return header
