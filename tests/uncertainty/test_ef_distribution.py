"""EF's spread against combinations worked out one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cardiolabel.domain import CAMUS_LABELS, Convention, Method, Phase, Spacing, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.geometry import measure_geometry
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.uncertainty.ef_distribution import ef_draws, needed_frames, short_axis_draws
from cardiolabel.uncertainty.sampled_masks import SampledGeometries

PIXEL = Spacing(0.5, 0.5)
WIDTHS = {
    (View.A4C, Phase.ED): 40,
    (View.A4C, Phase.ES): 28,
    (View.A2C, Phase.ED): 44,
    (View.A2C, Phase.ES): 32,
}


def ventricle(width: float, length: float = 150) -> np.ndarray:
    """Half an ellipse within its wall, an atrium below, on 0.5 mm pixels."""
    rows, cols = np.mgrid[:200, :200]
    up, across = (170 - rows) / length, (cols - 100) / width
    cavity = (up**2 + across**2 < 1) & (rows < 170)
    wall = (
        ((up * length / (length + 8)) ** 2 + (across * width / (width + 8)) ** 2 < 1) & (rows < 170) & ~cavity
    )
    atrium = (rows >= 170) & (rows < 190) & (abs(cols - 100) < width)
    return np.select([cavity, wall, atrium], [1, 2, 3], 0).astype(np.uint8)


def image_id(view: View, phase: Phase) -> str:
    return f"{view}_{phase}"


def study() -> Study:
    return measure_study(
        [
            MaskedImage(image_id(*key), "p", *key, ventricle(width)[None], PIXEL, CAMUS_LABELS)
            for key, width in WIDTHS.items()
        ]
    )


def variants(width: float, *more: float) -> SampledGeometries:
    return SampledGeometries.of(
        [measure_geometry(ventricle(each), PIXEL, labels=CAMUS_LABELS) for each in (width, *more)]
    )


def biplane(found: Study, convention: Convention = Convention.GUIDELINE) -> float:
    (ef,) = [r.ef_pct for r in found.rows if (r.method, r.convention) == (Method.BIPLANE, convention)]
    assert ef is not None
    return ef


@pytest.mark.parametrize(
    ("method", "convention"),
    [
        *((method, each) for method in (Method.BIPLANE, Method.SINGLE_PLANE_A4C) for each in Convention),
        (Method.AREA_LENGTH, Convention.GUIDELINE),
    ],
)
def test_masks_that_leave_nothing_open_give_the_measured_ef(method: Method, convention: Convention) -> None:
    measured = study()
    result = ef_draws(measured, {}, method=method, convention=convention)
    (row,) = [r for r in measured.rows if (r.method, r.convention) == (method, convention)]
    assert result.ef_pct == pytest.approx(row.ef_pct)
    assert result.edv_ml == pytest.approx(row.edv_ml)
    assert result.spread_pct == pytest.approx(0)
    assert result.share == {}


def test_every_combination_is_drawn() -> None:
    measured = study()
    opens = {
        (View.A4C, Phase.ED): (40, 44),
        (View.A4C, Phase.ES): (28, 24, 32),
        (View.A2C, Phase.ES): (32, 35),
    }
    result = ef_draws(
        measured,
        {(image_id(*key), 0): variants(*widths) for key, widths in opens.items()},
        method=Method.BIPLANE,
        convention=Convention.GUIDELINE,
    )
    expected = []
    for chosen in itertools.product(*opens.values()):
        widths = {**WIDTHS, **dict(zip(opens, chosen, strict=True))}
        expected.append(
            biplane(
                measure_study(
                    [
                        MaskedImage(image_id(*key), "p", *key, ventricle(w)[None], PIXEL, CAMUS_LABELS)
                        for key, w in widths.items()
                    ]
                )
            )
        )
    assert sorted({round(each, 6) for each in result.ef_pct}) == pytest.approx(sorted(expected))
    assert result.ef_pct.mean() == pytest.approx(np.mean(expected), abs=0.2)
    assert result.spread_pct == pytest.approx(np.std(expected), rel=0.05)


def test_the_image_that_is_most_open_has_the_largest_share() -> None:
    result = ef_draws(
        study(),
        {("A4C_ES", 0): variants(20, 36), ("A2C_ED", 0): variants(43, 45)},
        method=Method.BIPLANE,
        convention=Convention.GUIDELINE,
    )
    assert sum(result.share.values()) == pytest.approx(1)
    assert result.share["A4C_ES"] > 0.9
    assert set(result.share) == {"A4C_ES", "A2C_ED"}


def test_a_seed_draws_the_same_again() -> None:
    values = {("A4C_ES", 0): variants(20, 36), ("A2C_ED", 0): variants(43, 45)}
    first, again, other = (
        ef_draws(study(), values, method=Method.BIPLANE, convention=Convention.GUIDELINE, seed=seed).ef_pct
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_cannot_be_measured_says_why() -> None:
    with pytest.raises(MeasurementError, match="A4C_ES: most of the masks"):
        ef_draws(study(), {("A4C_ES", 0): None}, method=Method.BIPLANE, convention=Convention.CAMUS)
    each = MaskedImage("x", "p", View.A4C, Phase.ED, ventricle(40)[None], PIXEL, CAMUS_LABELS)
    with pytest.raises(MeasurementError, match="no beat"):
        ef_draws(measure_study([each]), {}, method=Method.BIPLANE, convention=Convention.GUIDELINE)


def test_needed_frames_are_those_of_the_beats() -> None:
    assert needed_frames(study()) == [
        (image_id(*key), 0) for key in sorted(WIDTHS, key=lambda k: image_id(*k))
    ]


def test_short_axis_by_hand() -> None:
    result = short_axis_draws(("ed", np.array([100.0, 110.0])), ("es", np.array([50.0])))
    assert sorted(set(result.ef_pct.round(6))) == pytest.approx([50.0, 100 * 60 / 110])
    assert result.share == {"ed": 1.0}
    with pytest.raises(MeasurementError, match="ed: some of the masks"):
        short_axis_draws(("ed", np.array([0.0, 110.0])), ("es", np.array([50.0])))
