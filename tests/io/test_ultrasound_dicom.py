"""Ultrasound DICOM: pixels, calibration, times, and what is refused."""

from __future__ import annotations

import random
import resource
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from cardiolabel.domain import Clip, Spacing, View
from cardiolabel.errors import ImageContentError, ImageReadError, InputError, TooLargeError
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.io.images import read_image, read_image_header

DATA = Path(__file__).parents[3] / "shared" / "data" / "us_dicom"
SPACING = Spacing(row_mm=0.4, col_mm=0.3)
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs {DATA.name}, public ultrasound files")


def picture(frames: int = 3, rows: int = 64, cols: int = 80) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (frames, rows, cols), dtype=np.uint8)


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    path = tmp_path / "cine.dcm"
    write_ultrasound(Clip(picture(), SPACING, 25.0), path, Identity("p1"), view=View.A4C)
    return path


def changed(path: Path, **tags: object) -> Path:
    dataset = dcmread(path)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def region(dataset: Dataset, **tags: object) -> Dataset:
    for name, value in tags.items():
        setattr(dataset.SequenceOfUltrasoundRegions[0], name, value)
    return dataset


def with_region(path: Path, **tags: object) -> Path:
    region(dataset := dcmread(path), **tags)
    dataset.save_as(path)
    return path


def test_the_tissue_is_cropped_and_has_its_size_and_rate(cine: Path) -> None:
    image = read_image(cine)
    np.testing.assert_array_equal(image.clip.pixels, picture())
    assert image.clip.spacing == pytest.approx(SPACING) or image.clip.spacing == SPACING
    assert image.clip.frame_rate_hz == pytest.approx(25.0)
    assert image.note == ""


def test_the_header_alone_tells_the_same_grid(cine: Path) -> None:
    header, image = read_image_header(cine), read_image(cine)
    assert header.grid.shape == image.grid.shape
    np.testing.assert_array_equal(header.grid.affine, image.grid.affine)


def test_masks_lie_where_the_whole_frame_does(cine: Path) -> None:
    """The first cropped pixel is 48 columns and 32 rows from the frame's corner."""
    col, row = 48 * SPACING.col_mm, 32 * SPACING.row_mm
    np.testing.assert_allclose(read_image(cine).grid.affine_mm[:2, 3], (-col, -row))


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=["RLE", "JPEG 2000", "JPEG-LS"]
)
def test_lossless_compression_changes_nothing(cine: Path, syntax: UID) -> None:
    dataset = dcmread(cine)
    try:
        dataset.compress(syntax)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        pytest.skip(f"no encoder here: {error}")
    dataset.save_as(cine)
    np.testing.assert_array_equal(read_image(cine).clip.pixels, picture())


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], ids=["implicit", "deflated"]
)
def test_uncompressed_encodings_change_nothing(cine: Path, syntax: UID) -> None:
    dataset = dcmread(cine)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(cine)
    np.testing.assert_array_equal(read_image(cine).clip.pixels, picture())


def test_monochrome1_is_inverted(cine: Path) -> None:
    changed(cine, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(cine).clip.pixels, 255 - picture())


def test_sixteen_bits_are_kept(tmp_path: Path, cine: Path) -> None:
    dataset = dcmread(cine)
    wide = dataset.pixel_array.astype(np.uint16) * 100
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelData = wide.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(cine)
    np.testing.assert_array_equal(read_image(cine).clip.pixels, picture().astype(np.uint16) * 100)


def coloured(path: Path, rgb: NDArray[np.uint8], photometric: str = "RGB") -> Path:
    dataset = dcmread(path)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = photometric
    frames, rows, cols = rgb.shape[:3]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames, rows, cols
    dataset.PixelData = rgb.tobytes()
    dataset.save_as(path)
    return path


def test_grey_stored_as_colour_is_grey(cine: Path) -> None:
    grey = dcmread(cine).pixel_array
    coloured(cine, np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_array_equal(read_image(cine).clip.pixels, picture())


def test_the_luma_of_ybr_is_returned_as_stored(cine: Path) -> None:
    grey = dcmread(cine).pixel_array
    coloured(cine, np.stack([grey, *[np.full_like(grey, 128)] * 2], axis=-1), "YBR_FULL")
    np.testing.assert_array_equal(read_image(cine).clip.pixels, picture())


def test_one_tint_over_all_grey_levels_is_no_colour_picture(cine: Path) -> None:
    grey = dcmread(cine).pixel_array.astype(np.float64)
    coloured(cine, np.stack([grey, 0.9 * grey, 0.7 * grey], axis=-1).astype(np.uint8))
    assert read_image(cine).clip.shape == (3, 64, 80)


def test_colour_doppler_is_refused_by_its_colours(cine: Path) -> None:
    rgb = np.repeat(dcmread(cine).pixel_array[..., None], 3, axis=-1)
    rgb[:, 50:70, 70:100] = (220, 40, 0)
    with pytest.raises(ImageContentError, match="colour Doppler"):
        read_image(coloured(cine, rgb))


def test_colour_doppler_is_refused_by_its_region(cine: Path) -> None:
    with pytest.raises(ImageContentError, match="colour Doppler"):
        read_image(with_region(cine, RegionDataType=2))


@pytest.mark.parametrize(("code", "name"), [(2, "M-mode"), (3, "spectral Doppler")])
def test_other_pictures_are_refused_by_name(cine: Path, code: int, name: str) -> None:
    with pytest.raises(ImageContentError, match=name):
        read_image(with_region(cine, RegionSpatialFormat=code))


def test_two_pictures_beside_each_other_are_refused(cine: Path) -> None:
    dataset = dcmread(cine)
    second = Dataset()
    second.update(dataset.SequenceOfUltrasoundRegions[0])
    second.RegionLocationMinX0, second.RegionLocationMaxX1 = 60, 139
    dataset.SequenceOfUltrasoundRegions.append(second)
    dataset.save_as(cine)
    with pytest.raises(ImageContentError, match="two 2-D pictures"):
        read_image(cine)


def test_a_spectrum_below_the_picture_does_not_matter(cine: Path) -> None:
    dataset = dcmread(cine)
    second = Dataset()
    second.RegionSpatialFormat, second.RegionDataType = 3, 4
    dataset.SequenceOfUltrasoundRegions.append(second)
    dataset.save_as(cine)
    assert read_image(cine).clip.spacing is not None


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"RegionLocationMaxX1": 4000}, "does not fit its 144 x 112 frames"),
        ({"PhysicalUnitsXDirection": 4}, "units of code 4"),
        ({"PhysicalDeltaX": 0.0}, "states pixels of"),
        ({"PhysicalDeltaY": 40.0}, "states pixels of"),
    ],
    ids=["outside the frame", "seconds", "zero", "metres"],
)
def test_a_calibration_that_cannot_be_is_refused_and_the_image_read(
    cine: Path, tags: dict[str, object], reason: str
) -> None:
    image = read_image(with_region(cine, **tags))
    assert image.clip.spacing is None and reason in image.note


def test_regions_at_one_place_that_contradict_each_other_give_no_size(cine: Path) -> None:
    dataset = dcmread(cine)
    (first,) = dataset.SequenceOfUltrasoundRegions
    other = deepcopy(first)
    other.PhysicalDeltaX = 2 * first.PhysicalDeltaX
    dataset.SequenceOfUltrasoundRegions = [first, other]
    dataset.save_as(cine)
    image = read_image(cine)
    assert image.clip.spacing is None and "differs between" in image.note


@pytest.mark.parametrize(("factor", "is_sized"), [(1.0, True), (1.5, False)])
def test_sizes_of_single_frames_are_compared(cine: Path, factor: float, is_sized: bool) -> None:
    dataset = dcmread(cine)
    frames = []
    for scale in (1.0, factor, 1.0):
        group, frame = Dataset(), Dataset()
        (own,) = deepcopy(dataset.SequenceOfUltrasoundRegions)
        own.PhysicalDeltaX = scale * own.PhysicalDeltaX
        group.SequenceOfUltrasoundRegions = [own]
        frame.add_new((0x0018, 0x9807), "SQ", [group])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.save_as(cine)
    assert (read_image(cine).clip.spacing is not None) == is_sized


def test_frames_that_are_unevenly_spaced_are_noted(cine: Path) -> None:
    assert read_image(changed(cine, FrameTimeVector=[0, 40, 40])).note == ""
    image = read_image(changed(cine, FrameTimeVector=[0, 20, 60]))
    assert image.clip.frame_rate_hz == pytest.approx(25) and "20 to 60 ms" in image.note


def test_a_corner_one_beyond_the_frame_is_taken(cine: Path) -> None:
    image = read_image(with_region(cine, RegionLocationMaxX1=144, RegionLocationMaxY1=112))
    assert image.clip.shape == (3, 80, 96) and image.clip.spacing is not None


@pytest.mark.parametrize(
    ("tags", "rate_hz"),
    [
        ({"FrameTime": "20"}, 50.0),
        ({"FrameTime": None, "FrameTimeVector": ["0", "10", "30"]}, 50.0),
        ({"FrameTime": None, "CineRate": "60"}, 60.0),
        ({"FrameTime": "0"}, None),
        ({"FrameTime": "1e9"}, None),
    ],
)
def test_the_frame_rate_is_the_mean_of_what_the_tags_say(
    cine: Path, tags: dict[str, object], rate_hz: float | None
) -> None:
    rate = read_image(changed(cine, **tags)).clip.frame_rate_hz
    assert rate == (None if rate_hz is None else pytest.approx(rate_hz))


def test_other_modalities_and_files_without_image_are_refused_by_name(cine: Path) -> None:
    with pytest.raises(ImageContentError, match="modality CT"):
        read_image(changed(cine, Modality="CT"))
    dataset = dcmread(cine)
    del dataset.Rows
    dataset.save_as(cine)
    with pytest.raises(ImageContentError, match="holds no image"):
        read_image(cine)


@pytest.mark.parametrize("frames", [4, 10**5, 2**31 - 1])
def test_more_frames_than_bytes_are_refused_at_once(cine: Path, frames: int) -> None:
    with pytest.raises((ImageContentError, ImageReadError, TooLargeError)):
        read_image(changed(cine, NumberOfFrames=frames))


def test_truncated_files_are_refused(cine: Path) -> None:
    content = cine.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.9):
        cine.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError):
            read_image(cine)


@needs_data
def test_a_real_cine_has_its_size_and_rate() -> None:
    clip = read_image(DATA / "color3d_jpeg_baseline.dcm").clip
    assert clip.shape == (120, 384, 512) and clip.spacing is not None
    assert clip.spacing.row_mm == pytest.approx(0.510497, abs=1e-6)
    assert clip.frame_rate_hz == pytest.approx(30.0, abs=0.01)


@needs_data
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", "0.2548"),
        ("OBXXXX1A_2frame.dcm", "0.2623"),
        ("US1_J2KR.dcm", "colour"),
        ("examples_ybr_color.dcm", "does not fit its 320 x 240 frames"),
        ("gdcm-US-ALOKA-16.dcm", "two 2-D pictures"),
        ("gdcm-US-RGB-8-epicard.dcm", "colour"),
    ],
)
def test_public_files_are_read_or_refused_with_the_reason(name: str, outcome: str) -> None:
    try:
        image = read_image(DATA / name)
        shown = image.note or f"{image.clip.spacing.row_mm:.4f}" if image.clip.spacing else image.note
    except ImageContentError as error:
        shown = str(error)
    assert outcome in shown


def variant(content: bytes, seed: int) -> bytes:
    """A file that was cut, changed in some bits or bytes, lost a part, or claims an impossible length."""
    rng, damaged = random.Random(seed), bytearray(content)  # noqa: S311  repeatable damage
    start = min(len(damaged), 4000)
    kind = seed % 5
    if kind == 0:
        del damaged[rng.randrange(len(damaged)) :]
    elif kind == 1:
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        for _ in range(rng.randrange(1, 10)):
            damaged[rng.randrange(start)] = rng.randrange(256)
    elif kind == 3:
        at = rng.randrange(len(damaged))
        del damaged[at : at + rng.randrange(1, 2000)]
    else:
        at = rng.randrange(start)
        damaged[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(damaged)


def read_or_refused(path: Path) -> bool:
    """Whether a file is read; any error but this package's fails the test, and so do two seconds."""
    started = time.monotonic()
    try:
        assert read_image(path).clip.pixels.ndim == 3
        return True
    except InputError:
        return False
    finally:
        assert time.monotonic() - started < 2


def test_damaged_files_are_read_or_refused(cine: Path) -> None:
    content = cine.read_bytes()
    outcomes = set()
    for seed in range(150):
        cine.write_bytes(variant(content, seed))
        outcomes.add(read_or_refused(cine))
    assert outcomes == {True, False}


@needs_data
@pytest.mark.long
def test_a_thousand_damaged_public_files_are_read_or_refused(tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in sorted(DATA.glob("*.dcm"))]
    path = tmp_path / "a.dcm"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = set()
    for seed in range(1000):
        path.write_bytes(variant(contents[seed % len(contents)], seed))
        outcomes.add(read_or_refused(path))
    assert outcomes == {True, False}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024**2  # kB
