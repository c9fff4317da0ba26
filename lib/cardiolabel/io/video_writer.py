"""Grey clips as MP4, and copies of videos without metadata; needs ``cardiolabel[video]``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from cardiolabel.domain import Clip
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.files import atomic
from cardiolabel.io.video import require_decoder

__all__ = ["copy_without_metadata", "write_mp4"]

_QUALITY = "10"
"""H.264's constant rate factor; differences to the original stay below what an eye sees."""
_DEFAULT_HZ = 25.0


def write_mp4(clip: Clip, path: Path) -> None:
    """Write a clip as H.264 video; odd sides lose their last row or column, which the codec cannot keep.

    Raises
    ------
    ImageContentError
        Other pixels than uint8.
    ImageReadError
        PyAV is not installed.
    OSError
        The file cannot be written.
    """
    require_decoder()
    import av

    if clip.pixels.dtype != np.uint8:
        raise ImageContentError(f"{path.name}: expected uint8 pixels")
    _, rows, cols = clip.shape
    rate = Fraction(clip.frame_rate_hz or _DEFAULT_HZ).limit_denominator(1000)
    with atomic(path) as draft, av.open(str(draft), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": _QUALITY})
        stream.width, stream.height, stream.pix_fmt = cols // 2 * 2, rows // 2 * 2, "yuv420p"
        for pixels in clip.pixels:
            grey = np.ascontiguousarray(pixels[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        container.mux(stream.encode())


def copy_without_metadata(source: Path, target: Path) -> None:
    """Copy a video's stream, as it is, into a new container of the same kind without any metadata.

    Raises
    ------
    ImageReadError
        The file is damaged or no video, or PyAV is not installed.
    OSError
        The copy cannot be written.
    """
    require_decoder()
    import av

    try:
        with av.open(str(source)) as old, atomic(target) as draft, av.open(str(draft), "w") as new:
            stream = old.streams.video[0]
            copy = new.add_stream_from_template(stream)
            copy.metadata.clear()
            for packet in old.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    new.mux(packet)
    except (av.error.FFmpegError, IndexError) as error:
        raise ImageReadError(f"{source.name}: damaged or no video; copy it again") from error
