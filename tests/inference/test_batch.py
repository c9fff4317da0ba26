"""Batched prediction keeps order, raises errors in turn, stops its threads and bounds its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.inference.batch import predict_all
from cardiolabel.inference.predictor import FRAMES_AT_ONCE, Predictor, Prepared
from cardiolabel.preprocessing.recipes import CAMUS

from .models import noise_clip, save_tiny_model

SIDE = 40


class Instant:
    """An engine that takes no time and notes how many frames it was given."""

    name = "instant"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked.append(len(frames))
        return np.repeat(frames, 4, axis=1)


@pytest.fixture
def engine() -> Instant:
    return Instant()


@pytest.fixture
def predictor(engine: Instant, tmp_path: Path) -> Predictor:
    card = save_tiny_model(tmp_path)
    return Predictor(engine, card, recipe=CAMUS)


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())  # those of earlier tests may still be ending
    yield
    assert set(threading.enumerate()) <= before


def read(frames: int) -> Prepared | None:
    if frames < 0:
        raise OSError("unreadable")
    if not frames:
        return None
    clip = noise_clip(1, SIDE, SIDE, None)
    place = CAMUS.placement(clip)
    return Prepared(np.repeat(CAMUS.frames(clip, place), frames, axis=0), place)


def count(item: int, masks: NDArray[np.uint8] | None) -> tuple[int, int]:
    return item, 0 if masks is None else len(masks)


def test_results_come_in_order_whatever_the_number_of_frames(predictor: Predictor, engine: Instant) -> None:
    items = [1, 40, 0, 0, 3, 1, 0, 16, 1, *[1] * 50, *[0] * 40, 2]
    result = list(predict_all(predictor, items, read=read, finish=count))
    assert result == [(item, item) for item in items]
    assert sum(engine.asked) == sum(items) and max(engine.asked) < 2 * FRAMES_AT_ONCE
    assert len(engine.asked) < 15  # stills together


def test_no_items_give_no_results(predictor: Predictor) -> None:
    assert list(predict_all(predictor, [], read=read, finish=count)) == []


def test_a_reading_error_is_raised_when_its_item_is_due(predictor: Predictor) -> None:
    result = []
    with pytest.raises(OSError, match="unreadable"):
        for each in predict_all(predictor, [1, 2, -1, 3], read=read, finish=count):
            result.append(each)
    assert result == [(1, 1), (2, 2)]


def test_no_item_starts_after_a_finishing_error(predictor: Predictor) -> None:
    finished = []

    def finish(item: int, masks: NDArray[np.uint8] | None) -> int:
        time.sleep(0.02)
        if item == 3:
            raise OSError("disk full")
        finished.append(item)
        return item

    with pytest.raises(OSError, match="disk full"):
        list(predict_all(predictor, [1, 2, 3, *[1] * 100], read=read, finish=finish))
    assert len(finished) < 40


def test_closing_the_generator_stops_all_threads(predictor: Predictor) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1, 1000):
            taken.append(item)
            yield 1

    ready = predict_all(predictor, items(), read=read, finish=count)
    assert next(ready) == (1, 1)
    ready.close()
    assert len(taken) < 3 * FRAMES_AT_ONCE


def test_logits_do_not_accumulate_before_slow_cleaning(
    predictor: Predictor, engine: Instant, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = [0]
    ahead = []

    def slow(logits: NDArray[np.float32], place: object) -> NDArray[np.uint8]:
        time.sleep(0.01)
        ahead.append(sum(engine.asked) - cleaned[0])
        cleaned[0] += len(logits)
        return np.zeros((len(logits), SIDE, SIDE), np.uint8)

    monkeypatch.setattr(predictor, "masks", slow)
    assert list(predict_all(predictor, [300], read=read, finish=count)) == [(300, 300)]
    assert max(ahead) <= 4 * FRAMES_AT_ONCE
