"""Whatever is wrong with a DICOM file, it is an error of this package that names the file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cardiolabel.errors import ImageContentError, ImageReadError, InputError
from cardiolabel.io import dicom_file
from cardiolabel.io.dicom_cine import CineSeries, read_series

from .dicom_files import NORMAL, write_dicom

SHAPE = (16, 12)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two slices of one phase."""
    rng = np.random.default_rng(0)
    return [
        write_dicom(
            tmp_path / f"{at}.dcm",
            rng.integers(0, 4000, SHAPE, dtype=np.uint16),
            position_mm=at * 8 * NORMAL,
            trigger_ms=0,
            instance=at + 1,
        )
        for at in range(2)
    ]


def decoded(files: list[Path]) -> CineSeries:
    series = read_series(files)
    series.stack(0)
    return series


def element(name: bytes, kind: bytes) -> Callable[[bytes], bytes]:
    """Give the element of these four bytes another kind."""

    def change(content: bytes) -> bytes:
        at = content.index(name)
        return content[: at + 4] + kind + content[at + 6 :]

    return change


def length(name: bytes) -> Callable[[bytes], bytes]:
    """Let the element of these four bytes claim all that four or two bytes can."""

    def change(content: bytes) -> bytes:
        at = content.index(name)
        return content[: at + 6] + b"\xff\xff\xff\x7f" + content[at + 10 :]

    return change


ROWS, SPACING, PIXELS = b"\x28\x00\x10\x00", b"\x28\x00\x30\x00", b"\xe0\x7f\x10\x00"
DEEP = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff"
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "unknown kind": element(ROWS, b"ZZ"),
    "number as text": element(ROWS, b"DS"),
    "text as number": element(SPACING, b"FD"),
    "sequence where there is none": element(SPACING, b"SQ"),
    "huge length": length(SPACING),
    "no pixels": lambda content: content[: content.index(PIXELS)],
    "few pixels": lambda content: content[:-100],
    "one byte of pixels": lambda content: content[: content.index(PIXELS) + 13],
    "no header": lambda content: content[:140],
    "nothing": lambda _: b"",
    "no file of this kind": lambda _: b"nothing of the kind" * 100,
    "spacing in words": lambda content: content.replace(b"1.5\\1.2 ", b"wide\\no "),
    "spacing without end": lambda content: content.replace(b"1.5\\1.2 ", b"1e999\\1 "),
    "sequences within each other": lambda content: (
        content[: content.index(ROWS)] + b"\x20\x00\x40\x92SQ\0\0\xff\xff\xff\xff" + DEEP * 5000
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_damaged_file_is_named(files: list[Path], change: Callable[[bytes], bytes]) -> None:
    content = files[1].read_bytes()
    changed = change(content)
    assert changed != content
    files[1].write_bytes(changed)
    with pytest.raises(InputError, match=r"1\.dcm"):
        decoded(files)


def test_whatever_bytes_change_nothing_else_is_raised(files: list[Path]) -> None:
    rng = random.Random(0)  # noqa: S311 - repeatable
    content = files[1].read_bytes()
    outcomes = set()
    for _ in range(600):
        changed = bytearray(content)
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(132, len(changed))
            end = at + rng.randrange(1, 6)
            changed[at:end] = rng.choice((rng.randbytes(end - at), b"\xff" * (end - at), b"", b"SQ", b"UN"))
        files[1].write_bytes(changed)
        try:
            decoded(files)
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("frames", [2, 2**31 - 1])
def test_frames_are_counted_before_they_are_decoded(files: list[Path], frames: int) -> None:
    dataset = dcmread(files[1])
    dataset.NumberOfFrames = frames
    dataset.save_as(files[1])
    with pytest.raises(ImageContentError, match=rf"1\.dcm: \({frames}, 16, 12\) pixels"):
        decoded(files)


def test_a_file_compressed_as_a_whole_is_inflated_up_to_the_limit(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = decoded(files).stack(0).pixels
    dataset = dcmread(files[1])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(files[1])
    np.testing.assert_array_equal(decoded(files).stack(0).pixels, before)
    monkeypatch.setattr(dicom_file, "MAX_FILE_BYTES", files[1].stat().st_size)
    with pytest.raises(ImageContentError, match=r"\.dcm: more than"):
        decoded(files)


def test_a_file_that_is_too_long_is_not_read_whole(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_file, "MAX_FILE_BYTES", 300)
    with pytest.raises(ImageContentError, match=r"1\.dcm: more than"):
        dicom_file.read_dataset(files[1])


@pytest.mark.filterwarnings("ignore:Invalid value")  # of what writes the file
@pytest.mark.parametrize(("slope", "intercept"), [("nan", "0"), ("inf", "0"), ("0", "0"), ("1", "-inf")])
def test_a_scale_that_is_none_is_refused(files: list[Path], slope: str, intercept: str) -> None:
    dataset = dcmread(files[1])
    dataset.add_new(0x00281053, "UN", slope.encode())
    dataset.add_new(0x00281052, "UN", intercept.encode())
    dataset.save_as(files[1])
    with pytest.raises((ImageContentError, ImageReadError), match=r"1\.dcm"):
        decoded(files)
