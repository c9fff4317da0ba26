"""Progress, as people and logs see it."""

from __future__ import annotations

import pytest
from rich.console import Console

from cardiolabel.cli import terminal


def test_a_log_gets_a_line_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 30.0, 61.0, 90.0, 130.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(now))
    report = terminal._lines()
    for done in (0, 60, 122, 180, 260):
        report(done, 1000, "predicting")
    assert capsys.readouterr().err.splitlines() == [
        "predicting: 122 of 1000, 2.0/s, 0:07:19 left",
        "predicting: 260 of 1000, 2.0/s, 0:06:10 left",
    ]


def test_a_terminal_gets_a_bar_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, record=True, stderr=True)
    monkeypatch.setattr(terminal, "Console", lambda stderr: console)
    with terminal.bar("predicting", quiet=False) as report:
        for done in range(0, 50, 10):
            report(done, 100)
    shown = console.export_text()
    assert "predicting" in shown and "40/100" in shown and "/s" in shown
