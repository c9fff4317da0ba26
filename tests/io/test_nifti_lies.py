"""NIfTI headers that lie: what is read is what ITK reads of the file, and anything else is refused."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import nifti

PIXELS = np.arange(5 * 4 * 3).reshape(5, 4, 3).astype(np.int16)
NAN, INF = float("nan"), float("inf")

OFFSET, SCALING, UNIT, PIXDIM, BITPIX, DATATYPE, DIM, MAGIC = 108, 112, 123, 76, 72, 70, 40, 344

Edit = tuple[int, str, tuple[Any, ...]]

LIES: dict[str, Edit] = {
    **{f"pixels begin at {at}": (OFFSET, "<f", (at,)) for at in (0, 100, 344, 348, 351, 353, 352.5, 1e9)},
    **{f"pixels begin at {at}": (OFFSET, "<f", (at,)) for at in (-5, NAN, INF, -INF)},
    **{f"unit {code}": (UNIT, "<B", (code,)) for code in (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 24, 255)},
    **{
        f"scaled by {slope}, moved by {inter}": (SCALING, "<ff", (slope, inter))
        for slope in (0, 1, 2, -2, NAN, INF, 1e38, 1e-40)
        for inter in (0, 5, NAN, INF)
    },
    "negative sizes": (PIXDIM + 4, "<fff", (-0.5, -0.7, -8)),
    **{f"qfac {value}": (PIXDIM, "<f", (value,)) for value in (-1, 0, 5)},
    **{f"{bits} bits": (BITPIX, "<h", (bits,)) for bits in (0, 8, 32, 64)},
    **{f"type {code}": (DATATYPE, "<h", (code,)) for code in (0, 1, 2, 8, 16, 64, 128, 256, 512, 999)},
    **{f"{axes} axes": (DIM, "<h", (axes,)) for axes in (0, 1, 4, 5, 8, -3, 768)},
    **{f"third axis of {length}": (DIM + 6, "<h", (length,)) for length in (0, 1, 2, 4, -3)},
    **{f"magic {text!r}": (MAGIC, "4s", (text,)) for text in (b"\0\0\0\0", b"ni1\0", b"xyz\0", b"n+2\0")},
    **{f"header of {size} bytes": (0, "<i", (size,)) for size in (0, 349, -348)},
}


def content(path: Path) -> bytes:
    image = nib.Nifti1Image(PIXELS, np.diag([-0.5, -0.7, 8, 1]))
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nib.save(image, path)
    return path.read_bytes()


def by_itk(path: Path) -> tuple[NDArray[Any], tuple[float, ...]] | None:
    """Pixels ``(T, H, W)`` and spacing as ITK reads them; None where it refuses the file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError:
        return None
    return sitk.GetArrayFromImage(image), image.GetSpacing()


def check_read_as_itk_does(path: Path) -> bool:
    """Whether a file is read; what is read must be what ITK reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nifti.read(path)
    except (ImageReadError, ImageContentError) as error:
        assert str(error).startswith(path.name)
        return False
    reference = by_itk(path)
    assert reference is not None, "ITK refuses it"
    pixels, spacing_mm = reference
    assert image.clip.pixels.shape == pixels.reshape(image.clip.pixels.shape).shape
    np.testing.assert_allclose(image.clip.pixels, pixels.reshape(image.clip.pixels.shape), rtol=1e-6)
    spacing = image.grid.spacing
    assert spacing is not None
    np.testing.assert_allclose([spacing.col_mm, spacing.row_mm], spacing_mm[:2], rtol=1e-6)
    if len(image.clip.pixels) > 1:
        np.testing.assert_allclose(image.grid.slice_spacing_mm, spacing_mm[2], rtol=1e-6)
    return True


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_header_that_lies_is_read_as_itk_reads_it_or_refused(tmp_path: Path, lie: Edit) -> None:
    path = tmp_path / "a.nii"
    at, layout, values = lie
    lying = bytearray(content(path))
    struct.pack_into(layout, lying, at, *values)
    path.write_bytes(lying)
    check_read_as_itk_does(path)


@pytest.mark.parametrize("unit", [0, 1, 2, 3])
def test_units_of_length_are_read_as_itk_reads_them(tmp_path: Path, unit: int) -> None:
    path = tmp_path / "a.nii"
    header = bytearray(content(path))
    header[UNIT] = unit
    path.write_bytes(header)
    assert check_read_as_itk_does(path)


@pytest.mark.parametrize("begin", [352, 368, 512, 4096])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_are_read_from_where_they_begin(tmp_path: Path, begin: int, order: str) -> None:
    path = tmp_path / "a.nii"
    content(path)
    header = nib.load(path).header.as_byteswapped(order)
    header["vox_offset"] = begin
    pixels = PIXELS.astype(np.dtype(np.int16).newbyteorder(order)).tobytes(order="F")
    path.write_bytes(header.binaryblock + bytes(begin - len(header.binaryblock)) + pixels)
    assert check_read_as_itk_does(path)


@pytest.mark.parametrize("begin", [0, 1, 347, 348, 351])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_pixels_within_the_header_are_refused(tmp_path: Path, begin: int, kind: Any, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    nib.save(kind(PIXELS, np.diag([-0.5, -0.7, 8, 1])), tmp_path / "b.nii")
    image = nib.load(tmp_path / "b.nii")
    header = image.header.copy()
    header["vox_offset"] = begin
    lying = header.binaryblock + bytes(4) + PIXELS.tobytes(order="F")
    path.write_bytes(nifti._packed(lying, suffix == ".nii.gz"))
    with pytest.raises(ImageReadError, match="vox_offset"):
        nifti.read(path)
