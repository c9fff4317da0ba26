"""The one reader of images."""

from pathlib import Path

import numpy as np
import pytest
from tests.io.test_metaimage import save
from tests.io.video_files import waves, write_avi

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ImageReadError
from cardiolabel.io import metaimage, nifti
from cardiolabel.io.images import FORMATS, read_image, read_image_grid, read_image_header

CLIP = Clip(np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3), Spacing(row_mm=0.5, col_mm=0.25))


def nifti_file(folder: Path, name: str = "a.nii.gz") -> Path:
    path = folder / name
    nifti.write_clip(CLIP, path)
    return path


def test_reads_nifti(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii", "C.NII.GZ"):
        image = read_image(nifti_file(tmp_path, name))
        np.testing.assert_array_equal(image.clip.pixels, CLIP.pixels)
        assert image.clip.spacing == CLIP.spacing
        assert image.grid.frames_shape == CLIP.shape


def test_reads_metaimage(tmp_path: Path) -> None:
    path = save(tmp_path)
    image, alone = read_image(path), metaimage.read(path)
    np.testing.assert_array_equal(image.clip.pixels, alone.clip.pixels)
    np.testing.assert_array_equal(read_image_grid(path).affine, image.grid.affine)


def test_reads_a_video_without_a_pixel_size(tmp_path: Path) -> None:
    frames = waves(4)
    path = write_avi(tmp_path / "a.avi", frames, codec="ffv1")
    image = read_image(path)
    np.testing.assert_array_equal(image.clip.pixels, frames)
    assert image.clip.spacing is None
    assert image.grid.spacing is None
    assert image.grid.frames_shape == image.clip.shape
    assert read_image_header(path).grid.shape == image.grid.shape


def test_content_decides_where_the_name_says_nothing(tmp_path: Path) -> None:
    path = write_avi(tmp_path / "a.avi", waves(4)).rename(tmp_path / "recording")
    assert read_image(path).clip.shape[0] == 4


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha"])
def test_a_name_that_contradicts_the_content_is_refused(tmp_path: Path, name: str) -> None:
    path = write_avi(tmp_path / "b.avi", waves(4)).rename(tmp_path / name)
    with pytest.raises(
        ImageReadError, match=rf"{name}: is a video by its content; rename it to end in \.avi"
    ):
        read_image(path)


def test_the_header_states_the_size_that_reading_finds(tmp_path: Path) -> None:
    for path in (nifti_file(tmp_path), save(tmp_path)):
        header, clip = read_image_header(path), read_image(path).clip
        assert header.grid.frames_shape == clip.shape
        assert header.bytes_each == clip.pixels.dtype.itemsize
        assert header.reading_bytes >= clip.pixels.nbytes


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mha", "a.mhd", "a.avi"])
@pytest.mark.parametrize("content", [b"", b"x", bytes(500), b"\x1f\x8b", b"RIFF", b"<html>" * 100])
def test_other_content_is_an_error_that_names_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageReadError, match=name):
        read_image(tmp_path / name)


def test_an_unknown_file_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(ImageReadError, match=r"a\.txt: not an image of a known format; expected"):
        read_image(tmp_path / "a.txt")
    with pytest.raises(ImageReadError, match=r"b\.nii: no such file"):
        read_image(tmp_path / "b.nii")
    with pytest.raises(ImageReadError, match=r"folder\.nii: cannot be read"):
        (tmp_path / "folder.nii").mkdir()
        read_image(tmp_path / "folder.nii")


def test_an_upload_is_read_alone_or_not_at_all(tmp_path: Path) -> None:
    assert read_image(nifti_file(tmp_path), alone=True).clip.shape == CLIP.shape
    for path in (write_avi(tmp_path / "a.avi", waves(4)), save(tmp_path)):
        with pytest.raises(ImageReadError, match=r"convert it to NIfTI \(\.nii\.gz\) first"):
            read_image(path, alone=True)


def test_no_suffix_belongs_to_two_formats() -> None:
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))
