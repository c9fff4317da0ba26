"""Videos (AVI and other formats that FFmpeg decodes) as grey clips; needs ``cardiolabel[video]``.

References
----------
ITU-R BT.601-7, section 2.5.1 (luma); PyAV, https://github.com/PyAV-Org/PyAV
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile
from cardiolabel.io.limits import pixel_bytes

if TYPE_CHECKING:
    import av

__all__ = ["LUMA", "SUFFIXES", "grey", "read", "require_decoder"]

SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (BT.601), as in JPEG and motion JPEG."""

_log = logging.getLogger(__name__)


def read(path: Path) -> ImageFile:
    """Read a video.

    Returns
    -------
    ImageFile
        Pixels ``(T, H, W)`` uint8 without a pixel size, which videos do not carry.

    Raises
    ------
    ImageReadError
        The file is missing, no video, truncated or damaged, or PyAV is not installed.
    ImageContentError
        No frames, or more pixels than the limit allows.
    """
    require_decoder()
    import av

    if not path.is_file():
        raise ImageReadError(f"{path.name}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ImageContentError(f"{path.name}: holds no video")
            stream = container.streams.video[0]
            declared = stream.frames
            decoded = _decode(container, stream, path.name, declared)
            rate_hz = float(stream.average_rate) if stream.average_rate else None
    except av.error.FFmpegError as error:
        raise ImageReadError(f"{path.name}: damaged or no video ({error.strerror}); copy it again") from error
    if len(decoded) < declared:
        raise ImageReadError(
            f"{path.name}: truncated, {len(decoded)} of {declared} frames can be decoded; copy it again"
        )
    if not decoded:
        raise ImageContentError(f"{path.name}: holds no frames")
    clip = Clip(np.stack(decoded), spacing=None, frame_rate_hz=rate_hz)
    return ImageFile(clip, Grid(clip.shape[::-1], np.zeros((4, 4))))


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of colours, shape (..., 3) to (...); equal channels keep their value.

    References
    ----------
    ITU-R BT.601-7, section 2.5.1.

    Examples
    --------
    >>> grey(np.array([[10, 10, 10], [255, 0, 0]], np.uint8))
    array([10, 76], dtype=uint8)
    """
    return np.asarray(np.rint(rgb @ np.array(LUMA)), dtype=np.uint8)


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
) -> list[NDArray[np.uint8]]:
    """Decode the frames; a damaged frame raises instead of being concealed."""
    stream.codec_context.options = {"err_detect": "explode"}
    decoded: list[NDArray[np.uint8]] = []
    for frame in container.decode(stream):
        count = max(len(decoded) + 1, declared)
        pixel_bytes(name, (count, frame.height, frame.width), bytes_each=1)
        if decoded and decoded[0].shape != (frame.height, frame.width):
            raise ImageContentError(f"{name}: frame {len(decoded)} has another size than the first")
        if frame.is_corrupt:
            raise ImageReadError(f"{name}: frame {len(decoded)} is damaged; copy it again")
        decoded.append(grey(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)))
    return decoded
