"""Slices summed: cylinders and half-ellipsoids."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Convention, Method, Phase, Spacing, View
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import MaskedImage, PatientRow
from cardiolabel.measurements.study import measure_study

SPACING = Spacing(row_mm=0.5, col_mm=0.8)


def discs(radii_mm: list[float]) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[:160, :100]
    reach = np.hypot((rows - 79.3) * SPACING.row_mm, (cols - 49.8) * SPACING.col_mm)
    return np.stack([(reach < radius).astype(np.uint8) for radius in radii_mm])


def stack(radii_mm: list[float], phase: Phase, slice_mm: float | None = 8.0) -> MaskedImage:
    return MaskedImage(
        f"p_SAX_{phase}", "p", View.SAX, phase, discs(radii_mm), SPACING, CAMUS_LABELS,
        slice_spacing_mm=slice_mm,
    )  # fmt: skip


def row_of(*stacks: MaskedImage) -> PatientRow:
    (row,) = measure_study(stacks).rows
    assert (row.method, row.convention) == (Method.SLICE_SUMMATION, Convention.GUIDELINE)
    return row


ED, ES = stack([25.0] * 10, Phase.ED), stack([18.0] * 9, Phase.ES)


def test_cylinders() -> None:
    row = row_of(ED, ES)
    assert row.edv_ml == pytest.approx(math.pi * 25**2 * 80 / 1000, rel=0.005)
    assert row.esv_ml == pytest.approx(math.pi * 18**2 * 72 / 1000, rel=0.005)
    assert row.ef_pct == pytest.approx(100 * (1 - 18**2 * 72 / (25**2 * 80)), abs=0.3)
    assert row.sv_ml == pytest.approx(row.edv_ml - row.esv_ml)
    assert row.reason == ""


def test_a_half_ellipsoid_in_thin_slices() -> None:
    heights = (np.arange(40) + 0.5) / 40
    thin = stack(list(25 * np.sqrt(1 - heights**2)), Phase.ED, slice_mm=2.0)
    assert row_of(thin).edv_ml == pytest.approx(2 / 3 * math.pi * 25**2 * 80 / 1000, rel=0.005)


def test_empty_slices_count_as_nothing_and_say_so() -> None:
    padded = stack([0.0, *[25.0] * 10, 0.0], Phase.ED)
    study = measure_study([padded, ES])
    assert study.rows[0].edv_ml == row_of(ED).edv_ml
    first, second, *_ = study.frames
    assert (first.lv_area_mm2, first.reason) == (None, "the slice has no LV cavity")
    assert second.lv_area_mm2 == pytest.approx(math.pi * 25**2, rel=0.01)
    assert second.reason == "" and second.lv_length_mm is None and second.lv_volume_ml is None
    assert [frame.frame for frame in study.frames if frame.image_id == "p_SAX_ED"] == list(range(12))


@pytest.mark.parametrize(
    ("stacks", "reason"),
    [
        ([ED], "no SAX stack at ES"),
        ([replace(ED, slice_spacing_mm=None), ES], "ED: the distance between slices is unknown"),
        ([replace(ED, slice_spacing_mm=0.0), ES], "ED: the distance between slices is unknown"),
        ([replace(ED, spacing=None), ES], "ED: the file carries no pixel spacing"),
        ([stack([0.0, 0.0], Phase.ED), ES], "ED: the mask has no LV cavity"),
        ([replace(ED, masks=np.zeros((0, 0, 0), np.uint8), problem="torn"), ES], "ED: torn"),
        ([stack([10.0], Phase.ED), ES], "not smaller than at ED"),
        ([replace(ED, phase=Phase.CINE)], "no SAX stack at ED; no SAX stack at ES"),
    ],
)
def test_what_cannot_be_summed_is_empty_with_its_reason(stacks: list[MaskedImage], reason: str) -> None:
    row = row_of(*stacks)
    assert row.ef_pct is None
    assert reason in row.reason


def test_slices_and_apical_views_of_one_patient_both_get_rows() -> None:
    apical = replace(ED, image_id="p_4CH", view=View.A4C)
    methods = {row.method for row in measure_study([apical, ED, ES]).rows}
    assert methods == set(Method)


def test_without_pixel_size_there_is_an_ef_but_no_volume() -> None:
    stacks = stack([20.0, 18.0], Phase.ED), stack([15.0, 12.0], Phase.ES)
    calibrated = row_of(*stacks)
    found = row_of(*(replace(one, spacing=None) for one in stacks))
    assert (found.edv_ml, found.esv_ml) == (None, None)
    assert found.ef_pct == pytest.approx(calibrated.ef_pct)
    assert Flag.UNCALIBRATED in found.quality and "pixel spacing" in found.reason
