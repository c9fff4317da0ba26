"""Masks judged in memory get the figures that the same masks get as files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.folders import Change, predict, tighter_at_es, write_echo

from cardiolabel.domain import CAMUS_LABELS, Clip, LabelSet
from cardiolabel.errors import DatasetError, ImageContentError
from cardiolabel.evaluation.evaluate import evaluate
from cardiolabel.records import manifest
from cardiolabel.studies.studies import Studies
from cardiolabel.training.retraining.figures import Figures, figures


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_echo(tmp_path_factory.mktemp("echo") / "studies")


class Drawn:
    """Stands for a model: its masks of the images, in their order, are the references changed."""

    labels: LabelSet = CAMUS_LABELS

    def __init__(self, masks: list[NDArray[np.uint8] | Exception]) -> None:
        self._masks: Iterator[NDArray[np.uint8] | Exception] = iter(masks)

    def predict(self, clip: Clip) -> NDArray[np.uint8]:
        masks = next(self._masks)
        if isinstance(masks, Exception):
            raise masks
        assert masks.shape == clip.shape
        return masks


def judged(masks: list[NDArray[np.uint8] | Exception], echo: Path) -> Figures:
    records = sorted(manifest.read(echo), key=lambda record: record.patient)
    return figures(Drawn(masks), records, echo)  # type: ignore[arg-type]


def changed(echo: Path, change: Change | None = None) -> list[NDArray[np.uint8] | Exception]:
    studies = Studies(echo)
    masks: list[NDArray[np.uint8] | Exception] = []
    for record in sorted(manifest.read(echo), key=lambda record: record.patient):
        drawn = studies.drawn(record)
        assert drawn is not None
        masks.append(change(record, drawn.masks) if change else drawn.masks)
    return masks


def test_the_references_themselves_are_perfect(echo: Path) -> None:
    result = judged(changed(echo), echo)
    assert set(result.dice.values()) == set(result.lv_dice.values()) == {1.0}
    assert result.ef_error_pct and set(result.ef_error_pct.values()) == {0.0}


def test_masks_in_memory_score_as_their_files(echo: Path, tmp_path: Path) -> None:
    result = judged(changed(echo, tighter_at_es), echo)
    files = evaluate(predict(echo, tmp_path / "tight", tighter_at_es), echo)
    for patient, dice in result.lv_dice.items():
        expected = [
            row.score.dice
            for row in files.scores
            if row.record.patient == patient and row.score.structure == "lv_cavity"
        ]
        assert dice == pytest.approx(np.mean([value for value in expected if value is not None]))
        assert dice < 1
    assert all(error > 1 for error in result.ef_error_pct.values())


def test_an_image_that_cannot_be_predicted_is_left_out(echo: Path) -> None:
    masks = changed(echo)
    masks[0] = ImageContentError("not an image of the heart")
    assert judged(masks, echo).dice == judged(changed(echo), echo).dice
    with pytest.raises(DatasetError, match=r"no image can be compared.*not an image of the heart"):
        judged([ImageContentError("not an image of the heart")] * len(masks), echo)


def test_nothing_is_written(echo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masks, before = changed(echo), sorted(echo.rglob("*"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert judged(masks, echo).dice
    assert sorted(echo.rglob("*")) == before
