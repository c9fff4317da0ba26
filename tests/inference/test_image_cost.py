"""The header of an image bounds the memory that the image needs."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiolabel.errors import TooLargeError
from cardiolabel.inference import image_cost as costs
from cardiolabel.inference.image_cost import check_upload, image_cost
from cardiolabel.io import nifti
from cardiolabel.system.memory_budget import MB, Budget

SERVER_BYTES = 1536 * MB

TOO_LARGE = {
    "as many frames as a header can state": (1, 1, 32767),
    "frames, on the fourth axis": (1, 1, 1, 20000),
    "a stack of 30 000 slices": (8, 8, 30000),
    "one giant frame": (16000, 16000),
    "giant frames": (8000, 8000, 4),
    "a line of giant frames": (32767, 600, 8),
    "a long cine of float64": (1024, 768, 300),
}

REAL = {
    "a still": ((708, 1000), np.uint8),
    "a cine of CAMUS": ((800, 1000, 40), np.uint8),
    "a thousand frames of EchoNet": ((112, 112, 1000), np.uint8),
    "300 frames of a scanner's screen": ((1024, 768, 300), np.uint8),
    "300 frames of a scanner's screen in 16 bits": ((1024, 768, 300), np.int16),
    "a stack of MR": ((512, 512, 30), np.int16),
    "a large still": ((3000, 2500), np.float64),
}


def empty_image(path: Path, shape: tuple[int, ...], dtype: object = np.uint8) -> Path:
    """A file of zeros, written without them in memory."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["pixdim"][1:4] = 0.3
    stream = zlib.compressobj(1, wbits=31)
    content = [stream.compress(header.binaryblock + bytes(4))]
    left = math.prod(shape) * header.get_data_dtype().itemsize
    while left > 0:
        content.append(stream.compress(bytes(min(left, 2**22))))
        left -= 2**22
    path.write_bytes(b"".join([*content, stream.flush()]))
    return path


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget:
    server = Budget(SERVER_BYTES)
    monkeypatch.setattr(costs, "budget", server)
    return server


@pytest.mark.parametrize("shape", TOO_LARGE.values(), ids=TOO_LARGE)
def test_an_image_too_large_for_memory_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget, shape: tuple[int, ...]
) -> None:
    dtype = np.float64 if shape[-1] == 300 else np.uint8
    path = tmp_path / "a.nii.gz"
    path.write_bytes(header_of(shape, dtype))
    monkeypatch.setattr(nifti, "read_pixels", lambda *_, **__: pytest.fail("its pixels were read"))
    with pytest.raises(TooLargeError, match=r"a\.nii\.gz.* MB.*at most \d+ MB"):
        check_upload(path)


def header_of(shape: tuple[int, ...], dtype: object) -> bytes:
    """A file's header before as many bytes as make its claim possible."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["pixdim"][1:4] = 0.3
    size = math.prod(shape) * header.get_data_dtype().itemsize
    return gzip.compress(header.binaryblock + bytes(4)) + bytes(size // 1000)


@pytest.mark.parametrize(("shape", "dtype"), REAL.values(), ids=REAL)
def test_usual_images_fit_the_servers_limit(
    tmp_path: Path, budget: Budget, shape: tuple[int, ...], dtype: object
) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(header_of(shape, dtype))
    assert image_cost(path).passing <= SERVER_BYTES


def test_an_upload_within_the_limit_is_accepted(tmp_path: Path, budget: Budget) -> None:
    check_upload(empty_image(tmp_path / "a.nii.gz", (64, 48, 10)))


def test_scaled_values_cost_more_memory(tmp_path: Path) -> None:
    path = empty_image(tmp_path / "a.nii", (64, 48, 10), np.int16)
    content = bytearray(gzip.decompress(path.read_bytes()))
    plain, scaled = tmp_path / "plain.nii", tmp_path / "scaled.nii"
    plain.write_bytes(content)
    content[112:116] = np.float32(2).tobytes()
    scaled.write_bytes(content)
    assert image_cost(scaled).passing > image_cost(plain).passing + 64 * 48 * 10 * 16
