"""The registry of imaging planes: everything that the product knows about a view because it is that view.

A new view, for instance A3C or PLAX, is one member of `View` and one entry of `VIEWS`; what is particular to
it (a measuring method, a network) goes into the room of that subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cardiolabel.domain.labels import ACDC_LABELS, CAMUS_LABELS, LabelSet


class View(StrEnum):
    """Imaging plane."""

    A2C = "A2C"
    A4C = "A4C"
    SAX = "SAX"
    UNKNOWN = "unknown"

    @property
    def is_stack(self) -> bool:
        """Whether images of this view are stacks of parallel slices, ``(Z, H, W)``, rather than clips."""
        return VIEWS[self].geometry is Geometry.SHORT_AXIS_STACK


class Geometry(StrEnum):
    """How images of a view cut the left ventricle, and so which volume methods apply."""

    APICAL_PLANE = "apical plane"
    """One long-axis plane through the apex: method of discs, area-length."""
    SHORT_AXIS_STACK = "short-axis stack"
    """Parallel slices across the long axis: slice summation."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ViewDescription:
    """One entry of the registry.

    Parameters
    ----------
    name : str
        What clinicians call the view.
    file_names : tuple of str
        How file names abbreviate it, lower case; the first is the usual one.
    snomed_code : str or None
        SNOMED CT code of the view: DICOM CID 12226 for echo planes, CID 26 for short-axis MR.
    geometry : Geometry
    labels : LabelSet
        Meaning of the values in stored masks.
    recipes : tuple of str
        Names of the preprocessing recipes whose models segment the view.
    """

    name: str
    file_names: tuple[str, ...]
    snomed_code: str | None
    geometry: Geometry
    labels: LabelSet
    recipes: tuple[str, ...]


_APICAL_RECIPES = ("camus", "lv", "landmarks")

VIEWS = {
    View.A2C: ViewDescription(
        name="apical two-chamber",
        file_names=("2ch", "a2c"),
        snomed_code="399232001",
        geometry=Geometry.APICAL_PLANE,
        labels=CAMUS_LABELS,
        recipes=_APICAL_RECIPES,
    ),
    View.A4C: ViewDescription(
        name="apical four-chamber",
        file_names=("4ch", "a4c"),
        snomed_code="399214001",
        geometry=Geometry.APICAL_PLANE,
        labels=CAMUS_LABELS,
        recipes=_APICAL_RECIPES,
    ),
    View.SAX: ViewDescription(
        name="short axis",
        file_names=("sax",),
        snomed_code="103340004",
        geometry=Geometry.SHORT_AXIS_STACK,
        labels=ACDC_LABELS,
        recipes=("sax",),
    ),
    # Most echo files whose names say nothing show an apical plane.
    View.UNKNOWN: ViewDescription(
        name="unknown",
        file_names=(),
        snomed_code=None,
        geometry=Geometry.UNKNOWN,
        labels=CAMUS_LABELS,
        recipes=_APICAL_RECIPES,
    ),
}
"""Every view with its description."""


def labels_of_view(view: View) -> LabelSet:
    """Give the label set of a view's stored masks; models may segment fewer structures.

    Examples
    --------
    >>> labels_of_view(View.SAX).value("lv_cavity")
    3
    """
    return VIEWS[view].labels


def views_of_recipe(recipe: str) -> frozenset[View]:
    """Give the views that a recipe's models segment.

    Examples
    --------
    >>> sorted(views_of_recipe("sax"))
    [<View.SAX: 'SAX'>]
    """
    return frozenset(view for view, description in VIEWS.items() if recipe in description.recipes)
