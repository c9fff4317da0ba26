"""Check that two masks have one shape."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError


def check_shapes(ours: NDArray[Any], theirs: NDArray[Any], *, axes: int | None) -> None:
    """Refuse masks that differ in shape.

    Parameters
    ----------
    ours, theirs : ndarray
    axes : {None, 2, 3}
        How many axes they must have; None takes any number.

    Raises
    ------
    ImageContentError
        The masks differ in shape or have another number of axes.
    """
    if ours.shape != theirs.shape or axes not in (None, ours.ndim):
        expected = {None: "one shape", 2: "one shape (H, W)", 3: "one shape (T, H, W)"}[axes]
        raise ImageContentError(f"two masks of {expected} are compared, got {ours.shape} and {theirs.shape}")
