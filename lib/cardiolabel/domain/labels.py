"""Label sets: which anatomical structure each value of a mask stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError


@dataclass(frozen=True)
class LabelSet:
    """Names of a mask's integer values, in order; 0 is background and not listed.

    Examples
    --------
    >>> CAMUS_LABELS.value("left_atrium")
    3
    """

    name: str
    values: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        numbers = [value for _, value in self.values]
        if len(set(numbers)) != len(numbers) or any(not 0 < value < 256 for value in numbers):
            raise ValueError(f"label values must be distinct and 1..255, got {self.values}")

    def value(self, structure: str) -> int:
        """Give the mask value of a structure; raises KeyError for an unknown name."""
        return dict(self.values)[structure]

    def as_dict(self) -> dict[str, int]:
        """Map names to values, in order."""
        return dict(self.values)

    def has(self, structure: str) -> bool:
        """Check whether the set has a structure."""
        return structure in dict(self.values)

    @property
    def all_values(self) -> frozenset[int]:
        """All values that a mask may hold, including background."""
        return frozenset({0, *(value for _, value in self.values)})

    def check(self, masks: NDArray[np.generic], name: str) -> None:
        """Raise `ImageContentError` if masks hold other values than the set's."""
        unknown = sorted(set(np.unique(masks).tolist()) - self.all_values)
        if unknown:
            listed = ", ".join(f"{value} {structure}" for structure, value in self.values)
            shown = ", ".join(str(value) for value in unknown[:5])
            raise ImageContentError(f"{name}: label values {shown} are unknown; expected 0 and {listed}")


CAMUS_LABELS = LabelSet("camus", (("lv_cavity", 1), ("myocardium", 2), ("left_atrium", 3)))
"""CAMUS: LV cavity inside the endocardium, myocardium, left atrium."""


LV_LABELS = LabelSet("lv", (("lv_cavity", 1),))
"""LV cavity alone, with the value of CAMUS."""


ACDC_LABELS = LabelSet("acdc", (("right_ventricle", 1), ("myocardium", 2), ("lv_cavity", 3)))
"""ACDC short-axis MR: right-ventricular cavity, myocardium, LV cavity."""


SAX_LABELS = LabelSet("sax", (("myocardium", 2), ("lv_cavity", 3)))
"""Left ventricle in short-axis MR, with the values of ACDC."""
