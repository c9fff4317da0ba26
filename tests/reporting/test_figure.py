"""The patient's picture: a PNG of one size whatever was measured, nothing cut off or overlapping."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from cardiolabel.measurements.records import Study
from cardiolabel.reporting.figure import study_figure

from .studies import Reported, measured, nothing_measured, phantom


def picture(found: Reported) -> NDArray[np.float32]:
    png = study_figure(found.study, found.clips, sources=found.sources)
    assert png.startswith(b"\x89PNG")
    return np.asarray(imread(io.BytesIO(png)))


@pytest.mark.parametrize("cine", [False, True], ids=["stills", "cines"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_a_measured_patient(cine: bool, calibrated: bool) -> None:
    result = measured(phantom(cine=cine), cine=cine)
    if not calibrated:
        result = measured(phantom(cine=cine), cine=cine, spacing=None)
    pixels = picture(result)
    assert pixels.shape == (720, 1200, 4)
    yellow = np.array([0xFF, 0xD2, 0x3F]) / 255
    drawn = np.abs(pixels[..., :3] - yellow).max(axis=-1) < 0.1
    for rows, cols in ((slice(0, 380), slice(0, 380)), (slice(380, None), slice(380, 780))):
        assert drawn[rows, cols].sum() > 200  # the contour is there


EMPTY = Reported(nothing_measured(), {}, {})


def test_an_empty_patient_with_long_reasons_keeps_its_layout() -> None:
    pixels = picture(EMPTY)
    assert pixels.shape == (720, 1200, 4)
    lit = pixels[..., :3].max(axis=-1) > 0.5
    assert lit[:, 800:].any()
    assert not lit[-4:].any() and not lit[:, -4:].any()  # nothing runs off
    black = (pixels[..., :3] == 0).all(axis=-1)
    assert black[:350].any() and black[400:].any()  # panels keep their places
    assert black.sum() > 0.35 * black.size


@pytest.mark.parametrize("patient", ["a_b", r"$\frac$", "100 % $x", ""])
def test_a_name_is_text_and_not_a_formula(patient: str) -> None:
    study: Study = replace(EMPTY.study, patient=patient)
    assert picture(replace(EMPTY, study=study)).shape == (720, 1200, 4)


def test_a_frame_without_an_image_is_reported_as_missing() -> None:
    result = measured(phantom(cine=False), cine=False)
    assert picture(replace(result, clips={})).shape == (720, 1200, 4)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written in the plots of figures saved from now on."""
    result: list[str] = []
    saved = Figure.savefig

    def spy(self: Figure, *args: object, **options: object) -> None:
        result.extend(text.get_text() for axes in self.axes for text in axes.texts)
        saved(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return result


def test_an_ef_has_its_interval_where_the_model_gives_one(texts: list[str]) -> None:
    result = measured(phantom(cine=False), cine=False)
    picture(result)
    assert "in brackets" not in max(texts, key=len)
    rows = tuple(replace(row, ef_low_pct=31.4, ef_high_pct=57.2) for row in result.study.rows)
    pixels = picture(replace(result, study=replace(result.study, rows=rows)))
    assert "% (31–57)  EDV" in max(texts, key=len)
    lit = pixels[..., :3].max(axis=-1) > 0.5
    assert not lit[-4:].any() and not lit[:, -4:].any()  # nothing runs off


def test_reasons_are_read_in_full_words(texts: list[str]) -> None:
    picture(EMPTY)
    numbers = max(texts, key=len).splitlines()
    assert max(len(line) for line in numbers) <= 50
    assert len(numbers) <= 24
    assert any("not measurable: A4C ED:" in line for line in numbers)
