"""Bland-Altman pictures: every line, number and sentence is there, and nothing runs off."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from cardiolabel.measurements.agreement import agreement
from cardiolabel.reporting.bland_altman import PairedValues, bland_altman_png


def pairs(count: int, *, names: tuple[str, str] = ("anna", "ben"), sd: float = 5.0) -> PairedValues:
    rng = np.random.default_rng(count)
    second = rng.uniform(25, 70, count)
    first = second + rng.normal(1, sd, count)
    return PairedValues(
        first,
        second,
        names,
        tuple(f"case{number:02d}" for number in range(count)),
        "EF, biplane, guideline",
        "%",
        "EF points",
        "patients",
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are saved."""
    stored: list[Figure] = []
    saved = Figure.savefig

    def spy(self: Figure, *args: Any, **options: Any) -> None:
        stored.append(self)
        saved(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return stored


def texts(axes: Axes) -> str:
    return " ".join(" ".join(text.get_text() for text in axes.texts).split())


def draw(*panels: PairedValues) -> np.ndarray:
    png = bland_altman_png(panels, empty="Nobody read anything.")
    assert png.startswith(b"\x89PNG")
    return np.asarray(imread(io.BytesIO(png)))


def test_bias_and_limits_are_drawn_and_written(figures: list[Figure]) -> None:
    panel = pairs(20)
    draw(panel)
    (axes,) = figures[0].axes
    result = agreement(panel.first, panel.second)
    heights = {
        float(line.get_ydata()[0])
        for line in axes.lines
        if len(line.get_ydata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    }
    assert heights == {0.0, result.bias, *result.limits}
    text = texts(axes)
    for name, value in (
        ("+1.96 SD", result.limits[1]),
        ("bias", result.bias),
        ("−1.96 SD", result.limits[0]),
    ):
        assert f"{name} {value:+.1f} EF points 95 % CI".replace(" -", " −") in text
    assert "n = 20" in axes.get_xlabel() and "EF, biplane, guideline" in axes.get_xlabel()
    assert axes.get_ylabel() == "anna − ben, EF points"
    points = next(line for line in axes.lines if line.get_marker() == "o")
    assert points.get_xdata() == pytest.approx((panel.first + panel.second) / 2)
    assert points.get_ydata() == pytest.approx(panel.first - panel.second)
    low, high = axes.get_ylim()
    assert low < min(points.get_ydata()) and max(points.get_ydata()) < high
    assert low < result.limits[0] and result.limits[1] < high


@pytest.mark.parametrize("sd", [1e-6, 1.0, 60.0])
def test_numbers_do_not_cover_each_other_or_run_off(figures: list[Figure], sd: float) -> None:
    pixels = draw(pairs(12, sd=sd))
    (axes,) = figures[0].axes
    numbers = sorted(text.get_position()[1] for text in axes.texts if "95 % CI" in text.get_text())
    assert len(numbers) == 3 and (np.diff(numbers) >= 0.199).all()
    ground = pixels[0, 0]
    for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
        assert np.abs(edge - ground).max() < 0.01


def test_only_cases_that_stand_out_are_named_among_many(figures: list[Figure]) -> None:
    panel = pairs(40)
    differences = panel.first - panel.second
    lower, upper = agreement(panel.first, panel.second).limits
    outside = {panel.cases[i] for i in np.flatnonzero((differences < lower) | (differences > upper))}
    draw(panel)
    named = {text.get_text() for text in figures[0].axes[0].texts} & set(panel.cases)
    assert outside and named == outside


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_cases_are_a_sentence_and_no_limits(figures: list[Figure], count: int) -> None:
    draw(pairs(count))
    (axes,) = figures[0].axes
    assert f"No limits: agreement needs at least 3 patients, found {count}." in texts(axes)
    assert "SD" not in texts(axes) and len(axes.lines) == (2 if count else 0)


def test_nothing_to_draw_is_a_sentence(figures: list[Figure]) -> None:
    draw()
    assert figures[0].axes == [] and figures[0].texts[0].get_text() == "Nobody read anything."


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 30])
def test_a_panel_per_pair_up_to_a_limit(figures: list[Figure], count: int) -> None:
    draw(*(pairs(3 + index % 4, names=("anna", f"reader{index}")) for index in range(count)))
    assert len(figures[0].axes) == min(count, 24)
    title = figures[0].get_suptitle()
    assert title == ("24 of 30 pairs, those with the most cases" if count == 30 else "")


@pytest.mark.parametrize("name", [r"$\frac$", "a_b^c", "", "x" * 300, "Zoë\nŁ"])
def test_a_name_is_text_and_not_a_formula(name: str) -> None:
    assert draw(pairs(5, names=(name, "ben"))).shape == draw(pairs(5)).shape


def test_equal_values_can_be_drawn() -> None:
    same = np.full(5, 55.0)
    draw(PairedValues(same, same, ("model", "reference"), tuple("abcde"), "EF", "%", "EF points"))


def test_values_and_cases_must_match() -> None:
    with pytest.raises(ValueError, match="per case"):
        PairedValues(np.zeros(3), np.zeros(2), ("a", "b"), ("x", "y", "z"), "EF", "%", "points")
    with pytest.raises(ValueError, match="for 1 cases"):
        PairedValues(np.zeros(2), np.zeros(2), ("a", "b"), ("x",), "EF", "%", "points")
