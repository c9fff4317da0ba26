"""A predictor turns a clip into masks of the same shape, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.domain import CAMUS_LABELS, Clip, LabelSet, Spacing
from cardiolabel.errors import CorruptWeightsError, MissingWeightsError
from cardiolabel.inference.postprocess import clean_mask
from cardiolabel.inference.predictor import Predictor

from .models import noise_clip, save_tiny_model

ANISOTROPIC = Spacing(row_mm=0.4, col_mm=0.9)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return Predictor.load("tiny", folder)


@pytest.mark.parametrize(
    ("frames", "rows", "cols", "spacing"),
    [(1, 200, 120, ANISOTROPIC), (1, 61, 300, None), (11, 90, 70, ANISOTROPIC), (1, 1, 1, None)],
)
def test_masks_have_the_clips_shape(
    predictor: Predictor, frames: int, rows: int, cols: int, spacing: Spacing | None
) -> None:
    masks = predictor.predict(noise_clip(frames, rows, cols, spacing))
    assert masks.shape == (frames, rows, cols)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) <= CAMUS_LABELS.all_values


def test_frames_of_a_cine_are_predicted_in_chunks_and_in_order(predictor: Predictor) -> None:
    # Every frame has the same extremes, so that a still is scaled as its cine is.
    clip = noise_clip(9, 80, 80, None)
    pixels = clip.pixels.copy()
    pixels[:, 0, :60], pixels[:, -1, :60] = 0, 255
    together = predictor.predict(Clip(pixels, None))
    high = np.percentile(pixels, 99.5)
    assert high == 255
    for index in (0, 7, 8):
        alone = predictor.predict(Clip(pixels[index : index + 1], None))[0]
        assert (alone == together[index]).mean() > 0.99
    assert (together[0] != together[8]).any()


def test_masks_are_clean(predictor: Predictor) -> None:
    for mask in predictor.predict(noise_clip(3, 100, 100, None)):
        assert np.array_equal(clean_mask(mask, CAMUS_LABELS), mask)


def test_predictions_are_reproducible(predictor: Predictor) -> None:
    clip = noise_clip(2, 64, 64, None)
    assert np.array_equal(predictor.predict(clip), predictor.predict(clip))


def test_two_threads_get_equal_masks(predictor: Predictor) -> None:
    clips = [noise_clip(3, 70 + k, 90, None, seed=k) for k in range(6)]
    expected = [predictor.predict(clip) for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        result = list(pool.map(predictor.predict, clips))
    for first, other in zip(result, expected, strict=True):
        assert np.array_equal(first, other)


def test_loading_reports_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError):
        Predictor.load("tiny", tmp_path)
    save_tiny_model(tmp_path, recipe="ultrasound of 1970")
    with pytest.raises(CorruptWeightsError, match=r"unknown recipe 'ultrasound of 1970'"):
        Predictor.load("tiny", tmp_path)


def test_labels_come_from_the_recipe(predictor: Predictor) -> None:
    assert predictor.labels is CAMUS_LABELS
    assert len(predictor.card.sha256) == 64


def test_only_keeps_the_selected_structure(predictor: Predictor) -> None:
    clip = noise_clip(3, 100, 100, None)
    everything = predictor.predict(clip)
    cavity = predictor.only(["lv_cavity"], name="camus_lv")
    assert cavity.labels == LabelSet("camus_lv", (("lv_cavity", 1),))
    assert (cavity.card.name, cavity.card.sha256) == ("camus_lv", predictor.card.sha256)
    assert set(np.unique(everything)) > {0, 1}
    assert np.array_equal(cavity.predict(clip), np.where(everything == 1, 1, 0))
    assert predictor.labels is CAMUS_LABELS and predictor.card.name == "tiny"
    assert np.array_equal(predictor.predict(clip), everything)


def test_only_keeps_the_order_of_labels_and_can_be_narrowed_again(predictor: Predictor) -> None:
    two = predictor.only({"left_atrium", "lv_cavity"}, name="two")
    assert two.labels.as_dict() == {"lv_cavity": 1, "left_atrium": 3}
    assert two.only(["left_atrium"], name="one").labels.as_dict() == {"left_atrium": 3}
    with pytest.raises(
        ValueError, match="model two does not segment myocardium; expected lv_cavity, left_atrium"
    ):
        two.only(["myocardium"], name="one")


def test_only_refuses_an_unknown_structure(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="does not segment right_ventricle"):
        predictor.only(["lv_cavity", "right_ventricle"], name="x")
