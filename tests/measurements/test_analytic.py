"""Truncated ellipsoids, turned, on every kind of pixel: volumes and EF against the integral."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cardiolabel.domain import CAMUS_LABELS, Convention, LabelSet, Method, Spacing
from cardiolabel.measurements.records import PatientRow
from cardiolabel.measurements.study import measure_study

from .shapes import CAVITY_ONLY, Heart
from .strategies import hearts, spacings

SPACINGS = (
    Spacing(row_mm=0.15, col_mm=0.3),
    Spacing(row_mm=0.3, col_mm=0.15),
    Spacing(row_mm=0.5, col_mm=0.5),
    Spacing(row_mm=1.0, col_mm=0.5),
    Spacing(row_mm=1.0, col_mm=1.0),
)
MASKS = {
    "wall and atrium": (CAMUS_LABELS, True),
    "CAMUS without wall": (CAMUS_LABELS, False),
    "cavity only": (CAVITY_ONLY, False),
}


def biplane(heart: Heart, spacing: Spacing, labels: LabelSet, *, neighbours: bool) -> PatientRow:
    study = measure_study(heart.images(spacing, labels=labels, neighbours=neighbours))
    (row,) = [
        row for row in study.rows if row.method is Method.BIPLANE and row.convention is Convention.GUIDELINE
    ]
    return row


def check(row: PatientRow, heart: Heart) -> None:
    assert row.edv_ml == pytest.approx(heart.edv_ml, rel=0.02)
    assert row.esv_ml == pytest.approx(heart.esv_ml, rel=0.02)
    assert row.ef_pct == pytest.approx(heart.ef_pct, abs=0.5)
    assert row.length_a4c_ed_mm == pytest.approx(heart.a4c_ed.length_mm, rel=0.02)
    assert row.length_a2c_es_mm == pytest.approx(heart.a2c_es.length_mm, rel=0.02)


@pytest.mark.parametrize("cut", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("spacing", SPACINGS, ids=lambda s: f"{s.row_mm}x{s.col_mm}")
@pytest.mark.parametrize("kind", MASKS)
def test_truncated_ellipsoids(kind: str, spacing: Spacing, cut: float) -> None:
    labels, neighbours = MASKS[kind]
    rng = np.random.default_rng(7)
    for rotation_deg in (-30.0, -11.0, 0.0, 19.0, 30.0):
        shift_row, shift_col = rng.uniform(-1, 1, size=2)
        heart = Heart.posed(cut=cut, rotation_deg=rotation_deg, shift_mm=(shift_row, shift_col))
        check(biplane(heart, spacing, labels, neighbours=neighbours), heart)


@settings(max_examples=20)
@given(heart=hearts, spacing=spacings)
def test_any_pose_with_a_wall(heart: Heart, spacing: Spacing) -> None:
    check(biplane(heart, spacing, CAMUS_LABELS, neighbours=True), heart)


@settings(max_examples=20)
@given(heart=hearts, spacing=spacings)
def test_any_pose_of_the_cavity_alone(heart: Heart, spacing: Spacing) -> None:
    check(biplane(heart, spacing, CAVITY_ONLY, neighbours=False), heart)


@pytest.mark.parametrize("kind", MASKS)
def test_area_length_is_exact_for_half_ellipsoids(kind: str) -> None:
    labels, neighbours = MASKS[kind]
    heart = Heart()
    study = measure_study(heart.images(Spacing(row_mm=0.4, col_mm=0.3), labels=labels, neighbours=neighbours))
    (row,) = [
        row
        for row in study.rows
        if row.method is Method.AREA_LENGTH and row.convention is Convention.GUIDELINE
    ]
    assert row.edv_ml == pytest.approx(heart.edv_ml, rel=0.01)
    assert row.esv_ml == pytest.approx(heart.esv_ml, rel=0.01)
    assert row.ef_pct == pytest.approx(heart.ef_pct, abs=0.5)
