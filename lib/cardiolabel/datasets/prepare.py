"""Make a studies folder out of a dataset: images, ``labels/final`` and ``manifest.csv``."""

from __future__ import annotations

import filecmp
import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets import READERS, file_names, manifest
from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.io import metaimage, nifti
from cardiolabel.io.files import atomic

__all__ = ["LABELS", "Prepared", "prepare"]

LABELS = Path("labels", "final")
"""Where MONAI Label keeps finished masks, under a studies folder."""


@dataclass(frozen=True)
class Prepared:
    """What a studies folder now holds of a dataset.

    ``images`` and ``labels`` count files that are in place, those of an earlier run included.
    ``skipped`` pairs an image's id with the reason why it or its mask was left out.
    """

    images: int
    labels: int
    skipped: tuple[tuple[str, str], ...]


def prepare(
    kind: str, source: Path, dest: Path, *, progress: Callable[[int, int], None] | None = None
) -> Prepared:
    """Copy or convert a dataset into a studies folder.

    ``.nii.gz`` files that can be read are copied byte for byte; others are converted with their
    pixel size. It can be run again: what is in place is not written again, nor is a readable image
    replaced by another of the same id. Masks already in ``labels/final`` may be corrections and are
    never replaced, and rows already in the manifest stay as people left them.

    Parameters
    ----------
    kind : str
        A key of `cardiolabel.datasets.READERS`.
    source : Path
        The dataset, which is only read.
    dest : Path
        The studies folder; made if need be, not inside ``source``.
    progress : callable, optional
        Called after every image with the number done and the number in all.

    Returns
    -------
    Prepared

    Raises
    ------
    DatasetError
        Unknown kind, wrong layout, or a ``dest`` inside ``source`` or that cannot be made.
    ManifestError
        ``dest`` has a malformed manifest.
    """
    if kind not in READERS:
        raise DatasetError(f"unknown dataset {kind!r}; expected one of {', '.join(READERS)}")
    if dest.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"{dest} is inside {source}; choose a folder outside it")
    reader = READERS[kind]
    records = reader.records(source)
    try:
        dest.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{dest}: cannot be made ({error.strerror}); choose another folder") from error
    rows = manifest.read(dest) if (dest / manifest.MANIFEST_NAME).exists() else []
    listed = {row.image_id for row in rows} | {row.path.name for row in rows}
    images = labels = 0
    skipped: list[tuple[str, str]] = []
    for done, record in enumerate(records, start=1):
        image = dest / f"{record.image_id}.nii.gz"
        try:
            _place_image(record.path, image)
            images += 1
            if listed.isdisjoint((record.image_id, image.name)):
                rows.append(replace(record, path=image))
            mask = reader.reference_path(record)
            if mask is not None:
                _place_label(mask, dest / LABELS / image.name, image)
                labels += 1
        except InputError as error:
            skipped.append((record.image_id, str(error)))
        if progress is not None:
            progress(done, len(records))
    manifest.write(rows, dest)
    return Prepared(images=images, labels=labels, skipped=tuple(skipped))


def _place_image(source: Path, image: Path) -> None:
    """Put an image into the studies folder, unless it is there."""
    if image.exists() and _same_bytes(source, image):
        return
    clip = _read(source)
    there = _read_if_readable(image)
    if there is None:
        _copy(source, image, lambda: nifti.write_clip(clip, image))
    elif not (_same_size(there.spacing, clip.spacing) and np.array_equal(there.pixels, clip.pixels)):
        raise ImageContentError(f"another image named {image.name} is there already; move or rename one")


def _place_label(source: Path, label: Path, image: Path) -> None:
    """Put a mask into ``labels/final``, unless the image has one there."""
    if label.exists():
        return
    masks = _read_mask(source)
    there = nifti.read(image)
    if masks.shape != there.clip.shape:
        raise ImageContentError(
            f"{source.name}: a mask of (T, H, W) {masks.shape} does not fit its image, {there.clip.shape}"
        )
    label.parent.mkdir(parents=True, exist_ok=True)
    _copy(source, label, lambda: nifti.write_mask_like(masks, label, grid=there.grid))


def _copy(source: Path, target: Path, convert: Callable[[], None]) -> None:
    """Copy NIfTI bytes, compressed if they are not, so that the header stays; convert the rest."""
    suffix = file_names.image_suffix(source)
    if suffix in metaimage.SUFFIXES:
        convert()
        return
    with atomic(target) as draft:
        if suffix == ".nii.gz":
            shutil.copyfile(source, draft)
        else:
            draft.write_bytes(gzip.compress(source.read_bytes(), mtime=0))


def _same_bytes(source: Path, image: Path) -> bool:
    same_kind = file_names.image_suffix(source) == ".nii.gz"
    return same_kind and filecmp.cmp(source, image, shallow=False)


def _same_size(one: Spacing | None, other: Spacing | None) -> bool:
    """Equal to the precision of a NIfTI header, whose sizes are 32-bit."""
    if one is None or other is None:
        return one is other
    return bool(np.allclose((one.row_mm, one.col_mm), (other.row_mm, other.col_mm), rtol=1e-5, atol=0))


def _read_if_readable(image: Path) -> Clip | None:
    try:
        return nifti.read(image).clip
    except InputError:
        return None


def _read(path: Path) -> Clip:
    is_metaimage = file_names.image_suffix(path) in metaimage.SUFFIXES
    return metaimage.read(path) if is_metaimage else nifti.read(path).clip


def _read_mask(path: Path) -> NDArray[np.uint8]:
    is_metaimage = file_names.image_suffix(path) in metaimage.SUFFIXES
    return metaimage.read_mask(path) if is_metaimage else nifti.read_mask(path)
