"""Many images through one model: reading, the network and cleaning overlap, in bounded memory."""

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
"""Images that are read, or cleaned, before their turn."""


def predict_all(
    predictor: Predictor,
    items: Iterable[Item],
    *,
    read: Callable[[Item], Prepared | None],
    finish: Callable[[Item, NDArray[np.uint8] | None], Result],
) -> Generator[Result]:
    """What ``finish`` makes of each item's masks, in the items' order.

    Frames of several stills go through the network together, those of a cine in pieces.

    Parameters
    ----------
    predictor : Predictor
    items : iterable
        Taken as they are needed.
    read : callable
        An item's network input; None where its masks are not to be predicted. Called in threads.
    finish : callable
        Takes an item and its masks ``(T, H, W)``, or None. Called in threads.

    Yields
    ------
    Result
        Closing the generator ends its threads; what is being cleaned then is finished first.

    Raises
    ------
    Exception
        Whatever ``read`` and ``finish`` raise, at that item's turn; of the items after it, none that is not
        begun is begun.
    """
    readers = ThreadPoolExecutor(_THREADS, thread_name_prefix="read")
    cleaners = ThreadPoolExecutor(_THREADS, thread_name_prefix="clean")
    try:
        flow = _Flow(predictor, cleaners, finish)
        reading = ordered(readers, lambda item: (item, read(item)), items, ahead=_AHEAD)
        while True:
            try:
                item, prepared = next(reading)
            except StopIteration:
                break
            except Exception:  # what was read before it has its turn first
                yield from flow.rest()
                raise
            flow.add(item, prepared)
            yield from flow.ended(but=_AHEAD)
        yield from flow.rest()
    finally:
        for pool in (readers, cleaners):
            pool.shutdown(cancel_futures=True)


@dataclass(eq=False)
class _Image(Generic[Item]):
    """An item and its masks, piece by piece."""

    item: Item
    prepared: Prepared | None
    pieces: list[Future[NDArray[np.uint8]]] = field(default_factory=list)

    def masks(self) -> NDArray[np.uint8] | None:
        return np.concatenate([piece.result() for piece in self.pieces]) if self.pieces else None


class _Flow(Generic[Item, Result]):
    """Images that wait for the network until there are frames enough, and those that are past it."""

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
        self._ending: deque[Future[Result]] = deque()

    def add(self, item: Item, prepared: Prepared | None) -> None:
        image = _Image(item, prepared)
        count = len(prepared.frames) if prepared else 0
        for start in range(0, count, FRAMES_AT_ONCE) or [0]:
            piece = slice(start, min(start + FRAMES_AT_ONCE, count))
            self._waiting.append((image, piece))
            self._frames += piece.stop - piece.start
            if self._frames >= FRAMES_AT_ONCE or len(self._waiting) >= FRAMES_AT_ONCE:
                self.through()

    def through(self) -> None:
        """Let everything that waits through the network."""
        frames = [image.prepared.frames[piece] for image, piece in self._waiting if image.prepared]
        wait(self._cleaning_before)  # no more logits are kept than of two rounds
        self._cleaning_before, self._cleaning = self._cleaning, []
        logits = self._predictor.engine.logits(np.concatenate(frames)) if frames else None
        begin = 0
        for image, piece in self._waiting:
            count = piece.stop - piece.start
            if image.prepared and logits is not None:
                part, place = logits[begin : begin + count], image.prepared.place
                cleaning = self._cleaners.submit(self._predictor.masks, part, place)
                image.pieces.append(cleaning)
                self._cleaning.append(cleaning)
                begin += count
            if image.prepared is None or piece.stop == len(image.prepared.frames):
                self._ending.append(self._cleaners.submit(self._end, image))
        self._waiting, self._frames = [], 0

    def _end(self, image: _Image[Item]) -> Result:
        return self._finish(image.item, image.masks())

    def rest(self) -> Iterator[Result]:
        """Everything that is still on its way."""
        self.through()
        yield from self.ended(but=0)

    def ended(self, *, but: int) -> Iterator[Result]:
        """Results, until only so many are on their way."""
        while len(self._ending) > but:
            yield self._ending.popleft().result()
