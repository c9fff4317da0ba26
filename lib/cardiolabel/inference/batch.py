"""Batched prediction: reading, inference and mask cleaning overlap, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import FRAMES_AT_ONCE, Predictor, Prepared

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS = 2
_AHEAD = 6
"""Most images read ahead of the network, and most results that wait to be yielded."""


def predict_all(
    predictor: Predictor,
    items: Iterable[Item],
    *,
    read: Callable[[Item], Prepared | None],
    finish: Callable[[Item, NDArray[np.uint8] | None], Result],
) -> Generator[Result]:
    """Predict masks of many images and yield the result of each, in the order of the items.

    Frames of several stills are batched together; a cine is split into several batches.

    Parameters
    ----------
    predictor : Predictor
    items : iterable
        Consumed lazily.
    read : callable
        Returns an item's network input, or None to skip its prediction. Called in threads.
    finish : callable
        Turns an item and its masks ``(T, H, W)``, or None if it was skipped, into a result. Runs in threads.

    Yields
    ------
    Result
        Closing the generator ends its threads after the masks being cleaned are finished.

    Raises
    ------
    Exception
        An error of ``read`` or ``finish`` is raised when its item is due; no further item is started.
    """
    readers = ThreadPoolExecutor(_THREADS, thread_name_prefix="read")
    cleaners = ThreadPoolExecutor(_THREADS, thread_name_prefix="clean")
    try:
        pipeline = _Pipeline(predictor, cleaners, finish)
        reading = ordered(readers, lambda item: (item, read(item)), items, ahead=_AHEAD)
        while True:
            try:
                item, prepared = next(reading)
            except StopIteration:
                break
            except Exception:  # items read before the failed one are still finished
                yield from pipeline.remaining()
                raise
            pipeline.add(item, prepared)
            yield from pipeline.finished(outstanding=_AHEAD)
        yield from pipeline.remaining()
    finally:
        for pool in (readers, cleaners):
            pool.shutdown(cancel_futures=True)


@dataclass(eq=False)
class _Image(Generic[Item]):
    """An item and its masks, which arrive in pieces of at most a batch."""

    item: Item
    prepared: Prepared | None
    pieces: list[Future[NDArray[np.uint8]]] = field(default_factory=list)

    def masks(self) -> NDArray[np.uint8] | None:
        return np.concatenate([piece.result() for piece in self.pieces]) if self.pieces else None


class _Pipeline(Generic[Item, Result]):
    """Collects frames into batches for the network, and cleans the masks of earlier batches meanwhile."""

    def __init__(
        self,
        predictor: Predictor,
        cleaners: Executor,
        finish: Callable[[Item, NDArray[np.uint8] | None], Result],
    ) -> None:
        self._predictor, self._cleaners, self._finish = predictor, cleaners, finish
        self._waiting: list[tuple[_Image[Item], slice]] = []
        self._frames = 0
        self._cleaning: list[Future[NDArray[np.uint8]]] = []
        self._cleaning_before: list[Future[NDArray[np.uint8]]] = []
        self._finishing: deque[Future[Result]] = deque()

    def add(self, item: Item, prepared: Prepared | None) -> None:
        image = _Image(item, prepared)
        count = len(prepared.frames) if prepared else 0
        for start in range(0, count, FRAMES_AT_ONCE) or [0]:
            piece = slice(start, min(start + FRAMES_AT_ONCE, count))
            self._waiting.append((image, piece))
            self._frames += piece.stop - piece.start
            if self._frames >= FRAMES_AT_ONCE or len(self._waiting) >= FRAMES_AT_ONCE:
                self._run_batch()

    def _run_batch(self) -> None:
        """Run the network on all waiting frames."""
        frames = [image.prepared.frames[piece] for image, piece in self._waiting if image.prepared]
        wait(self._cleaning_before)  # at most two batches of logits stay in memory
        self._cleaning_before, self._cleaning = self._cleaning, []
        logits = self._predictor.engine.logits(np.concatenate(frames)) if frames else None
        first = 0
        for image, piece in self._waiting:
            count = piece.stop - piece.start
            if image.prepared and logits is not None:
                part, place = logits[first : first + count], image.prepared.place
                cleaning = self._cleaners.submit(self._predictor.masks, part, place)
                image.pieces.append(cleaning)
                self._cleaning.append(cleaning)
                first += count
            if image.prepared is None or piece.stop == len(image.prepared.frames):
                self._finishing.append(self._cleaners.submit(self._finish_image, image))
        self._waiting, self._frames = [], 0

    def _finish_image(self, image: _Image[Item]) -> Result:
        return self._finish(image.item, image.masks())

    def remaining(self) -> Iterator[Result]:
        """Run the last batch and yield all outstanding results."""
        self._run_batch()
        yield from self.finished(outstanding=0)

    def finished(self, *, outstanding: int) -> Iterator[Result]:
        """Yield results, in order, until only ``outstanding`` are left."""
        while len(self._finishing) > outstanding:
            yield self._finishing.popleft().result()
