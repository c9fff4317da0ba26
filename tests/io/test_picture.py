"""Pictures: PNG, JPEG, TIFF, BMP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardiolabel.errors import ImageContentError, ImageReadError, InputError, TooLargeError
from cardiolabel.io import limits
from cardiolabel.io.images import read_image, read_image_header


def grey(rows: int = 40, cols: int = 60) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (rows, cols), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_grey_is_read_as_it_is_without_a_size(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey()).convert(mode).save(path)
    image, header = read_image(path), read_image_header(path)
    np.testing.assert_array_equal(image.clip.pixels, grey()[None])
    assert image.clip.spacing is None and image.clip.frame_rate_hz is None
    assert header.grid.shape == image.grid.shape == (60, 40)


def test_jpeg_keeps_its_luma(tmp_path: Path) -> None:
    path = tmp_path / "a.jpeg"
    smooth = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
    Image.fromarray(smooth).save(path, quality=95)
    assert np.abs(read_image(path).clip.pixels[0].astype(int) - smooth).max() <= 4


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(grey().astype(np.uint16) * 200).save(path)
    np.testing.assert_array_equal(read_image(path).clip.pixels[0], grey().astype(np.uint16) * 200)


def test_a_picture_is_turned_as_its_exif_data_say(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    Image.fromarray(grey()).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path).clip.pixels[0], np.rot90(grey(), -1))
    assert read_image_header(path).grid.shape == (40, 60)


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    pages = [Image.fromarray(grey() // n) for n in (1, 2, 3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert read_image(path).clip.shape == (3, 40, 60)
    assert read_image_header(path).grid.shape == (60, 40, 3)


def test_a_colour_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rgb = np.repeat(grey()[..., None], 3, axis=-1)
    rgb[10:30, 10:40] = (250, 30, 0)
    Image.fromarray(rgb).save(path)
    with pytest.raises(ImageContentError, match=r"a\.png: shows colour"):
        read_image(path)


def test_a_picture_beyond_the_limit_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(grey()).save(path)
    monkeypatch.setattr(limits, "_limit", 1000)
    with pytest.raises(TooLargeError):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_damaged_pictures_are_refused_or_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey()).save(path)
    content, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(0, len(content) + 1)])
        for at in rng.integers(0, max(len(damaged), 1), 3) if damaged else ():
            damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            assert read_image(path).clip.pixels.ndim == 3
        except InputError:
            pass


def test_a_text_with_a_pictures_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no picture")
    with pytest.raises(ImageReadError, match=r"a\.png: not a readable picture"):
        read_image(path)
