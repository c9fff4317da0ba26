"""Patients to judge by: stratified, frozen, never trained on."""

import json
from pathlib import Path

import pytest

from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.training.retraining.validation_set import ValidationSet, extend_stored


def patient(
    name: str, *, quality: str | None = None, split: str | None = None, view: View = View.A4C
) -> Record:
    path = Path(f"{name}.nii.gz")
    return Record(name, name, view, Phase.ED, "folder", path, image_quality=quality, split=split)


def many(count: int, *, start: int = 0, **what: object) -> list[Record]:
    return [patient(f"p{number:03}", **what) for number in range(start, start + count)]  # type: ignore[arg-type]


def test_a_fifth_of_every_stratum() -> None:
    records = [*many(40, quality="Poor"), *many(60, start=40, quality="Good")]
    found = ValidationSet().extended(records)
    assert len(found.validation) == 20 and len(found.training) == 80
    assert sum(one < "p040" for one in found.validation) == 8
    # Not the first names, and the same ones in any order of records.
    assert found.validation != tuple(sorted(record.patient for record in records)[:20])
    assert ValidationSet().extended(records[::-1]) == found


def test_nobody_changes_side_as_labels_arrive() -> None:
    found = ValidationSet()
    for count in range(1, 60, 3):
        before, found = found, found.extended(many(count))
        assert set(before.validation) <= set(found.validation)
        assert set(before.training) <= set(found.training)
        assert not set(found.validation) & set(found.training)
        assert len(found.validation) == round(0.2 * count)
    # Labels may go again: whoever was trained on is not judged by later.
    assert found.extended(many(5)) == found


def test_official_splits_are_kept() -> None:
    trained, aside = many(30, split="TRAIN"), many(10, start=30, split="VAL")
    free = many(10, start=40)
    found = ValidationSet().extended([*trained, *aside, *free])
    assert {one.patient for one in aside} <= set(found.validation)
    assert {one.patient for one in trained} <= set(found.training)
    assert len(found.validation) == 10 + 2


def test_a_patient_is_on_one_side_with_all_images() -> None:
    records = [
        Record(f"p{number}_{view}", f"p{number}", view, Phase.ED, "folder", Path("x"))
        for number in range(20)
        for view in (View.A2C, View.A4C)
    ]
    found = ValidationSet().extended(records)
    assert len(found.validation) == 4 and len(found.training) == 16


def test_the_stored_set(tmp_path: Path) -> None:
    path = tmp_path / "home" / "validation.json"
    first = extend_stored(path, many(20))
    assert extend_stored(path, many(20)) == first
    second = extend_stored(path, many(40))
    assert set(first.validation) < set(second.validation)
    assert json.loads(path.read_text())["validation"] == list(second.validation)
    path.write_text('{"validation": ["p001"]}')
    with pytest.raises(DatasetError, match=r"validation.json is damaged"):
        extend_stored(path, many(40))
    path.write_text('{"validation": ["p001"], "training": ["p001"]}')
    with pytest.raises(DatasetError, match="on both sides"):
        extend_stored(path, many(40))
