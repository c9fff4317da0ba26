"""Videos (AVI and other formats that FFmpeg decodes) as grey clips; needs ``cardiolabel[video]``.

References
----------
PyAV, https://github.com/PyAV-Org/PyAV
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.frame_times import uneven_spacing
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.luma import chroma, grey, is_colour_picture

if TYPE_CHECKING:
    import av

__all__ = ["SUFFIXES", "image_header", "read", "require_decoder"]

SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".gif")

_COLOUR_STEP = 16
"""Colour is looked for in one of so many frames."""


def read(path: Path) -> ImageFile:
    """Read a video.

    Returns
    -------
    ImageFile
        Pixels ``(T, H, W)`` uint8 without a pixel size, which videos do not carry. The frame rate is the
        mean over the frames' own times, also where they are unevenly spaced; its note says so then.

    Raises
    ------
    ImageReadError
        The file is missing, no video, truncated or damaged, or PyAV is not installed.
    ImageContentError
        No frames, colour Doppler, or more pixels than the limit allows.
    """
    with _opened(path) as (container, stream):
        declared = stream.frames
        frames, times_s = _decode(container, stream, path.name, declared)
        nominal_hz = float(stream.average_rate) if stream.average_rate else None
    if len(frames) < declared:
        raise ImageReadError(
            f"{path.name}: truncated, {len(frames)} of {declared} frames can be decoded; copy it again"
        )
    if not frames:
        raise ImageContentError(f"{path.name}: holds no frames")
    rate_hz = (_mean_rate_hz(times_s) or nominal_hz) if len(frames) > 1 else None
    clip = Clip(np.stack(frames), spacing=None, frame_rate_hz=rate_hz)
    steps_ms = [1000.0 * step for step in np.diff(np.sort(times_s)).tolist()]
    return ImageFile(clip, _grid(clip.shape), note=uneven_spacing(steps_ms))


def image_header(path: Path) -> ImageHeader:
    """Read the size of a video; its frames are counted where the container does not say how many there are.

    Raises
    ------
    ImageReadError, ImageContentError
        As `read`, but for damage within the frames.
    """
    with _opened(path) as (container, stream):
        count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        grid = _grid((max(count, 1), stream.codec_context.height, stream.codec_context.width))
    needed = pixel_bytes(path.name, grid.frames_shape, bytes_each=1)
    return ImageHeader(grid, 1, 2 * needed)


def _grid(shape: tuple[int, int, int]) -> Grid:
    frames, rows, cols = shape
    return Grid((cols, rows, frames) if frames > 1 else (cols, rows), np.zeros((4, 4)))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a container and its video; errors of FFmpeg become this package's."""
    require_decoder()
    import av

    if not path.is_file():
        raise ImageReadError(f"{path.name}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ImageContentError(f"{path.name}: holds no video")
            yield container, container.streams.video[0]
    except av.error.FFmpegError as error:
        raise ImageReadError(f"{path.name}: damaged or no video ({error.strerror}); copy it again") from error


def require_decoder() -> None:
    """Raise `ImageReadError` with the remedy where PyAV is not installed."""
    try:
        import av  # noqa: F401  (only whether it is there)
    except ImportError as error:
        raise ImageReadError(
            "reading videos needs PyAV, which is not installed; pip install 'cardiolabel[video]'"
        ) from error


def _decode(
    container: av.container.InputContainer, stream: av.VideoStream, name: str, declared: int
) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """Decode frames and their times in s; a damaged frame raises instead of being concealed."""
    stream.codec_context.options = {"err_detect": "explode"}
    frames: list[NDArray[np.uint8]] = []
    times_s: list[float] = []
    colourful = looked_at = 0
    for frame in container.decode(stream):
        count = max(len(frames) + 1, declared)
        pixel_bytes(name, (count, frame.height, frame.width), bytes_each=1)
        if frames and frames[0].shape != (frame.height, frame.width):
            raise ImageContentError(f"{name}: frame {len(frames)} has another size than the first")
        if frame.is_corrupt:
            raise ImageReadError(f"{name}: frame {len(frames)} is damaged; copy it again")
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        grey_frame = grey(rgb)
        if len(frames) % _COLOUR_STEP == 0:
            looked_at += 1
            colourful += is_colour_picture(grey_frame, chroma(rgb, is_ybr=False))
        frames.append(grey_frame)
        if frame.time is not None:
            times_s.append(frame.time)
    if colourful and colourful == looked_at:
        raise ImageContentError(
            f"{name}: shows colour Doppler or another colour picture; expected grey tissue"
        )
    return frames, times_s


def _mean_rate_hz(times_s: list[float]) -> float | None:
    duration_s = max(times_s) - min(times_s) if times_s else 0.0
    return (len(times_s) - 1) / duration_s if duration_s > 0 else None
