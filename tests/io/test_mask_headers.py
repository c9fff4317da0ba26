"""A mask is refused by its header where it can be; an uploaded one holds nothing besides its pixels."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from cardiolabel.domain import CAMUS_LABELS
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import mask_files
from cardiolabel.io.grid import Grid
from cardiolabel.io.mask_files import read_mask_on

from ..axis_orders import save, seg_nrrd

AFFINE = np.diag([-0.5, -0.5, 1.0, 1.0])
IMAGE = Grid((12, 10, 3), AFFINE)
MASK = np.zeros((12, 10, 3), np.uint8)
MASK[4:8, 3:7] = 1

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha"]
BEHIND = b"PK\x05\x06" + bytes(18)


def read(path: Path, *, alone: bool = True) -> np.ndarray:
    return read_mask_on(path, IMAGE, CAMUS_LABELS, stack=False, alone=alone)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("shape", [(12, 10, 4), (13, 10, 3), (12, 9, 3), (12, 10, 1), (3000, 3000, 20)])
def test_a_mask_of_another_size_is_refused_before_its_pixels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, shape: tuple[int, ...]
) -> None:
    path = save(np.zeros(shape, np.uint8), AFFINE, tmp_path / f"m{suffix}")
    read_before: list[str] = []
    monkeypatch.setattr(mask_files, "_read", lambda path, **_: read_before.append(path.name))
    with pytest.raises(ImageContentError, match=r"m\.n?.*does not fit its image"):
        read(path)
    assert not read_before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_programs_write_is_read(tmp_path: Path, suffix: str) -> None:
    path = save(MASK, AFFINE, tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(read(path), MASK.transpose(2, 1, 0))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_what_itk_writes_is_read(tmp_path: Path, suffix: str, compressed: bool) -> None:
    image = sitk.GetImageFromArray(MASK.transpose(2, 1, 0))
    image.SetSpacing((0.5, 0.5, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"m{suffix}"), useCompression=compressed)
    path = tmp_path / f"m{suffix}"
    grid = Grid((12, 10, 3), np.diag([-0.5, -0.5, 1.0, 1.0]))
    masks = read_mask_on(path, grid, CAMUS_LABELS, stack=False, alone=True)
    np.testing.assert_array_equal(masks, MASK.transpose(2, 1, 0))


def test_a_cropped_segmentation_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    segments = [("lv_cavity", 1)]
    path = tmp_path / "m.seg.nrrd"
    path.write_bytes(seg_nrrd(MASK[:6, :8], segments))  # type: ignore[arg-type]
    grid = Grid((12, 10, 3), np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(ImageContentError):  # it lies elsewhere, but its size would do
        read_mask_on(path, grid, CAMUS_LABELS, stack=False, alone=True)
    path.write_bytes(seg_nrrd(np.zeros((13, 10, 3), np.uint8), segments))
    with pytest.raises(ImageContentError, match="does not fit its image"):
        read_mask_on(path, grid, CAMUS_LABELS, stack=False, alone=True)


def nrrd_with(pixels: bytes, *, encoding: str = "gzip", more: str = "") -> bytes:
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 12 10 3\n"
        "space directions: (0.5,0,0) (0,0.5,0) (0,0,1)\nkinds: domain domain domain\n"
        f"encoding: {encoding}\n{more}space origin: (0,0,0)\n\n"
    )
    return header.encode() + pixels


RAW = MASK.tobytes(order="F")
LEFT_BEHIND: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "nrrd, raw": (".nrrd", lambda _: nrrd_with(RAW + BEHIND, encoding="raw")),
    "nrrd, behind gzip": (".nrrd", lambda _: nrrd_with(gzip.compress(RAW) + BEHIND)),
    "nrrd, within gzip": (".nrrd", lambda _: nrrd_with(gzip.compress(RAW + BEHIND))),
    "nrrd, another member": (".nrrd", lambda _: nrrd_with(gzip.compress(RAW) + gzip.compress(BEHIND))),
    "nrrd, skipped bytes": (
        ".nrrd",
        lambda _: nrrd_with(BEHIND + RAW, encoding="raw", more=f"byte skip: {len(BEHIND)}\n"),
    ),
    "nrrd, pixels at the end": (
        ".nrrd",
        lambda _: nrrd_with(BEHIND + RAW, encoding="raw", more="byte skip: -1\n"),
    ),
    "mha, raw": (".mha", lambda path: path.read_bytes() + BEHIND),
    "mha, compressed": (
        ".mha",
        lambda path: (
            path.read_bytes()
            .replace(b"ElementDataFile", b"CompressedData = True\nElementDataFile")
            .replace(RAW, zlib.compress(RAW) + BEHIND)
        ),
    ),
    "nii": (".nii", lambda path: path.read_bytes() + BEHIND),
    "nii.gz": (".nii.gz", lambda path: path.read_bytes() + BEHIND),
}


@pytest.mark.parametrize("case", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_an_uploaded_mask_with_anything_besides_its_pixels_is_refused(
    tmp_path: Path, case: tuple[str, Callable[[Path], bytes]]
) -> None:
    suffix, content = case
    path = save(MASK, AFFINE, tmp_path / f"m{suffix}")
    path.write_bytes(content(path))
    with pytest.raises((ImageContentError, ImageReadError), match=r"m\.(n|m)"):
        read(path)


def test_the_cases_differ_by_what_is_left_behind_only(tmp_path: Path) -> None:
    for pixels, encoding in ((RAW, "raw"), (gzip.compress(RAW), "gzip")):
        path = tmp_path / "m.nrrd"
        path.write_bytes(nrrd_with(pixels, encoding=encoding))
        np.testing.assert_array_equal(read(path), MASK.transpose(2, 1, 0))
    assert nib.load(save(MASK, AFFINE, tmp_path / "m.nii")).shape == MASK.shape
