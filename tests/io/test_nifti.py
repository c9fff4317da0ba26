"""NIfTI in and out: axes, spacing whatever the affine, and every way a file can be unusable."""

from __future__ import annotations

import gzip
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import limits, nifti
from cardiolabel.io.grid import Grid

SPACING = Spacing(row_mm=0.5, col_mm=0.75)


def numbered(frames: int = 3, rows: int = 4, cols: int = 5, dtype: Any = np.uint8) -> NDArray[Any]:
    """A clip in which every pixel differs, so that a swapped or flipped axis shows."""
    return np.arange(frames * rows * cols).reshape(frames, rows, cols).astype(dtype)


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([0.75, 0.5, 1, 1]) if affine is None else affine), path)
    return path


def row_col_mm(spacing: Spacing | None) -> tuple[float, float]:
    assert spacing is not None
    return spacing.row_mm, spacing.col_mm


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.NII.GZ"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_axes_are_time_depth_lateral(tmp_path: Path, name: str, dtype: Any) -> None:
    frames = numbered(dtype=dtype)
    path = save(tmp_path / name, frames.transpose(2, 1, 0))
    image = nifti.read(path)
    np.testing.assert_array_equal(image.clip.pixels, frames)
    assert image.clip.pixels.dtype == dtype
    assert row_col_mm(image.clip.spacing) == pytest.approx((0.5, 0.75))
    assert image.grid.shape == (5, 4, 3)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 1, 1)])
def test_a_still_is_one_frame(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames = numbered(frames=1)
    image = nifti.read(save(tmp_path / "a.nii.gz", frames[0].T.reshape(shape)))
    np.testing.assert_array_equal(image.clip.pixels, frames)


def test_a_cine_may_have_an_axis_of_one_slice(tmp_path: Path) -> None:
    frames = numbered()
    image = nifti.read(save(tmp_path / "a.nii.gz", frames.transpose(2, 1, 0)[:, :, np.newaxis, :]))
    np.testing.assert_array_equal(image.clip.pixels, frames)
    assert image.grid.shape == (5, 4, 1, 3)


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_the_affine_s_signs_change_nothing(tmp_path: Path, signs: tuple[int, int]) -> None:
    frames = numbered()
    affine = np.diag([signs[0] * 0.75, signs[1] * 0.5, 1, 1])
    clip = nifti.read(save(tmp_path / "a.nii.gz", frames.transpose(2, 1, 0), affine)).clip
    np.testing.assert_array_equal(clip.pixels, frames)
    assert row_col_mm(clip.spacing) == pytest.approx((0.5, 0.75))


def test_a_rotated_affine_gives_its_column_norms(tmp_path: Path) -> None:
    angle = np.deg2rad(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag([0.75, 0.5, 1])
    clip = nifti.read(save(tmp_path / "a.nii.gz", numbered().transpose(2, 1, 0), affine)).clip
    assert row_col_mm(clip.spacing) == pytest.approx((0.5, 0.75), rel=1e-6)


def test_permuted_affine_keeps_the_array_order(tmp_path: Path) -> None:
    affine = np.array([[0, 0.5, 0, 0], [0.75, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    frames = numbered()
    clip = nifti.read(save(tmp_path / "a.nii.gz", frames.transpose(2, 1, 0), affine)).clip
    np.testing.assert_array_equal(clip.pixels, frames)
    assert row_col_mm(clip.spacing) == pytest.approx((0.5, 0.75))


def test_scaled_integers_are_read_as_what_they_mean(tmp_path: Path) -> None:
    image = nib.Nifti1Image(numbered(dtype=np.int16).transpose(2, 1, 0), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    raw = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(
        nifti.read(tmp_path / "a.nii").clip.pixels, np.asarray(raw.dataobj).transpose(2, 1, 0)
    )


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_clip_comes_back_as_it_was_written(tmp_path: Path, name: str, frames: int) -> None:
    clip = Clip(numbered(frames=frames), SPACING, frame_rate_hz=50.0)
    nifti.write_clip(clip, tmp_path / name)
    back = nifti.read(tmp_path / name)
    np.testing.assert_array_equal(back.clip.pixels, clip.pixels)
    assert back.clip.pixels.dtype == np.uint8
    assert row_col_mm(back.clip.spacing) == pytest.approx((0.5, 0.75))
    assert back.grid.shape == ((5, 4) if frames == 1 else (5, 4, 3))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("frames", [1, 3])
def test_without_calibration_there_is_none_after_a_round_trip(tmp_path: Path, frames: int) -> None:
    nifti.write_clip(Clip(numbered(frames=frames), None), tmp_path / "a.nii.gz")
    assert nifti.read(tmp_path / "a.nii.gz").clip.spacing is None


def test_masks_without_calibration_still_fit_their_image(tmp_path: Path) -> None:
    nifti.write_clip(Clip(numbered(), None), tmp_path / "a.nii.gz")
    grid = nifti.read(tmp_path / "a.nii.gz").grid
    masks = numbered() % 4
    nifti.write_mask_like(masks, tmp_path / "m.nii.gz", grid=grid)
    np.testing.assert_array_equal(nifti.read_mask(tmp_path / "m.nii.gz"), masks)
    assert nifti.read(tmp_path / "m.nii.gz").clip.spacing is None


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 1, 1), (5, 4, 3), (5, 4, 1, 3)])
def test_a_mask_takes_the_shape_and_affine_of_its_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    affine = np.array([[0, 0.5, 0, 7], [-0.75, 0, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1]])
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.uint8), affine)
    masks = numbered(frames=3 if 3 in shape else 1) % 4
    nifti.write_mask_like(masks, tmp_path / "m.nii.gz", grid=nifti.read(path).grid)
    written = nib.load(tmp_path / "m.nii.gz")
    assert written.shape == shape
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_allclose(written.affine, affine)
    np.testing.assert_array_equal(nifti.read_mask(tmp_path / "m.nii.gz"), masks)


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 4, 5), (60, 1, 1)])
def test_a_mask_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    grid = nifti.read(save(tmp_path / "a.nii.gz", numbered().transpose(2, 1, 0))).grid
    with pytest.raises(ImageContentError, match="do not fit"):
        nifti.write_mask_like(np.zeros(shape, np.uint8), tmp_path / "m.nii.gz", grid=grid)
    assert not (tmp_path / "m.nii.gz").exists()


def test_a_mask_is_written_with_its_spacing(tmp_path: Path) -> None:
    masks = numbered() % 4
    nifti.write_mask(masks, tmp_path / "m.nii.gz", spacing=SPACING)
    np.testing.assert_array_equal(nifti.read_mask(tmp_path / "m.nii.gz"), masks)
    assert row_col_mm(nifti.read(tmp_path / "m.nii.gz").clip.spacing) == pytest.approx((0.5, 0.75))


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_masks_of_any_numeric_type_become_uint8(tmp_path: Path, dtype: Any) -> None:
    masks = nifti.read_mask(save(tmp_path / "m.nii.gz", (numbered() % 4).astype(dtype).transpose(2, 1, 0)))
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, numbered() % 4)


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, np.nan, np.inf])
def test_masks_hold_whole_numbers_up_to_255(tmp_path: Path, value: float) -> None:
    array = np.zeros((5, 4), np.float32)
    array[2, 2] = value
    path = save(tmp_path / "m.nii.gz", array)
    with pytest.raises(ImageContentError, match=r"m\.nii\.gz.*whole numbers"):
        nifti.read_mask(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_numbers_are_refused_with_their_count(tmp_path: Path, value: float) -> None:
    array = np.zeros((5, 4, 3), np.float32)
    array[1, 1, :2] = value
    with pytest.raises(ImageContentError, match=r"a\.nii\.gz.* 2 NaN"):
        nifti.read(save(tmp_path / "a.nii.gz", array))


@pytest.mark.parametrize("read", [nifti.read, nifti.read_mask])
@pytest.mark.parametrize("shape", [(5,), (5, 4, 2, 3), (5, 4, 1, 3, 2), (0, 4), (5, 4, 0)])
def test_other_shapes_are_refused_by_name(tmp_path: Path, shape: tuple[int, ...], read: Any) -> None:
    path = save(tmp_path / "a.nii", np.zeros(shape, np.uint8))
    with pytest.raises((ImageContentError, ImageReadError), match=r"a\.nii"):
        read(path)


@pytest.mark.parametrize("read", [nifti.read, nifti.read_mask])
def test_colour_is_refused(tmp_path: Path, read: Any) -> None:
    rgb = np.zeros((5, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(ImageContentError, match=r"a\.nii\.gz"):
        read(save(tmp_path / "a.nii.gz", rgb))


@pytest.mark.parametrize("read", [nifti.read, nifti.read_mask])
def test_complex_values_are_refused(tmp_path: Path, read: Any) -> None:
    with pytest.raises(ImageContentError, match=r"a\.nii\.gz"):
        read(save(tmp_path / "a.nii.gz", np.zeros((5, 4), np.complex64)))


@pytest.mark.parametrize("keep", [0, 5, 20, 200, -20, -1])
def test_truncated_gzip(tmp_path: Path, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    path = save(tmp_path / "a.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImageReadError, match=r"a\.nii\.gz"):
        nifti.read(path)


@pytest.mark.parametrize("keep", [0, 100, 348, 352, 400])
def test_truncated_plain(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "a.nii", np.ones((64, 48, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImageReadError, match=r"a\.nii"):
        nifti.read(path)


@pytest.mark.parametrize("where", [30, 500, 2000])
def test_damaged_gzip_is_noticed(tmp_path: Path, where: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    path = save(tmp_path / "a.nii.gz", noise)
    content = bytearray(path.read_bytes())
    content[where : where + 8] = bytes(byte ^ 0xFF for byte in content[where : where + 8])
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=r"a\.nii\.gz"):
        nifti.read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nii.gz", b"not gzip at all"),
        ("a.nii.gz", gzip.compress(b"gzip, but not NIfTI" * 40, mtime=0)),
        ("a.nii", b"\0" * 400),
        ("a.nii", bytes(range(256)) * 4),
    ],
)
def test_other_content(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageReadError, match=name):
        nifti.read(tmp_path / name)


def test_a_header_that_claims_terabytes_is_not_believed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.ones((5, 4, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=r"a\.nii"):
        nifti.read(path)


@pytest.mark.parametrize("name", ["a.png", "a.hdr", "a.nii.bak", "a"])
def test_wrong_extension(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImageReadError, match="NIfTI"):
        nifti.read(tmp_path / name)


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no such file"):
        nifti.read(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").mkdir()
    with pytest.raises(ImageReadError, match=r"b\.nii\.gz"):
        nifti.read(tmp_path / "b.nii.gz")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii.gz"
    nifti.write_clip(Clip(numbered(), SPACING), path)
    before = path.read_bytes()

    def full_disk(draft: Path, content: bytes) -> None:
        with draft.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="disk full"):
        nifti.write_clip(Clip(numbered() + 1, SPACING), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_both_versions_and_byte_orders(tmp_path: Path, kind: Any, endianness: str) -> None:
    frames = numbered(dtype=np.int16)
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    nib.save(kind(frames.transpose(2, 1, 0), np.diag([0.75, 0.5, 1, 1]), header), tmp_path / "a.nii.gz")
    clip = nifti.read(tmp_path / "a.nii.gz").clip
    np.testing.assert_array_equal(clip.pixels, frames)
    assert row_col_mm(clip.spacing) == pytest.approx((0.5, 0.75))


@pytest.mark.parametrize(
    ("name", "answer"), [("a.nii", True), ("a.NII.gz", True), ("a.nii.bak", False), ("a.gz", False)]
)
def test_a_name_tells_whether_a_file_is_nifti(name: str, answer: bool) -> None:
    assert nifti.is_nifti(Path(name)) is answer


@pytest.mark.parametrize(("unit", "size_mm"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0)])
def test_the_headers_unit_of_length_counts(tmp_path: Path, unit: str, size_mm: float) -> None:
    pixel = 0.3 / size_mm
    image = nib.Nifti1Image(np.ones((8, 6), np.uint8), np.diag([pixel, pixel, 1.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "image.nii.gz")
    read = nifti.read(tmp_path / "image.nii.gz")
    assert read.grid.spacing is not None
    assert read.grid.spacing.row_mm == pytest.approx(0.3, rel=1e-5)
    nifti.write_mask_like(np.ones((1, 6, 8), np.uint8), tmp_path / "mask.nii.gz", grid=read.grid)
    assert nifti.read(tmp_path / "mask.nii.gz").grid.spacing == read.grid.spacing


@pytest.fixture
def small_limit() -> Iterator[int]:
    """Images of up to 1 MB are read."""
    limits.set_image_limit(1024**2)
    yield 1024**2
    limits.set_image_limit(limits.MAX_IMAGE_BYTES)


def peak_bytes(act: Callable[[], object]) -> int:
    """Memory that Python took while something was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageContentError, match=r"a\.nii"):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_behind_a_small_image_is_not_inflated(tmp_path: Path) -> None:
    plain = save(tmp_path / "b.nii", np.zeros((5, 4), np.uint8)).read_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(plain + bytes(128 * 1024**2), 9))
    assert path.stat().st_size < 200_000
    assert peak_bytes(lambda: nifti.read(path)) < 8 * 1024**2


def test_a_gzip_bomb_that_its_header_declares_is_not_inflated(tmp_path: Path, small_limit: int) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((4000, 4000), np.uint8))
    assert peak_bytes(lambda: nifti.read_mask(path)) < 8 * 1024**2


def test_the_limit_counts_pixels_as_they_are_in_memory(tmp_path: Path, small_limit: int) -> None:
    image = nib.Nifti1Image(np.zeros((400, 400), np.uint8), np.eye(4))
    nifti.read(save(tmp_path / "b.nii.gz", np.zeros((400, 400), np.uint8)))
    image.header.set_slope_inter(2.0, 1.0)  # scaled pixels become float64
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(ImageContentError, match=r"a\.nii\.gz.*expected at most 1 MB"):
        nifti.read(tmp_path / "a.nii.gz")


def test_what_lies_behind_a_plain_file_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros((5, 4), np.uint8))
    with path.open("r+b") as file:
        file.truncate(1024**3)
    assert peak_bytes(lambda: nifti.read(path)) < 1024**2


def test_a_compressed_header_that_claims_terabytes_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(save(tmp_path / "b.nii", np.ones((5, 4, 3), np.uint8)).read_bytes())
    content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ImageReadError, match=r"a\.nii\.gz.*truncated"):
        nifti.read(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    "behind", [b"", bytes(512), gzip.compress(b"", mtime=0), gzip.compress(bytes(100), mtime=0)]
)
def test_gzip_of_several_members_and_with_padding_is_read(tmp_path: Path, behind: bytes) -> None:
    plain = save(tmp_path / "b.nii", numbered().transpose(2, 1, 0)).read_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(plain[:100]) + gzip.compress(plain[100:]) + behind)
    np.testing.assert_array_equal(nifti.read(path).clip.pixels, numbered())


def test_endless_members_are_refused(tmp_path: Path) -> None:
    plain = save(tmp_path / "b.nii", np.zeros((5, 4), np.uint8)).read_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(plain) + gzip.compress(b"") * 100_001)
    with pytest.raises(ImageContentError, match=r"a\.nii\.gz"):
        nifti.read(path)


@pytest.mark.parametrize("behind", [b"junk", gzip.compress(b"x", mtime=0)[:-3]])
def test_junk_behind_gzip_is_refused(tmp_path: Path, behind: bytes) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((5, 4), np.uint8))
    path.write_bytes(path.read_bytes() + behind)
    with pytest.raises(ImageReadError, match=r"a\.nii\.gz"):
        nifti.read(path)


@pytest.mark.parametrize("length", [-4, -32768])
def test_negative_lengths_are_refused(tmp_path: Path, length: int) -> None:
    content = bytearray(save(tmp_path / "a.nii", np.ones((5, 4, 3), np.uint8)).read_bytes())
    content[42:44] = np.array([length], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises((ImageReadError, ImageContentError), match=r"a\.nii"):
        nifti.read(tmp_path / "a.nii")


@given(where=st.integers(0, 347), what=st.binary(min_size=1, max_size=8))
def test_a_damaged_header_is_read_or_refused(where: int, what: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "a.nii", np.ones((5, 4, 3), np.uint8))
        content = bytearray(path.read_bytes())
        content[where : where + len(what)] = what
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nibabel's remarks on the header
            try:
                nifti.read(path)
            except (ImageReadError, ImageContentError):
                return


AFFINES = {
    "echo": [[-0.3, 0, 0, 4], [0, -0.4, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1.0]],
    "oblique": [[0.9, -0.4, 0, 4], [0.4, 0.9, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1.0]],
    "sheared": [[0.3, 0.1, 0, 0], [0, 0.4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]],
    "none": np.zeros((4, 4)).tolist(),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 1, 3)])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_file_is_what_nibabel_writes(
    shape: tuple[int, ...], dtype: type, affine: list[list[float]]
) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    image = nifti._image(pixels, np.array(affine))
    image.header.set_xyzt_units("mm", "sec")
    theirs = image.to_bytes()
    ours = nifti._content_of(image, compressed=False)
    assert ours == theirs
    assert gzip.decompress(nifti._content_of(image, compressed=True)) == theirs


def test_masks_of_alternating_grids_have_each_its_own_header() -> None:
    grids = [
        Grid(shape, np.array(affine), unit_mm)
        for shape in ((5, 4), (5, 4, 1), (5, 4, 1, 1))
        for affine in AFFINES.values()
        for unit_mm in (1.0, 1000.0)
    ]
    masks = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    for grid in (*grids, *grids):
        image = nifti._image(masks.transpose(2, 1, 0).reshape(grid.shape), grid.affine)
        image.header.set_xyzt_units({1.0: "unknown", 1000.0: "meter"}[grid.unit_mm])
        assert nifti.mask_bytes(masks, grid, compressed=False) == image.to_bytes()


@pytest.mark.parametrize("third", [0.0, np.nan])
def test_an_image_without_a_third_axis_gets_a_mask_on_its_own_grid(tmp_path: Path, third: float) -> None:
    image = nib.Nifti1Image(np.arange(20, dtype=np.uint8).reshape(5, 4, 1), None)
    affine = np.diag([-0.3, -0.4, third, 1.0])
    image.header.set_sform(affine, code="scanner")
    image.to_filename(tmp_path / "image.nii.gz")
    grid = nifti.read(tmp_path / "image.nii.gz").grid
    masks = np.ones((1, 4, 5), np.uint8)
    nifti.write_mask_like(masks, tmp_path / "mask.nii.gz", grid=grid)
    assert np.array_equal(nifti.read_mask(tmp_path / "mask.nii.gz"), masks)
    written = nifti.read(tmp_path / "mask.nii.gz").grid
    assert written.spacing == grid.spacing
    assert written.spacing and written.spacing.row_mm == pytest.approx(0.4)
