"""How much memory an image takes from its file to the answer, told by its header before any of it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.inference.predictor import CLEANING_THREADS
from cardiolabel.io import nifti
from cardiolabel.io.nifti_file import NiftiHeader
from cardiolabel.preprocessing.recipes import RECIPES
from cardiolabel.system.memory_budget import budget

__all__ = ["FRAME_BYTES", "ImageCost", "check_upload", "image_cost"]

_INPUT_BYTES = max(recipe.size_px for recipe in RECIPES.values()) ** 2 * 4
_INPUTS = 2  # the network's input of all frames, and the copy that its grey values are ranked in

_ANSWER_BYTES = 3
"""For each pixel beside the image's own: the masks, and their copies while they are written."""

_CLEANED_BYTES = 64
"""For each pixel of the frames that are being cleaned: probabilities, parts, distances."""

FRAME_BYTES = 32_768
"""For each frame: its outline and discs, and both as JSON."""


@dataclass(frozen=True)
class ImageCost:
    """Bytes, measured as the growth of the process and rounded up.

    Attributes
    ----------
    passing : int
        At most at any one time, from reading the image to its answer.
    cleaning : int
        Of that what its masks take while they are cleaned.
    lasting : int
        What stays of it while its patient is measured: masks and geometry.
    pixels : int
        The image itself.
    """

    passing: int
    cleaning: int
    lasting: int
    pixels: int

    @classmethod
    def of(cls, header: NiftiHeader) -> ImageCost:
        """Of a file with this header.

        Examples
        --------
        A cine of 300 frames of 768 x 1024 pixels takes 1.2 GB, one of 32 767 frames of a pixel 18 GB.
        """
        pixels = math.prod(header.shape)
        frames, rows, cols = header.grid.frames_shape
        cleaning = min(frames, CLEANING_THREADS) * rows * cols * _CLEANED_BYTES
        of_frames = frames * FRAME_BYTES
        image = max(header.reading_bytes, pixels * (header.bytes_each + _ANSWER_BYTES))
        passing = image + cleaning + frames * _INPUTS * _INPUT_BYTES + of_frames
        return cls(passing, cleaning, pixels + of_frames, pixels * header.bytes_each)


def image_cost(path: Path) -> ImageCost:
    """Of a NIfTI file, by its header alone; errors as `cardiolabel.io.nifti.header_of`."""
    return ImageCost.of(nifti.header_of(path))


def check_upload(path: Path) -> None:
    """Refuse an image that is not usable, holds anything besides its pixels, or could not be worked on.

    Raises
    ------
    ImageReadError, ImageContentError
        As `cardiolabel.io.nifti.read`.
    TooLargeError
        Predicting and measuring it would take more memory than the limit.
    """
    with budget.reserved(path.name, image_cost(path).passing):
        nifti.read(path, alone=True)
