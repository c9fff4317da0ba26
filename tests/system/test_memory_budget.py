"""One budget of memory: what could never fit is refused, what does not fit now waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context

import pytest

from cardiolabel.errors import OverloadedError, TooLargeError
from cardiolabel.system import memory_budget
from cardiolabel.system.memory_budget import MB, Budget

LONG_S = 20


@contextmanager
def held(budget: Budget, needed: int) -> Iterator[threading.Event]:
    """Let another thread have memory within the block, or until the event is set."""
    has_it, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.reserved("other", needed):
            has_it.set()
            enough.wait(LONG_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(LONG_S)
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def test_more_than_the_limit_is_refused_with_both_sizes() -> None:
    budget = Budget(1000 * MB)
    with pytest.raises(TooLargeError, match=r"a\.nii.* 1001 MB.* 1000 MB"):
        with budget.reserved("a.nii", 1001 * MB):
            pytest.fail("it may not begin")
    with budget.reserved("a.nii", 1000 * MB):
        pass


def test_what_does_not_fit_now_waits_for_those_before_it() -> None:
    budget = Budget(1000 * MB, patience_s=LONG_S)
    with held(budget, 900 * MB) as enough:
        threading.Timer(0.2, enough.set).start()
        started = time.monotonic()
        with budget.reserved("a", 900 * MB):
            assert time.monotonic() - started > 0.1


def test_waiting_has_a_limit() -> None:
    budget = Budget(1000 * MB, patience_s=0.05)
    with held(budget, 900 * MB), pytest.raises(OverloadedError):
        with budget.reserved("a", 900 * MB):
            pytest.fail("there is no room")
    with budget.reserved("a", 900 * MB):
        pass


def test_small_work_passes_by_large_work() -> None:
    budget = Budget(1000 * MB, small_patience_s=0.05)
    with held(budget, 1000 * MB), budget.reserved("small", memory_budget._SMALL_BYTES):
        with ThreadPoolExecutor(1) as pool, pytest.raises(OverloadedError):
            pool.submit(_reserve, budget, memory_budget._SMALL_BYTES).result()


def _reserve(budget: Budget, needed: int) -> None:
    with budget.reserved("a", needed):
        pass


def test_only_a_few_wait_for_large_memory_so_that_threads_are_left() -> None:
    budget = Budget(1000 * MB, patience_s=1.0)
    with held(budget, 900 * MB), ThreadPoolExecutor(10) as pool:
        started = time.monotonic()
        work = [pool.submit(_reserve, budget, 900 * MB) for _ in range(10)]
        at_once = [each for each in work if isinstance(each.exception(LONG_S), OverloadedError)]
        assert len(at_once) == 10 and time.monotonic() - started < 5
    assert budget._waiting == 0 and budget._used == 0


def test_only_some_work_at_once_so_that_the_process_answers_others() -> None:
    budget = Budget(1000 * MB)
    running: list[int] = []
    most = 0

    def work(number: int) -> None:
        nonlocal most
        with budget.reserved("a", 0):
            running.append(number)
            most = max(most, len(running))
            time.sleep(0.02)
            running.remove(number)

    with ThreadPoolExecutor(4 * memory_budget._AT_ONCE) as pool:
        list(pool.map(work, range(4 * memory_budget._AT_ONCE)))
    assert most == memory_budget._AT_ONCE and budget._running == 0


def test_blocks_within_a_block_share_its_memory() -> None:
    budget = Budget(1000 * MB, patience_s=0.05)
    with budget.reserved("whole", 900 * MB):
        for _ in range(3):
            with budget.reserved("part", 800 * MB), ThreadPoolExecutor(1) as pool:
                pool.submit(copy_context().run, _reserve, budget, 900 * MB).result()
        with budget.reserved("larger part", 950 * MB):
            assert budget._used == 950 * MB
        assert budget._used == 900 * MB
    assert budget._used == 0


def test_an_error_gives_the_memory_back() -> None:
    budget = Budget(1000 * MB)
    with pytest.raises(ValueError, match="within"), budget.reserved("a", 900 * MB):
        raise ValueError("within")
    assert budget._used == 0
