"""Memory that an image needs from file to answer, estimated from its header alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cardiolabel.inference.predictor import CLEANING_THREADS
from cardiolabel.io.image_file import ImageHeader
from cardiolabel.io.images import read_image, read_image_header
from cardiolabel.preprocessing.recipes import RECIPES
from cardiolabel.system.memory_budget import budget

__all__ = ["FRAME_BYTES", "ImageCost", "check_upload", "image_cost"]

_INPUT_BYTES = max(recipe.size_px for recipe in RECIPES.values()) ** 2 * 4
_INPUTS = 2  # the network input of all frames, and the copy sorted for its grey-value percentile

_ANSWER_BYTES = 3
"""Bytes per pixel besides the image: the masks, and copies of them while they are written."""

_CLEANED_BYTES = 64
"""Bytes per pixel of a frame whose mask is being cleaned: probabilities, components, distances."""

FRAME_BYTES = 32_768
"""Bytes per frame: its contour and discs, and both as JSON."""


@dataclass(frozen=True)
class ImageCost:
    """Memory in bytes, from the measured growth of the process, rounded up.

    Attributes
    ----------
    passing : int
        Peak from reading the image to answering.
    cleaning : int
        Part of the peak that cleaning the masks takes.
    lasting : int
        Masks and geometry, held until the patient is measured.
    pixels : int
        The image itself.
    """

    passing: int
    cleaning: int
    lasting: int
    pixels: int

    @classmethod
    def of(cls, header: ImageHeader) -> ImageCost:
        """Estimate the cost of a file from its header.

        Examples
        --------
        A cine of 300 frames of 768 x 1024 pixels takes 1.2 GB, one of 32 767 frames of a pixel 18 GB.
        """
        frames, rows, cols = header.grid.frames_shape
        pixels = frames * rows * cols
        cleaning = min(frames, CLEANING_THREADS) * rows * cols * _CLEANED_BYTES
        of_frames = frames * FRAME_BYTES
        image = max(header.reading_bytes, pixels * (header.bytes_each + _ANSWER_BYTES))
        passing = image + cleaning + frames * _INPUTS * _INPUT_BYTES + of_frames
        return cls(passing, cleaning, pixels + of_frames, pixels * header.bytes_each)


def image_cost(path: Path) -> ImageCost:
    """Estimate the cost of an image file from its header; raises as `read_image_header`."""
    return ImageCost.of(read_image_header(path))


def check_upload(path: Path) -> None:
    """Refuse an uploaded image that is unusable, carries more than pixels, or needs too much memory.

    Raises
    ------
    ImageReadError, ImageContentError
        As `cardiolabel.io.images.read_image`.
    TooLargeError
        Predicting and measuring it would take more memory than the limit.
    """
    with budget.reserved(path.name, image_cost(path).passing):
        read_image(path, alone=True)
