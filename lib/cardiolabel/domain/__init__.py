"""The nouns of the product: frozen, validated when made.

Axes are fixed here and nowhere else: a clip is ``(T, H, W)``, a stack ``(Z, H, W)``, a point
``(row, col)``. Rows run along depth (away from the transducer), columns along the lateral
direction. Spacing is in mm and never has a default: a file without calibration gives ``None``.
"""

from cardiolabel.domain.image import Clip, Spacing, Stack
from cardiolabel.domain.labels import ACDC_LABELS, CAMUS_LABELS, LV_LABELS, SAX_LABELS, LabelSet
from cardiolabel.domain.methods import Convention, Method
from cardiolabel.domain.record import SPLITS, Phase, Record
from cardiolabel.domain.views import VIEWS, Geometry, View, ViewDescription, labels_of_view, views_of_recipe

__all__ = [
    "ACDC_LABELS",
    "CAMUS_LABELS",
    "LV_LABELS",
    "SAX_LABELS",
    "SPLITS",
    "VIEWS",
    "Clip",
    "Convention",
    "Geometry",
    "LabelSet",
    "Method",
    "Phase",
    "Record",
    "Spacing",
    "Stack",
    "View",
    "ViewDescription",
    "labels_of_view",
    "views_of_recipe",
]
