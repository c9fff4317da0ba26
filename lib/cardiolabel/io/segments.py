"""Segment names in a ``.seg.nrrd`` file.

3D Slicer writes for its k-th segment the fields ``Segmentk_Name``, ``Segmentk_LabelValue`` and
``Segmentk_Layer``. It renumbers values when segments are deleted and drawn again, so that only the header
tells what they mean.

References
----------
3D Slicer, vtkMRMLSegmentationStorageNode, https://slicer.readthedocs.io, "Segmentation file (.seg.nrrd)".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError

__all__ = ["Segment", "label_values", "segments_of"]

_FIELD = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")


@dataclass(frozen=True)
class Segment:
    """A segment: the name of its structure, its label value within its layer, and that layer from 0."""

    name: str
    value: int
    layer: int = 0


def segments_of(fields: Mapping[str, str]) -> tuple[Segment, ...]:
    """Return the segments that an NRRD header describes, in the file's order; none for a plain label map.

    Examples
    --------
    >>> segments_of({"Segment0_Name": "lv_cavity", "Segment0_LabelValue": "2", "type": "unsigned char"})
    (Segment(name='lv_cavity', value=2, layer=0),)

    Raises
    ------
    ImageContentError
        A value or a layer that is no number.
    """
    described: dict[int, dict[str, str]] = {}
    for field, text in fields.items():
        if match := _FIELD.fullmatch(field):
            described.setdefault(int(match[1]), {})[match[2]] = text
    return tuple(
        Segment(
            _unescaped(of_segment.get("Name", f"Segment{number}")),
            _whole(of_segment.get("LabelValue"), otherwise=number + 1, field=f"Segment{number}_LabelValue"),
            _whole(of_segment.get("Layer"), otherwise=0, field=f"Segment{number}_Layer"),
        )
        for number, of_segment in sorted(described.items())
    )


def label_values(
    frames: NDArray[np.generic], segments: Sequence[Segment], labels: LabelSet, name: str
) -> NDArray[np.uint8]:
    """Replace label values by those of the label set, by the names of the segments.

    Names match in any case, with blanks or hyphens for underscores. Where segments of several layers overlap,
    the later one counts, as in 3D Slicer's own export.

    Parameters
    ----------
    frames : ndarray, shape (T, H, W) or (T, H, W, layers)
        Label values as the segments number them.
    segments : sequence of Segment
    labels : LabelSet
        Structures that the mask may have.
    name : str
        The file, for messages.

    Raises
    ------
    ImageContentError
        A value without a segment or with two, or a segment whose name the label set does not have.
    """
    layered = frames if frames.ndim == 4 else frames[..., np.newaxis]
    structures = {_plain(structure): value for structure, value in labels.values}
    masks = np.zeros(layered.shape[:3], dtype=np.uint8)
    described = np.zeros(layered.shape, dtype=np.bool_)
    unknown: list[str] = []
    for segment in segments:
        if segment.layer >= layered.shape[3]:
            continue
        inside = layered[..., segment.layer] == segment.value
        if not inside.any():
            continue
        if described[..., segment.layer][inside].any():
            raise ImageContentError(f"{name}: two segments have the label value {segment.value}")
        described[..., segment.layer] |= inside
        value = structures.get(_plain(segment.name))
        if value is None:
            unknown.append(segment.name[:80])
        else:
            masks[inside] = value
    expected = ", ".join(labels.as_dict())
    if unknown:
        called = ", ".join(map(repr, unknown))
        raise ImageContentError(f"{name}: segments are called {called}; expected names among {expected}")
    nameless = np.unique(layered[(layered != 0) & ~described])
    if nameless.size:
        shown = ", ".join(f"{value:g}" for value in nameless[:5].tolist())
        raise ImageContentError(
            f"{name}: label values {shown} belong to no named segment; expected {expected}"
        )
    return masks


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _unescaped(text: str) -> str:
    r"""Return a header value with line ends and backslashes unescaped."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


def _whole(text: str | None, *, otherwise: int, field: str) -> int:
    if text is None:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value.is_integer() and 0 <= value <= 255):
        raise ImageContentError(f"{field} is {text[:40]!r}; expected a whole number in 0..255")
    return int(value)
