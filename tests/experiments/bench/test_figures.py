"""What the benchmark prints: values, targets, and whether they are kept."""

from __future__ import annotations

import json

import pytest

from cardiolabel.experiments.bench.figures import Found, Target, table


def test_a_target_is_kept_up_to_its_bound() -> None:
    assert Target(most=10).holds(10) and not Target(most=10).holds(10.01)
    assert Target(least=0.5).holds(0.5) and not Target(least=0.5).holds(0.49)
    assert (str(Target(most=1.5)), str(Target(least=8))) == ("≤ 1.5", "≥ 8")


def test_the_table_says_what_was_kept_and_what_was_missed() -> None:
    result = [
        Found("http", "answer", 23.456, "ms"),
        Found("http", "rest", 12.0, "ms", Target(most=10)),
        Found("batch", "over stock", 8.1, "x", Target(least=8)),
    ]
    assert table(result)[2:] == [
        "| http | answer | 23.5 ms |  |  |",
        "| http | rest | 12.0 ms | ≤ 10 | missed |",
        "| batch | over stock | 8.10 x | ≥ 8 | kept |",
    ]
    text = json.loads(json.dumps([each.as_dict() for each in result]))
    assert [each["holds"] for each in text] == [None, False, True]
    assert text[1]["target"] == {"most": 10, "least": None}


@pytest.mark.parametrize(("value", "said"), [(0.5, "0.50"), (-20.04, "-20.0"), (999.6, "1000")])
def test_values_are_rounded_as_they_are_large(value: float, said: str) -> None:
    assert f"| {said} ms |" in table([Found("a", "b", value, "ms")])[2]
