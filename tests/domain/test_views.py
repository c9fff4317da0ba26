"""The registry describes every view once, and everything else follows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from cardiolabel.domain import VIEWS, Geometry, View, labels_of_view, views_of_recipe
from cardiolabel.preprocessing.recipes import RECIPES
from cardiolabel.records.file_names import record_from_name


def test_every_view_is_described() -> None:
    assert list(VIEWS) == list(View)


def test_no_two_views_share_an_abbreviation() -> None:
    abbreviations = [name for description in VIEWS.values() for name in description.file_names]
    assert len(set(abbreviations)) == len(abbreviations) > 0


@pytest.mark.parametrize(
    ("view", "abbreviation"),
    [(view, name) for view, description in VIEWS.items() for name in description.file_names],
)
def test_file_names_give_the_view(view: View, abbreviation: str) -> None:
    for name in (abbreviation, abbreviation.upper()):
        assert record_from_name(Path(f"patient0001_{name}_ED.nii.gz")).view is view


def test_codes_are_those_of_snomed_ct() -> None:
    assert VIEWS[View.A2C].snomed_code == codes.SCT.ApicalTwoChamber.value
    assert VIEWS[View.A4C].snomed_code == codes.SCT.ApicalFourChamber.value
    assert VIEWS[View.SAX].snomed_code == codes.SCT.ShortAxis.value


def test_recipes_and_views_name_each_other() -> None:
    assert {recipe for description in VIEWS.values() for recipe in description.recipes} == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.views == views_of_recipe(name)


def test_a_model_segments_only_structures_that_its_views_label() -> None:
    for recipe in RECIPES.values():
        for view in recipe.views:
            assert set(recipe.labels.values) <= set(labels_of_view(view).values)


def test_only_short_axis_stacks_have_slices() -> None:
    assert [view for view in View if view.is_stack] == [View.SAX]
    assert {VIEWS[View.A2C].geometry, VIEWS[View.A4C].geometry} == {Geometry.APICAL_PLANE}
