"""De-identification of a folder: DICOM files, videos and pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from cardiolabel.datasets import dicom, folder
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.io import picture, video
from cardiolabel.io.dicom_file import read_dataset, readable
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image
from cardiolabel.io.video_writer import copy_without_metadata
from cardiolabel.pipeline.deidentification import text_search
from cardiolabel.pipeline.deidentification.pixels import blank_outside_regions, frames_of
from cardiolabel.pipeline.deidentification.replacements import Replacements
from cardiolabel.pipeline.deidentification.tags import TagChoices, clean_tags

__all__ = ["LOG_NAME", "Deidentified", "deidentify"]

LOG_NAME = "deidentification.csv"
"""Table of what was done with each file, under the new names."""

_NO_SEARCH = "not searched for text (pip install 'cardiolabel[ocr]')"


@dataclass(frozen=True)
class Deidentified:
    """Result of a run: files written, and sources left out with the reason."""

    files: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Options:
    replacements: Replacements
    choices: TagChoices
    keep_unmasked: bool


def deidentify(
    source: Path,
    dest: Path,
    *,
    key: bytes,
    key_file: Path,
    choices: TagChoices | None = None,
    keep_unmasked: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Deidentified:
    """Write de-identified copies of a folder's DICOM files, videos and pictures.

    Every copy gets a new name. ``deidentification.csv`` in ``dest`` says what was done with each.
    ``key_file`` has the way back and must not be given away.

    Parameters
    ----------
    source : Path
        The folder, which is only read.
    dest : Path
        A new or empty folder outside ``source``.
    key : bytes
        Key of the replacements.
    key_file : Path
        Outside ``dest``.
    choices : TagChoices, optional
    keep_unmasked : bool
        Also write ultrasound, videos and pictures in which text cannot be told from image.
    progress : callable, optional

    Raises
    ------
    DatasetError
        ``dest`` is not empty or inside ``source``, or would hold the key.
    OSError
        A file cannot be written.
    """
    _check_folders(source, dest, key_file)
    options = _Options(Replacements(key), choices or TagChoices(), keep_unmasked)
    files = [path for path in folder.files(source) if _is_handled(path)]
    rows: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    for done, path in enumerate(files, start=1):
        place = path.relative_to(source).as_posix()
        try:
            rows.append(_copy(path, place, dest, options))
        except InputError as error:
            skipped.append((place, str(error)))
        if progress is not None:
            progress(done, len(files))
    if rows:
        options.replacements.write(key_file)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "done"), *sorted(rows)])
    with atomic(dest / LOG_NAME) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8")
    return Deidentified(len(rows), tuple(skipped))


def _check_folders(source: Path, dest: Path, key_file: Path) -> None:
    if not source.is_dir():
        raise DatasetError(f"{source}: no such folder")
    if dest.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"{dest} is inside {source}; choose a folder outside it")
    if dest.is_dir() and any(dest.iterdir()):
        raise DatasetError(f"{dest}: is not empty; choose a new folder")
    if key_file.resolve().is_relative_to(dest.resolve()):
        raise DatasetError(f"{key_file}: would be given away with {dest}; choose a place outside it")


def _is_handled(path: Path) -> bool:
    return dicom.is_dicom_file(path) or path.name.lower().endswith((*video.SUFFIXES, *picture.SUFFIXES))


def _copy(path: Path, place: str, dest: Path, options: _Options) -> tuple[str, str]:
    """Write one copy; return its place in ``dest`` and what was done."""
    if dicom.is_dicom_file(path):
        return _copy_dicom(path, dest, options)
    name = options.replacements.name(place)
    if not options.keep_unmasked:
        raise ImageContentError(f"{path.name}: text cannot be told from image in it; see --keep-unmasked")
    pixels = read_image(path).clip.pixels
    description = f"metadata dropped; {_searched(pixels)}"
    if not path.name.lower().endswith(picture.SUFFIXES):
        target = dest / f"{name}{path.suffix.lower()}"
        copy_without_metadata(path, target)
        return target.name, description
    if len(pixels) > 1:
        raise ImageContentError(f"{path.name}: has {len(pixels)} pages; save each as a picture of its own")
    with atomic(dest / f"{name}.png") as draft:
        Image.fromarray(pixels[0]).save(draft)
    return f"{name}.png", description


def _copy_dicom(path: Path, dest: Path, options: _Options) -> tuple[str, str]:
    with readable(path):
        dataset = read_dataset(path)
        if "DirectoryRecordSequence" in dataset:
            raise ImageContentError(f"{path.name}: lists other files by their names; it is not copied")
        if "PixelData" not in dataset:
            raise ImageContentError(f"{path.name}: holds no image; reports are not de-identified")
        identity = "/".join(
            str(dataset.get(name) or "").strip() for name in ("IssuerOfPatientID", "PatientID")
        )
        if identity == "/":
            identity = f"study/{dataset.get('StudyInstanceUID') or dataset.get('SOPInstanceUID')}"
        steps = ["tags by the basic profile"]
        if str(dataset.get("Modality") or "") == "MR":
            if str(dataset.get("BurnedInAnnotation") or "") == "YES":
                raise ImageContentError(f"{path.name}: has text burned into its pixels")
        else:
            steps.append(_blanked(dataset, path, options))
        clean_tags(dataset, options.replacements, patient=identity, choices=options.choices)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.preamble = b"\0" * 128
        target = dest / str(dataset.PatientID) / f"{dataset.SOPInstanceUID}.dcm"
        if target.exists():
            raise ImageContentError(f"{path.name}: another file has its SOP Instance UID")
        with atomic(target) as draft:
            dataset.save_as(draft, enforce_file_format=True)
    return target.relative_to(dest).as_posix(), "; ".join(steps)


def _blanked(dataset: Dataset, path: Path, options: _Options) -> str:
    try:
        left = blank_outside_regions(dataset, path)
        return f"pixels outside the ultrasound regions blanked; {_searched(left)}"
    except ImageContentError:
        if not options.keep_unmasked:
            raise
        return f"pixels kept whole; {_searched(frames_of(dataset, path))}"


def _searched(frames: NDArray[np.generic]) -> str:
    """Search the first, middle and last frame for text, and say what was found."""
    if not text_search.is_available():
        return _NO_SEARCH
    at = sorted({0, len(frames) // 2, len(frames) - 1})
    words = max(text_search.words_in(frames[index]) for index in at)
    return f"WARNING: {words} words are left in the pixels" if words else "no text seen in the pixels"
