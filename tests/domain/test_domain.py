"""Domain objects refuse impossible values when they are made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from cardiolabel import errors
from cardiolabel.domain import (
    CAMUS_LABELS,
    Clip,
    Convention,
    LabelSet,
    Method,
    Phase,
    Record,
    Spacing,
    Stack,
    View,
)
from cardiolabel.errors import CardiolabelError, ImageContentError, InputError

MM = Spacing(row_mm=0.5, col_mm=0.25)


def test_table_values_keep_their_spelling() -> None:
    assert [str(view) for view in View] == ["A2C", "A4C", "SAX", "unknown"]
    assert [str(phase) for phase in Phase] == ["ED", "ES", "cine"]
    assert [str(convention) for convention in Convention] == ["guideline", "camus"]
    assert [str(method) for method in Method] == [
        "biplane",
        "single-plane-A4C",
        "single-plane-A2C",
        "area-length",
        "slice-summation",
    ]


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), -0.0])
def test_spacing_is_a_positive_length(bad: float) -> None:
    with pytest.raises(ImageContentError, match="row_mm"):
        Spacing(row_mm=bad, col_mm=1)
    with pytest.raises(ImageContentError, match="col_mm"):
        Spacing(row_mm=1, col_mm=bad)


def test_spacing_has_no_default() -> None:
    with pytest.raises(TypeError):
        Spacing()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Clip(np.zeros((1, 2, 2)))  # type: ignore[call-arg]
    assert MM.pixel_area_mm2 == 0.125


def test_camus_labels() -> None:
    assert CAMUS_LABELS.as_dict() == {"lv_cavity": 1, "myocardium": 2, "left_atrium": 3}
    assert CAMUS_LABELS.all_values == {0, 1, 2, 3}
    assert CAMUS_LABELS.has("myocardium") and not CAMUS_LABELS.has("aorta")
    with pytest.raises(KeyError):
        CAMUS_LABELS.value("aorta")


@pytest.mark.parametrize("values", [(("a", 1), ("b", 1)), (("a", 0),), (("a", 256),), (("a", -1),)])
def test_label_values_are_distinct_bytes(values: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match=r"distinct and 1\.\.255"):
        LabelSet("x", values)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((4, 4)), "three non-empty axes"),
        (np.zeros((1, 4, 4, 3)), "three non-empty axes"),
        (np.zeros((0, 4, 4)), "three non-empty axes"),
        (np.zeros((1, 4, 0)), "three non-empty axes"),
        (np.full((1, 2, 2), np.nan), "holds 4 NaN or infinite pixels"),
        (np.array([[[1, np.inf]]]), "holds 1 NaN or infinite pixels"),
        (np.zeros((1, 2, 2), complex), "not complex128"),
        (np.zeros((1, 2, 2), bool), "not bool"),
        (np.full((1, 2, 2), "a"), "integer or float grey values"),
    ],
)
def test_unusable_pixels_are_refused(pixels: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageContentError, match=reason):
        Clip(pixels, None)
    with pytest.raises(ImageContentError, match=reason):
        Stack(pixels, MM, 8.0)


def test_a_clip_is_read_only_and_the_array_it_was_made_from_is_not() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    clip = Clip(pixels, None, 25.0)
    assert clip.shape == (2, 3, 4)
    with pytest.raises(ValueError, match="read-only"):
        clip.pixels[0, 0, 0] = 1  # type: ignore[call-overload]
    pixels[0, 0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        clip.spacing = MM  # type: ignore[misc]


@pytest.mark.parametrize("rate_hz", [0, -25, float("nan")])
def test_a_frame_rate_is_positive(rate_hz: float) -> None:
    with pytest.raises(ImageContentError, match="frame rate"):
        Clip(np.zeros((1, 2, 2)), None, rate_hz)


@pytest.mark.parametrize("distance", [0, -8, float("nan"), float("inf")])
def test_slice_spacing_is_positive(distance: float) -> None:
    with pytest.raises(ImageContentError, match="slice spacing"):
        Stack(np.zeros((1, 2, 2)), MM, distance)


def test_a_stack_refuses_an_affine_of_other_spacings() -> None:
    turned = np.array([[0, 0.5, 0, 10], [0.25, 0, 0, 20], [0, 0, -8, 30], [0, 0, 0, 1]])
    spacing = Spacing(row_mm=0.5, col_mm=0.25)
    assert Stack(np.zeros((2, 3, 4)), spacing, 8.0, turned).affine is turned
    for other in (Spacing(row_mm=0.25, col_mm=0.5), Spacing(row_mm=0.5, col_mm=0.26)):
        with pytest.raises(ImageContentError, match="does not fit spacings"):
            Stack(np.zeros((2, 3, 4)), other, 8.0, turned)
    with pytest.raises(ImageContentError, match="does not fit spacings"):
        Stack(np.zeros((2, 3, 4)), spacing, 10.0, turned)


def test_records_compare_equal_wherever_the_file_lies() -> None:
    record = Record("i", "p", View.A4C, Phase.ED, "camus", Path("a/i.nii.gz"))
    assert replace(record, path=Path("b/i.nii.gz")) == record
    assert replace(record, view=View.A2C) != record


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    result = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, CardiolabelError) for kind in result)
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in result)
    assert issubclass(ImageContentError, InputError)
