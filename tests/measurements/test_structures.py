"""Structures of label sets."""

from __future__ import annotations

from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS
from cardiolabel.measurements.structures import structure_values

from .shapes import CAVITY_ONLY


def test_structures_of_label_sets() -> None:
    assert structure_values(CAMUS_LABELS) == {
        "lv_cavity": (1,),
        "myocardium": (2,),
        "left_atrium": (3,),
        "epicardium": (1, 2),
    }
    assert structure_values(ACDC_LABELS)["epicardium"] == (3, 2)
    assert structure_values(CAVITY_ONLY) == {"lv_cavity": (1,)}
