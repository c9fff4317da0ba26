"""A2C and A4C told apart by a patient's pictures of both."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cardiolabel.domain import View
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.swapped_views import (
    LEAST_PATIENTS,
    ViewDirection,
    ViewThumbnails,
    learn_direction,
)


def patients(count: int, *, apart: float, seed: int = 0) -> dict[str, ViewThumbnails]:
    """Two pictures of each view; of the 64 numbers of each, one differs between the views."""
    generator = np.random.default_rng(seed)
    result: dict[str, ViewThumbnails] = {}
    for number in range(count):
        pictures = []
        for view, place in ((View.A4C, apart), (View.A4C, apart), (View.A2C, -apart), (View.A2C, -apart)):
            picture = generator.normal(0, 1, 64).astype(np.float32)
            picture[7] += place
            pictures.append((view, picture))
        result[f"p{number:03d}"] = pictures
    return result


def swapped(pictures: ViewThumbnails) -> ViewThumbnails:
    other = {View.A4C: View.A2C, View.A2C: View.A4C}
    return [(other[view], picture) for view, picture in pictures]


def test_views_named_the_wrong_way_round_are_told_and_others_are_not() -> None:
    views = learn_direction(patients(50, apart=2.0))
    assert views is not None and views.limit <= 0
    unseen = patients(100, apart=2.0, seed=1).values()
    assert np.mean([views.are_swapped(each) for each in unseen]) <= 0.02
    assert np.mean([views.are_swapped(swapped(each)) for each in unseen]) >= 0.9


def test_views_of_equal_length_get_no_foreshortening_note() -> None:
    views = learn_direction(patients(50, apart=0.0))
    assert views is not None
    unseen = patients(100, apart=0.0, seed=1).values()
    assert np.mean([views.are_swapped(each) for each in unseen]) <= 0.1


def test_a_patient_with_one_view_is_left_alone() -> None:
    views = learn_direction(patients(50, apart=2.0))
    assert views is not None
    each = [pair for pair in swapped(patients(1, apart=2.0)["p000"]) if pair[0] is View.A4C]
    assert views.margin(each) is None and not views.are_swapped(each)
    assert learn_direction(dict.fromkeys((f"p{n}" for n in range(50)), each)) is None


def test_too_few_patients_say_nothing() -> None:
    assert learn_direction(patients(LEAST_PATIENTS - 1, apart=2.0)) is None


def test_a_card_keeps_them() -> None:
    views = learn_direction(patients(30, apart=2.0))
    assert views is not None
    again = ViewDirection.from_card(json.loads(json.dumps(views.as_dict())))
    each = patients(1, apart=2.0, seed=3)["p000"]
    assert again is not None and again.limit == views.limit
    assert again.margin(each) == pytest.approx(views.margin(each), rel=0.01)
    assert ViewDirection.from_card({}) is None
    with pytest.raises(CorruptWeightsError, match="view direction"):
        ViewDirection.from_card({"direction": "AAA", "limit": 0})
