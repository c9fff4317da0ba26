"""The DICOM images that results are of: found by the ids that importing them gives, read without pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from cardiolabel.datasets import dicom
from cardiolabel.datasets.listing import Entry
from cardiolabel.errors import DatasetError
from cardiolabel.io.dicom_file import read_dataset, readable
from cardiolabel.io.ultrasound_dicom import ultrasound

__all__ = ["Original", "originals"]

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
    def is_stack(self) -> bool:
        """Whether each slice is an instance of its own."""
        return len(self.instances) > 1

    def at(self, frame: int) -> tuple[Dataset, int | None]:
        """Return the file of a frame or slice (from 0), and its number (from 1) in a file of several."""
        if self.is_stack or self.frames[0] is not None:
            own = self.frames[frame]
            return self.instances[frame], None if own is None else own + 1
        return self.instances[0], frame + 1 if int(self.instances[0].get("NumberOfFrames") or 1) > 1 else None


def originals(
    folder: Path, image_ids: Iterable[str], *, key: bytes, choose_phases: dicom.PhaseChoice
) -> dict[str, Original]:
    """Find the DICOM images of a studies folder in a folder of files.

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
                found[image_id] = _original(image_id, entry)
    return found


def _entry(image_id: str, by_id: Mapping[str, Entry]) -> Entry | None:
    """Return the entry of an image, also of one that was uploaded for a patient of another name."""
    if image_id in by_id:
        return by_id[image_id]
    ending = [entry for own, entry in by_id.items() if image_id.endswith(f"_{own}")]
    return ending[0] if len(ending) == 1 else None


def _original(image_id: str, entry: Entry) -> Original:
    if entry.slices:
        paths, frames = zip(*entry.slices, strict=True)
        return Original(image_id, tuple(_header(path) for path in paths), frames)
    header = _header(entry.record.path)
    box = ultrasound(header, entry.record.path).region.box
    return Original(image_id, (header,), (None,), left=box.left, top=box.top)


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
