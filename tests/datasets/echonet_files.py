"""Made-up files in EchoNet-Dynamic's format: half-ellipsoids whose EF is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.video_files import write_avi

SHAPE = (112, 112)
LIST_HEADER = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
TRACING_HEADER = "FileName,X1,Y1,X2,Y2,Frame"


@dataclass(frozen=True)
class HalfEllipse:
    """A half-ellipsoid seen from the side: flat at the annulus, in pixels and degrees."""

    length: float = 62.0
    diameter: float = 40.0
    tilt_deg: float = 8.0
    annulus: tuple[float, float] = (88.0, 58.0)

    @property
    def volume(self) -> float:
        """In cubic pixels."""
        return np.pi / 6 * self.diameter**2 * self.length

    @property
    def directions(self) -> NDArray[np.float64]:
        """(row, col) from annulus to apex, and across."""
        angle = np.radians(self.tilt_deg)
        return np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    @property
    def apex(self) -> NDArray[np.float64]:
        return np.array(self.annulus) + self.length * self.directions[0]

    def wall(self, level: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        """Points (row, col) of the left (-1) or right (1) wall at levels from apex (0) to annulus (1)."""
        along, across = self.directions
        half = self.diameter / 2 * np.sqrt(1 - (1 - level) ** 2)
        return (
            self.apex - np.multiply.outer(level * self.length, along) + np.multiply.outer(side * half, across)
        )

    def rows(self) -> NDArray[np.float64]:
        """What ``VolumeTracings.csv`` says of it: X1, Y1, X2, Y2 of the long axis and 20 diameters."""
        middles = (np.arange(20) + 0.5) / 20
        chords = np.stack([self.wall(middles, -1), self.wall(middles, 1)], axis=1)
        lines = np.concatenate([[[self.apex, self.annulus]], chords])
        return lines[:, :, ::-1].reshape(-1, 4)

    def inside(self) -> NDArray[np.bool_]:
        """The cavity's pixels."""
        points = np.moveaxis(np.indices(SHAPE), 0, -1) - np.array(self.annulus)
        up, sideways = points @ self.directions[0], points @ self.directions[1]
        return (up >= 0) & ((up / self.length) ** 2 + (2 * sideways / self.diameter) ** 2 <= 1)


@dataclass(frozen=True)
class Video:
    """One video: its ventricle at ED and ES, and where these are."""

    name: str = "0X1A2B3C"
    ed: HalfEllipse = HalfEllipse()
    es: HalfEllipse = HalfEllipse(length=54.0, diameter=27.0)
    ed_frame: int = 2
    es_frame: int = 7
    frames: int = 10
    split: str = "TRAIN"

    @property
    def ef_pct(self) -> float:
        return 100 * (1 - self.es.volume / self.ed.volume)

    def pixels(self) -> NDArray[np.uint8]:
        clip = np.full((self.frames, *SHAPE), 120, np.uint8)
        for frame in range(self.frames):
            share = np.clip((frame - self.ed_frame) / (self.es_frame - self.ed_frame), 0, 1)
            shape = HalfEllipse(
                length=self.ed.length + share * (self.es.length - self.ed.length),
                diameter=self.ed.diameter + share * (self.es.diameter - self.ed.diameter),
            )
            clip[frame][shape.inside()] = 20
        return clip

    def list_row(self) -> str:
        volumes = f"{self.ef_pct},{self.es.volume / 1000},{self.ed.volume / 1000}"
        return f"{self.name},{volumes},112,112,50,{self.frames},{self.split}"

    def tracing_rows(self) -> list[str]:
        traced = ((self.ed_frame, self.ed), (self.es_frame, self.es))
        return [
            f"{self.name}.avi,{','.join(f'{value:.8f}' for value in line)},{frame}"
            for frame, shape in traced
            for line in shape.rows()
        ]


def make_echonet(root: Path, videos: Sequence[Video] = (Video(),)) -> Path:
    """A whole folder."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [LIST_HEADER, *(video.list_row() for video in videos)]
    (root / "FileList.csv").write_text("\n".join(lines) + "\n")
    tracings = [TRACING_HEADER, *(row for video in videos for row in video.tracing_rows())]
    (root / "VolumeTracings.csv").write_text("\n".join(tracings) + "\n")
    for video in videos:
        write_avi(root / "Videos" / f"{video.name}.avi", video.pixels())
    return root
