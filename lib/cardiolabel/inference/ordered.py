"""A lazy parallel map that keeps the order of its items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """Map ``work`` over items in a pool, in order, with at most ``ahead`` results waiting.

    The threads share the memory that the caller has reserved; see `cardiolabel.system.memory_budget`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ordered(pool, abs, [-3, 2, -1], ahead=2))
    [3, 2, 1]
    """
    started: deque[Future[Result]] = deque()
    try:
        for item in items:
            started.append(pool.submit(copy_context().run, work, item))
            if len(started) > ahead:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        for future in started:
            future.cancel()
