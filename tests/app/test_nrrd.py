"""NRRD files are what ITK would have written, whatever the image's geometry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from .conftest import APP, ROOT

CODE = """
import sys
from pathlib import Path
from cardiolabel.io import nifti
from lib.files import masks
image, target = Path(sys.argv[1]), Path(sys.argv[2])
grid = nifti.read(image).grid
made = masks.write((nifti.read(image).clip.pixels > 7).astype("uint8"), grid, ".nrrd", like=image)
target.write_bytes(made.read_bytes())
"""
AFFINES = {
    "echo": [[-0.3, 0, 0, 4], [0, -0.4, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1.0]],
    "oblique": [[0.9, -0.4, 0, 4], [0.4, 0.9, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1.0]],
    "tilted": [[0.8, 0, 0.6, 1], [0, 1.2, 0, 2], [-0.6, 0, 0.8, 3], [0, 0, 0, 1.0]],
}


def header(path: Path) -> tuple[list[str], list[float]]:
    """Words and numbers before the pixels."""
    parts = re.split(r"[\s(),]+", path.read_bytes().partition(b"\n\n")[0].decode("ascii"))
    is_number = [re.fullmatch(r"-?\d[\d.e+-]*", part) is not None for part in parts]
    words = [part for part, number in zip(parts, is_number, strict=True) if not number]
    return words, [float(part) for part, number in zip(parts, is_number, strict=True) if number]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)], ids=["still", "stack"])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_mask_is_what_itk_writes(shape: tuple[int, ...], affine: list[list[float]], tmp_path: Path) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.int16)
    source, ours, theirs = (tmp_path / name for name in ("image.nii.gz", "ours.nrrd", "theirs.nrrd"))
    nib.Nifti1Image(pixels, np.array(affine)).to_filename(source)
    path = f"{APP}:{ROOT / 'lib'}"
    made = subprocess.run(
        [sys.executable, "-c", CODE, source, ours], env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    result = sitk.ReadImage(str(ours))
    same = sitk.GetImageFromArray(sitk.GetArrayFromImage(result))
    same.CopyInformation(result)
    sitk.WriteImage(same, str(theirs), useCompression=True)
    (words, numbers), (their_words, their_numbers) = header(ours), header(theirs)
    assert words == their_words and numbers == pytest.approx(their_numbers, abs=1e-12)
    assert np.array_equal(sitk.GetArrayFromImage(result).squeeze(), (pixels.T > 7))
    image = sitk.ReadImage(str(source))
    if len(shape) == 3:  # ITK forgets the third axis of a still
        assert result.GetOrigin() == pytest.approx(image.GetOrigin())
        assert result.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
    assert result.GetSpacing()[:2] == pytest.approx(image.GetSpacing()[:2], rel=1e-5)
