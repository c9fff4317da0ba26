"""Videos in: grey values, axes, frame rate, and every way a file can be cut or damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import limits, video

pytest.importorskip("av", reason="PyAV is not installed (pip install 'cardiolabel[video]')")

from .video_files import waves, write_avi


@pytest.fixture
def small_limit() -> object:
    before = limits.MAX_IMAGE_BYTES
    limits.set_image_limit(10_000)
    yield
    limits.set_image_limit(before)


def test_frames_rows_and_columns_in_order(tmp_path: Path) -> None:
    frames = waves(12, (64, 112))
    clip = video.read(write_avi(tmp_path / "a.avi", frames)).clip
    assert clip.shape == (12, 64, 112) and clip.pixels.dtype == np.uint8
    assert np.abs(clip.pixels.astype(int) - frames).mean() < 2
    assert np.abs(clip.pixels.astype(int) - frames).max() < 12


def test_lossless_grey_stays_as_it_is(tmp_path: Path) -> None:
    frames = waves(3, (20, 30))
    clip = video.read(write_avi(tmp_path / "a.avi", frames, codec="ffv1")).clip
    np.testing.assert_array_equal(clip.pixels, frames)


def test_a_tint_becomes_its_luma(tmp_path: Path) -> None:
    frames = np.repeat(waves(2, (16, 16))[..., None], 3, axis=-1)
    frames[..., 2] = frames[..., 2] * 0.7
    clip = video.read(write_avi(tmp_path / "a.avi", frames, codec="ffv1")).clip
    expected = frames.astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(clip.pixels - expected).max() <= 0.5 + 1e-9


def test_a_colour_video_is_refused(tmp_path: Path) -> None:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    frames[..., :8, 0], frames[..., 8:, 1] = 200, 100
    with pytest.raises(ImageContentError, match=r"a\.avi: shows colour Doppler"):
        video.read(write_avi(tmp_path / "a.avi", frames, codec="ffv1"))


def test_the_header_tells_the_size(tmp_path: Path) -> None:
    path = write_avi(tmp_path / "a.avi", waves(5, (20, 30)))
    assert video.image_header(path).grid.shape == video.read(path).grid.shape == (30, 20, 5)


def test_an_animated_gif_is_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(frame) for frame in waves(4, (20, 30))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 100, 300, 100])
    clip = video.read(path).clip
    np.testing.assert_array_equal(clip.pixels, waves(4, (20, 30)))
    assert clip.frame_rate_hz == pytest.approx(3 / 0.5)  # the last frame begins after half a second


def test_a_video_has_a_frame_rate_and_no_pixel_size(tmp_path: Path) -> None:
    clip = video.read(write_avi(tmp_path / "a.avi", waves(4), rate=47)).clip
    assert clip.frame_rate_hz == pytest.approx(47) and clip.spacing is None


def frame_starts(content: bytes) -> list[int]:
    """Where the chunks of frames start, the last one's end too."""
    starts, at = [], content.index(b"movi") + 4
    while content[at : at + 4] == b"00dc":
        starts.append(at)
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return [*starts, at]


@pytest.mark.parametrize("frames_left", [0, 1, 7, 11])
def test_cut_between_frames(tmp_path: Path, frames_left: int) -> None:
    path = write_avi(tmp_path / "a.avi", waves(12))
    content = path.read_bytes()
    path.write_bytes(content[: frame_starts(content)[frames_left]])
    with pytest.raises(ImageReadError, match=r"a\.avi: (truncated, \d+ of 12 frames|damaged).*copy it again"):
        video.read(path)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.7, 0.95])
def test_cut_within_a_frame(tmp_path: Path, keep: float) -> None:
    path = write_avi(tmp_path / "a.avi", waves(12))
    starts = frame_starts(path.read_bytes())
    path.write_bytes(path.read_bytes()[: int(starts[-1] * keep)])
    with pytest.raises(ImageReadError, match=r"a\.avi: .*copy it again"):
        video.read(path)


@pytest.mark.parametrize("frame", [0, 5, 11])
def test_a_damaged_frame_is_not_concealed(tmp_path: Path, frame: int) -> None:
    path = write_avi(tmp_path / "a.avi", waves(12))
    content = bytearray(path.read_bytes())
    middle = (frame_starts(bytes(content))[frame] + frame_starts(bytes(content))[frame + 1]) // 2
    content[middle : middle + 60] = b"\xff\xd8" * 30
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=r"a\.avi"):
        video.read(path)


@pytest.mark.parametrize("content", [b"", b"no video", b"\0" * 5000, b"RIFF\x10\0\0\0AVI LIST"])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.avi").write_bytes(content)
    with pytest.raises((ImageReadError, ImageContentError), match=r"a\.avi: "):
        video.read(tmp_path / "a.avi")


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "folder.avi").mkdir()
    for name in ("gone.avi", "folder.avi"):
        with pytest.raises(ImageReadError, match=f"{name}: no such file"):
            video.read(tmp_path / name)


@pytest.mark.usefixtures("small_limit")
def test_more_pixels_than_the_limit_are_not_decoded(tmp_path: Path) -> None:
    path = write_avi(tmp_path / "a.avi", waves(12))
    with pytest.raises(ImageContentError, match=r"a\.avi: \(12, 112, 112\) pixels"):
        video.read(path)


def test_without_pyav_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_avi(tmp_path / "a.avi", waves(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageReadError, match=r"pip install 'cardiolabel\[video\]'"):
        video.read(path)
