"""MetaImage in: axes, spacing, the files SimpleITK writes, and every way a file can be unusable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.domain import Spacing
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import metaimage

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "camus_mhd" / "patient0001"
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "ElementSpacing": "0.308 0.154 1.54",
    "DimSize": "5 4 3",
    "ElementType": "MET_UCHAR",
}


def numbered(dtype: Any = np.uint8) -> NDArray[Any]:
    return np.arange(60).reshape(3, 4, 5).astype(dtype)


def save(folder: Path, data: bytes | None = None, **changes: str | None) -> Path:
    """A header and its data; a change to None leaves the field out."""
    fields = {**FIELDS, "ElementDataFile": "a.raw", **changes}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")
    text = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    (folder / "a.mhd").write_text(text)
    (folder / "a.raw").write_bytes(numbered().tobytes() if data is None else data)
    return folder / "a.mhd"


def test_axes_are_time_depth_lateral_and_spacing_is_row_then_column(tmp_path: Path) -> None:
    clip = metaimage.read(save(tmp_path)).clip
    np.testing.assert_array_equal(clip.pixels, numbered())
    assert clip.spacing == Spacing(row_mm=0.154, col_mm=0.308)
    assert clip.frame_rate_hz is None


@pytest.mark.parametrize(
    ("size", "frames"), [("5 4", 1), ("5 4 1", 1), ("5 4 3", 3), ("5 4 1 3", 3), ("5 4 1 1", 1)]
)
def test_stills_and_cines(tmp_path: Path, size: str, frames: int) -> None:
    path = save(tmp_path, numbered()[:frames].tobytes(), DimSize=size, NDims=str(len(size.split())))
    np.testing.assert_array_equal(metaimage.read(path).clip.pixels, numbered()[:frames])
    np.testing.assert_array_equal(metaimage.read_placed_mask(path)[0], numbered()[:frames])


@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]
)
def test_files_written_by_simpleitk(tmp_path: Path, name: str, compressed: bool, dtype: Any) -> None:
    image = sitk.GetImageFromArray(numbered(dtype))
    image.SetSpacing((0.308, 0.154, 1.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / name), useCompression=compressed)
    clip = metaimage.read(tmp_path / name).clip
    np.testing.assert_array_equal(clip.pixels, numbered(dtype))
    assert clip.pixels.dtype == dtype
    assert clip.spacing == Spacing(row_mm=0.154, col_mm=0.308)


def test_big_endian(tmp_path: Path) -> None:
    data = (numbered(np.int16) * 300).astype(">i2").tobytes()
    path = save(tmp_path, data, ElementType="MET_SHORT", BinaryDataByteOrderMSB="True")
    np.testing.assert_array_equal(metaimage.read(path).clip.pixels, numbered(np.int16) * 300)


@pytest.mark.parametrize("skip", ["7", "-1"])
def test_data_after_a_header_of_its_own(tmp_path: Path, skip: str) -> None:
    path = save(tmp_path, b"\xff" * 7 + numbered().tobytes(), HeaderSize=skip)
    np.testing.assert_array_equal(metaimage.read(path).clip.pixels, numbered())


@pytest.mark.parametrize("text", [None, "0 0 1", "-1 0.5 1", "nan 1 1"])
def test_spacing_that_is_not_stated_is_none(tmp_path: Path, text: str | None) -> None:
    assert metaimage.read(save(tmp_path, ElementSpacing=text)).clip.spacing is None


def test_spacing_that_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ImageContentError, match=r"a\.mhd.*ElementSpacing"):
        metaimage.read(save(tmp_path, ElementSpacing="wide high"))


@pytest.mark.parametrize("read", [metaimage.read, metaimage.read_placed_mask])
@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"DimSize": "0 4 3"}, ImageContentError, "DimSize"),
        ({"DimSize": "5"}, ImageContentError, "DimSize"),
        ({"DimSize": "5 4 3 1"}, ImageContentError, "DimSize"),
        ({"DimSize": None}, ImageReadError, "DimSize"),
        ({"DimSize": "5 four 3"}, ImageReadError, "DimSize"),
        ({"DimSize": "100000 100000 1000"}, ImageReadError, "60 bytes"),
        ({"ElementType": "MET_FOO"}, ImageReadError, "MET_FOO"),
        ({"ElementType": None}, ImageReadError, "ElementType"),
        ({"ElementType": "MET_UCHAR_ARRAY"}, ImageContentError, "channels"),
        ({"ElementNumberOfChannels": "3"}, ImageContentError, "channels"),
        ({"BinaryData": "False"}, ImageReadError, "BinaryData"),
        ({"CompressedData": "True"}, ImageReadError, "damaged"),
        ({"ElementDataFile": None}, ImageReadError, "ElementDataFile"),
        ({"ElementDataFile": "b.raw"}, ImageReadError, r"b\.raw.*missing"),
        ({"ElementDataFile": "../a.raw"}, ImageReadError, "beside the header"),
        ({"ElementDataFile": ".."}, ImageReadError, "beside the header"),
        ({"ElementDataFile": "/etc/hostname"}, ImageReadError, "beside the header"),
        ({"ElementDataFile": r"C:\a.raw"}, ImageReadError, "beside the header"),
        ({"ElementDataFile": "LIST"}, ImageReadError, "beside the header"),
        ({"ElementDataFile": "a%03d.raw 1 3 1"}, ImageReadError, "beside the header"),
        ({"ElementDataFile": ""}, ImageReadError, "beside the header"),
    ],
)
def test_unusable_headers(
    tmp_path: Path, changes: dict[str, str | None], error: type[Exception], says: str, read: Any
) -> None:
    path = save(tmp_path, **changes)
    with pytest.raises(error, match=says) as caught:
        read(path)
    assert "a.mhd" in str(caught.value) or "a.raw" in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 59, 61, 1000])
def test_pixels_too_few_or_too_many(tmp_path: Path, length: int) -> None:
    with pytest.raises(ImageReadError, match="needs 60"):
        metaimage.read(save(tmp_path, bytes(length)))


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_truncated_compressed_data(tmp_path: Path, cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 50), np.uint8)
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), useCompression=True)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ImageReadError, match=r"a\.mha"):
        metaimage.read(path)


def test_a_flipped_bit_in_compressed_data_is_noticed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 50), np.uint8)
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), useCompression=True)
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=r"a\.mha"):
        metaimage.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    array = numbered(np.float32)
    array[0, 1, :2] = value
    path = save(tmp_path, array.tobytes(), ElementType="MET_FLOAT")
    with pytest.raises(ImageContentError, match=r"a\.mhd.* 2 NaN"):
        metaimage.read(path)


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, np.nan])
def test_masks_hold_whole_numbers_up_to_255(tmp_path: Path, value: float) -> None:
    array = numbered(np.float32)
    array[0, 1, 2] = value
    path = save(tmp_path, array.tobytes(), ElementType="MET_FLOAT")
    with pytest.raises(ImageContentError, match=r"a\.mhd.*whole numbers"):
        metaimage.read_placed_mask(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 500, b"a = b\n" * 100])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mha").write_bytes(content)
    with pytest.raises(ImageReadError, match=r"a\.mha.*header"):
        metaimage.read(tmp_path / "a.mha")


def test_wrong_extension_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="MetaImage"):
        metaimage.read(tmp_path / "a.raw")
    with pytest.raises(ImageReadError, match="no such file"):
        metaimage.read(tmp_path / "a.mhd")
    (tmp_path / "b.mhd").mkdir()
    with pytest.raises(ImageReadError, match=r"b\.mhd"):
        metaimage.read(tmp_path / "b.mhd")


@pytest.mark.skipif(not REAL.is_dir(), reason="CAMUS (.mhd) is not in ../shared/data")
@pytest.mark.parametrize("name", ["patient0001_4CH_ED", "patient0001_2CH_ES_gt"])
def test_the_original_release_as_simpleitk_reads_it(name: str) -> None:
    path = REAL / f"{name}.mhd"
    clip = metaimage.read(path).clip
    np.testing.assert_array_equal(clip.pixels, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    assert clip.shape == (1, 778, 549)
    assert clip.spacing == Spacing(row_mm=0.154, col_mm=0.308)
    if name.endswith("_gt"):
        assert set(np.unique(metaimage.read_placed_mask(path)[0])) == {0, 1, 2, 3}
