"""Conversion of a data set into a studies folder: images, ``labels/final`` and ``manifest.csv``."""

from __future__ import annotations

import filecmp
import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cardiolabel.datasets import READERS, folder
from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.datasets.prepared_ids import with_earlier_ids
from cardiolabel.domain import Clip, Record, Spacing, Stack
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.io.image_file import ImageFile
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.records import file_names, manifest
from cardiolabel.records.layout import SUFFIX, StudiesLayout

__all__ = ["Prepared", "place", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Result of preparing a data set.

    ``images`` and ``labels`` count the files in place, also those of an earlier run. ``skipped`` pairs an
    image's id, or a patient or file of the data set, with the reason why it or its mask was left out, and
    ``notes`` the id of an image in place with what a user should know of it.
    """

    images: int
    labels: int
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...] = ()


def prepare(
    kind: str,
    source: Path,
    dest: Path,
    *,
    mm_per_pixel: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Copy or convert a data set into a studies folder.

    Readable ``.nii.gz`` images are copied byte for byte; others are converted with their pixel size. Masks
    are put onto the voxels of their image. It can be run again: files in place are not written again, and no
    readable image is replaced by another of the same id. Masks already in ``labels/final`` may be corrections
    and are never replaced; rows already in the manifest stay as people left them.

    Parameters
    ----------
    kind : str
        A key of `cardiolabel.datasets.READERS`.
    source : Path
        The dataset, which is only read.
    dest : Path
        The studies folder; made if need be, not inside ``source``.
    mm_per_pixel : float, optional
        Side of a square pixel in mm, for the manifest rows of images whose files state no size.
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
    listing = READERS[kind](source)
    return place(
        listing, source, dest, has_own_ids=kind != folder.NAME, mm_per_pixel=mm_per_pixel, progress=progress
    )


def place(
    listing: Listing,
    source: Path,
    dest: Path,
    *,
    has_own_ids: bool,
    mm_per_pixel: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Put listed images and masks into a studies folder; parameters and errors as `prepare`.

    Parameters
    ----------
    listing : Listing
    source : Path
        The folder that was listed.
    dest : Path
        The studies folder, which may be ``source`` itself.
    has_own_ids : bool
        Whether ids depend on the images alone, and not on what else the folder holds.
    mm_per_pixel : float, optional
    progress : callable, optional
    """
    try:
        dest.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{dest}: cannot be made ({error.strerror}); choose another folder") from error
    rows = manifest.read(dest) if StudiesLayout(dest).manifest.exists() else []
    listed = {row.image_id for row in rows} | {row.path.name for row in rows}
    entries = list(listing.entries)
    if not has_own_ids:
        entries = with_earlier_ids(
            entries, source=source, dest=dest, listed={row.image_id for row in rows}, is_same=_is_same
        )
    images = labels = 0
    skipped, notes = list(listing.problems), list(listing.notes)
    for done, entry in enumerate(entries, start=1):
        image_id = entry.record.image_id
        image = StudiesLayout(dest).image(image_id)
        try:
            content, note = _place_image(entry.image, image)
            images += 1
            if note:
                notes.append((image_id, note))
            if listed.isdisjoint((image_id, image.name)):
                rows.append(_row(entry.record, image, content, mm_per_pixel))
            if entry.masks is not None:
                _place_label(entry, StudiesLayout(dest).label(image_id), image)
                labels += 1
        except InputError as error:
            skipped.append((image_id, str(error)))
        if progress is not None:
            progress(done, len(entries))
    manifest.write(rows, dest)
    return Prepared(images, labels, tuple(skipped), tuple(notes))


def _row(record: Record, image: Path, content: Clip | Stack | None, mm_per_pixel: float | None) -> Record:
    """Return the manifest's row of an image, with what its file says of size and time."""
    is_unsized = content is not None and content.spacing is None
    rate_hz = content.frame_rate_hz if isinstance(content, Clip) else None
    return replace(
        record,
        path=image,
        frame_rate_hz=record.frame_rate_hz or (round(rate_hz, 3) if rate_hz else None),
        mm_per_pixel=mm_per_pixel if is_unsized else record.mm_per_pixel,
    )


def _place_image(source: Path | Callable[[], Clip | Stack], image: Path) -> tuple[Clip | Stack | None, str]:
    """Put an image into the studies folder, unless it is already there; return its content and a note."""
    if isinstance(source, Path) and image.exists() and _same_bytes(source, image):
        return None, ""
    if isinstance(source, Path):
        file = read_image(source)
        content: Clip | Stack = file.clip
        write, note = partial(_write_clip, file, image), file.note
    else:
        content, note = source(), ""
        write = partial(_write, content, image)
    present = _read_if_readable(image)
    if present is None:
        _copy_or_write(source, image, write)
    elif not _same(present, content):
        raise ImageContentError(f"another image named {image.name} is there already; move or rename one")
    return content, note


def _is_same(source: Path, image: Path) -> bool:
    """Return whether a source file is the image that the studies folder has."""
    if not image.is_file():
        return False
    if _same_bytes(source, image):
        return True
    present = _read_if_readable(image)
    try:
        return present is not None and _same(present, read_image(source).clip)
    except InputError:
        return False


def _place_label(entry: Entry, label: Path, image: Path) -> None:
    """Put an entry's mask into ``labels/final``, unless the image has one there."""
    source = entry.masks
    if source is None or label.exists():
        return
    present = read_image(image)
    if isinstance(source, Path):
        masks = read_mask_on(source, present.grid, entry.record.labels, stack=entry.record.is_stack)
    else:
        masks = source(present.clip.shape)
    if masks.shape != present.clip.shape:
        raise ImageContentError(
            f"{image.name}: a mask of (T, H, W) {masks.shape} does not fit its image, {present.clip.shape}"
        )
    label.parent.mkdir(parents=True, exist_ok=True)
    nifti.write_mask_like(masks, label, grid=present.grid)


def _copy_or_write(source: Path | Callable[..., object], target: Path, write: Callable[[], None]) -> None:
    """Copy NIfTI bytes with their header, compressing them if needed; write other content anew."""
    if not (isinstance(source, Path) and nifti.is_nifti(source)):
        write()
        return
    with atomic(target) as draft:
        if file_names.image_suffix(source) == SUFFIX:
            shutil.copyfile(source, draft)
        else:
            draft.write_bytes(gzip.compress(source.read_bytes(), mtime=0))


def _write(content: Clip | Stack, image: Path) -> None:
    if isinstance(content, Stack):
        nifti.write_stack(content, image)
    else:
        nifti.write_clip(content, image)


def _write_clip(file: ImageFile, image: Path) -> None:
    """Write a clip where its own file places it."""
    nifti.write_clip(file.clip, image, affine_mm=file.grid.affine_mm)


def _same_bytes(source: Path, image: Path) -> bool:
    same_kind = file_names.image_suffix(source) == SUFFIX
    return same_kind and filecmp.cmp(source, image, shallow=False)


def _same(present: ImageFile, content: Clip | Stack) -> bool:
    """Return whether pixels and sizes are equal, these to the precision of a NIfTI header's 32 bits."""
    apart = isinstance(content, Stack) and not np.isclose(
        present.grid.slice_spacing_mm or 0.0, content.slice_spacing_mm, rtol=1e-5, atol=0
    )
    same_size = _same_size(present.clip.spacing, content.spacing) and not apart
    return same_size and np.array_equal(present.clip.pixels, content.pixels)


def _same_size(first: Spacing | None, other: Spacing | None) -> bool:
    if first is None or other is None:
        return first is other
    return bool(np.allclose((first.row_mm, first.col_mm), (other.row_mm, other.col_mm), rtol=1e-5, atol=0))


def _read_if_readable(image: Path) -> ImageFile | None:
    try:
        return read_image(image)
    except InputError:
        return None
