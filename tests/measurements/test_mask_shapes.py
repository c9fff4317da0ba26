"""Masks of two shapes are not compared."""

from __future__ import annotations

import pytest

from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.hausdorff import hausdorff_mm
from cardiolabel.measurements.overlap import dice

from .shapes import MM, rectangle

CAVITY = (1,)


@pytest.mark.parametrize("measured", [dice, lambda *values: hausdorff_mm(*values, spacing=MM)])
def test_masks_of_two_shapes_are_refused(measured: object) -> None:
    with pytest.raises(ImageContentError, match=r"got \(80, 90\) and \(80, 1\)"):
        measured(rectangle(1, 1), rectangle(1, 1)[:, :1], CAVITY)  # type: ignore[operator]
