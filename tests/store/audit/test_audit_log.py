"""The audit log: whole lines, bounded files, and nothing that waits for the disk."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.store.audit.audit_log import AuditLog
from cardiolabel.store.audit.rates import Rates


def entries(path: Path) -> list[dict[str, Any]]:
    """Every line of a log and of its full files, the oldest first."""
    numbered = sorted(path.parent.glob(f"{path.name}.[0-9]*"), key=lambda each: -int(each.suffix[1:]))
    files = [*numbered, *([path] if path.exists() else [])]
    return [json.loads(line) for file in files for line in file.read_text(encoding="ascii").splitlines()]


def test_an_event_is_a_line_that_only_the_owner_reads(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=10_000, files=2)
    log.record({"event": "label saved", "who": "Zo\u00eb\n\u202e{"})
    log.close()
    (entry,) = entries(log.path)
    assert (entry["event"], entry["who"]) == ("label saved", "Zo\u00eb\n\u202e{")
    assert entry["time"].endswith("+00:00") and log.path.read_bytes().count(b"\n") == 1
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_full_files_are_kept_up_to_their_number(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=1000, files=3)
    for number in range(100):
        log.record({"event": "label saved", "number": number, "padding": 200 * "x"})
        if number % 2:
            time.sleep(0.01)
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"audit.jsonl{end}" for end in ("", ".1", ".2", ".3", ".lock")]
    numbers = [entry["number"] for entry in entries(log.path)]
    assert numbers == list(range(numbers[0], 100))


def _write_many(path: Path, who: int) -> None:
    log = AuditLog(path, max_bytes=5000, files=1000)
    for number in range(200):
        log.record({"event": "label saved", "who": who, "number": number})
    log.close(60)


def test_several_processes_write_one_log(tmp_path: Path) -> None:
    context, path = multiprocessing.get_context("spawn"), tmp_path / "audit.jsonl"
    workers = [context.Process(target=_write_many, args=(path, who)) for who in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    written = entries(path)
    for who in range(3):
        assert sorted(each["number"] for each in written if each["who"] == who) == list(range(200))


def test_a_flood_is_counted_not_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=10**6, files=1, rates=Rates(window_s=600))
    refusal = {"event": "refused", "who": "", "client": "203.0.113.7", "code": "forbidden"}
    begun_s = time.monotonic()
    for _ in range(50_000):
        log.record(refusal, per_minute=20)
    assert time.monotonic() - begun_s < 5
    log.record({**refusal, "client": "203.0.113.8"}, per_minute=20)
    log.close()
    written = entries(log.path)
    assert [each["client"] for each in written if each["event"] == "refused"] == 20 * ["203.0.113.7"] + [
        "203.0.113.8"
    ]
    (summary,) = (each for each in written if each["event"] == "events suppressed")
    assert (summary["of"], summary["client"], summary["count"]) == ("refused", "203.0.113.7", 49_980)


def test_a_flood_from_many_addresses_is_bounded(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=10**7, files=1, rates=Rates(window_s=600))
    for number in range(5000):
        log.record({"event": "refused", "client": f"address {number}"}, per_minute=20)
    log.close()
    written = entries(log.path)
    assert sum(each["event"] == "refused" for each in written) <= 220
    suppressed = sum(each["count"] for each in written if each["event"] == "events suppressed")
    assert suppressed + sum(each["event"] == "refused" for each in written) == 5000


def test_a_window_ends_and_what_it_suppressed_is_told_once() -> None:
    rates = Rates(window_s=0.05)
    assert [rates.allows("a", 2) for _ in range(5)] == [True, True, False, False, False]
    assert rates.take_suppressed() == []
    time.sleep(0.06)
    assert rates.take_suppressed() == [("a", 3)] and rates.take_suppressed() == []
    assert rates.allows("a", 2)


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "gone").write_bytes(b"a file where the folder should be")
    log = AuditLog(tmp_path / "gone" / "audit.jsonl", max_bytes=10**6, files=1)
    for _ in range(3):
        log.record({"event": "label saved"})
    wait_until(lambda: log._lost == 3)
    (tmp_path / "gone").unlink()
    (tmp_path / "gone").mkdir()
    log.record({"event": "label removed"})
    log.close()
    written = entries(log.path)
    assert [each["event"] for each in written] == ["label removed", "events lost"]
    assert written[1]["count"] == 3


def test_a_hanging_disk_does_not_block_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(AuditLog, "_append", lambda self, content: answers.wait(60))
    monkeypatch.setattr("cardiolabel.store.audit.audit_log._MOST_WAITING", 100)
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=10**6, files=1)
    begun_s = time.monotonic()
    for _ in range(5000):
        log.record({"event": "label saved"})
    assert time.monotonic() - begun_s < 2 and log._lost >= 5000 - 100 - 500 - 1
    answers.set()
    log.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
