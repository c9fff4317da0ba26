"""Small videos as EchoNet-Dynamic has them: AVI, motion JPEG, grey values in three channels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_avi(path: Path, frames: NDArray[np.uint8], *, rate: int = 50, codec: str = "mjpeg") -> Path:
    """Write grey (T, H, W) or colour (T, H, W, 3) frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = colour.shape[2], colour.shape[1]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "bgr0"
        if codec == "mjpeg":
            stream.options = {"qmin": "1", "qmax": "2"}
        for frame in colour:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def waves(frames: int = 12, shape: tuple[int, int] = (112, 112)) -> NDArray[np.uint8]:
    """Smooth pixels that differ from frame to frame and along both axes."""
    rows, cols = np.indices(shape)
    phases = np.arange(frames)[:, None, None] / 3
    return np.rint(127 + 90 * np.sin(cols / 9 + phases) * np.cos(rows / 15)).astype(np.uint8)
