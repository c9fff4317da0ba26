"""Cost of corrections: medians by annotator, of versions that record it only."""

from __future__ import annotations

from typing import Any

from cardiolabel.evaluation.annotators.edit_cost import edit_cost
from cardiolabel.store.versions import Origin, Version


def version(author: str, before: float | None, after: float | None, **edit: Any) -> Version:
    def ef(value: float | None) -> list[dict[str, Any]]:
        return [{"convention": "camus", "ef_pct": 1.0}, {"convention": "guideline", "ef_pct": value}]

    info = {"edit": edit} if edit else {}
    kind = ("i", "final", 1, Origin.SAVED, author, 0.0, 0, 0)
    return Version(*kind, ef_before=ef(before), ef_after=ef(after), info=info)


def test_medians_are_taken_by_annotator() -> None:
    rows = edit_cost(
        [
            version("bob", 50.0, 47.0, seconds=10, drags=2, changed_px=100),
            version("ada", 50.0, None, seconds=7, drags=1, changed_px=9),
            version("bob", 50.0, 51.0, seconds=20, drags=4, changed_px=300),
            version("bob", 50.0, 55.0, seconds=90, drags=9, changed_px=900),
            version("bob", 0.0, 99.0),
        ]
    )
    assert rows == [
        {
            "annotator": "ada",
            "corrections": 1,
            "seconds": 7,
            "drags": 1,
            "changed_px": 9,
            "ef_moved_points": None,
        },
        {
            "annotator": "bob",
            "corrections": 3,
            "seconds": 20,
            "drags": 4,
            "changed_px": 300,
            "ef_moved_points": 3,
        },
    ]


def test_versions_of_other_programs_do_not_count() -> None:
    assert edit_cost([version("ada", 1.0, 2.0)]) == []
