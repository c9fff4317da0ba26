"""Whatever is uploaded holds a header and its pixels, and nothing that could be anything else."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import nifti

SPACING = Spacing(row_mm=0.3, col_mm=0.3)
PIXELS = np.arange(2 * 16 * 12, dtype=np.uint8).reshape(2, 16, 12)


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("sitecustomize.py", "raise SystemExit")
    return packed.getvalue()


def plain(folder: Path) -> bytes:
    nifti.write_clip(Clip(PIXELS, SPACING), folder / "plain.nii")
    return (folder / "plain.nii").read_bytes()


def shifted(content: bytes, between: bytes) -> bytes:
    header = nib.Nifti1Header(content[:348])
    header["vox_offset"] = 348 + len(between)
    return bytes(header.binaryblock) + between + content[352:]


def gzip_with(content: bytes, *, flags: int, fields: bytes) -> bytes:
    packed = gzip.compress(content, mtime=0)
    return packed[:3] + bytes([flags]) + packed[4:10] + fields + packed[10:]


LEFT_BEHIND: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a zip archive": (".nii", lambda content: content + archive()),
    "one byte": (".nii", lambda content: content + b"\0"),
    "zeros": (".nii", lambda content: content + bytes(65536)),
    "a zip archive within gzip": (
        ".nii.gz",
        lambda content: gzip.compress(content + archive()),
    ),
    "a zip archive behind gzip": (".nii.gz", lambda content: gzip.compress(content) + archive()),
    "zeros behind gzip": (".nii.gz", lambda content: gzip.compress(content) + bytes(9)),
    "a zip archive behind zeros behind gzip": (
        ".nii.gz",
        lambda content: gzip.compress(content) + bytes(9) + archive(),
    ),
    "another gzip member": (".nii.gz", lambda content: gzip.compress(content) + gzip.compress(archive())),
    "an empty gzip member": (".nii.gz", lambda content: gzip.compress(content) + gzip.compress(b"")),
    "an extension": (".nii", lambda content: shifted(content, b"\1\0\0\0" + archive().ljust(512, b"\0"))),
    "bytes before the pixels": (".nii", lambda content: shifted(content, bytes(4) + archive())),
    "a comment of gzip": (
        ".nii.gz",
        lambda content: gzip_with(content, flags=16, fields=archive().replace(b"\0", b"\1") + b"\0"),
    ),
    "an extra field of gzip": (
        ".nii.gz",
        lambda content: gzip_with(content, flags=4, fields=len(archive()).to_bytes(2, "little") + archive()),
    ),
    "an endless name of gzip": (
        ".nii.gz",
        lambda content: gzip_with(content, flags=8, fields=b"a" * 9000 + b"\0"),
    ),
}


@pytest.mark.parametrize("case", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_an_image_with_anything_besides_its_pixels_is_refused(
    tmp_path: Path, case: tuple[str, Callable[[bytes], bytes]]
) -> None:
    suffix, add = case
    path = tmp_path / f"a{suffix}"
    path.write_bytes(add(plain(tmp_path)))
    for read in (nifti.read, nifti.read_placed_mask):
        with pytest.raises((ImageContentError, ImageReadError), match=f"^{path.name}: "):
            read(path, alone=True)


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [
        (".nii", lambda content: content),
        (".nii", lambda content: shifted(content, bytes(164))),
        (".nii.gz", gzip.compress),
        (".nii.gz", lambda content: gzip_with(content, flags=8, fields=b"patient.nii\0")),
        (".nii.gz", lambda content: gzip_with(content, flags=8, fields="Grüße.nii\0".encode("latin-1"))),
    ],
)
def test_what_common_programs_write_is_read(
    tmp_path: Path, suffix: str, packed: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(packed(plain(tmp_path)))
    np.testing.assert_array_equal(nifti.read(path, alone=True).clip.pixels, PIXELS)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_what_this_package_and_nibabel_write_holds_nothing_else(tmp_path: Path, name: str) -> None:
    nifti.write_clip(Clip(PIXELS, SPACING), tmp_path / name)
    nib.save(nib.Nifti1Image(PIXELS.T, np.diag([0.3, 0.3, 1, 1])), tmp_path / f"nibabel_{name}")
    for path in tmp_path.iterdir():
        assert nifti.read(path, alone=True).clip.shape == PIXELS.shape
