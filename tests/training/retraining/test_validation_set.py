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
    result = ValidationSet().extended(records)
    assert len(result.validation) == 20 and len(result.training) == 80
    assert sum(each < "p040" for each in result.validation) == 8
    # Not the first names, and the same ones in any order of records.
    assert result.validation != tuple(sorted(record.patient for record in records)[:20])
    assert ValidationSet().extended(records[::-1]) == result


def test_patients_keep_their_split_as_labels_arrive() -> None:
    result = ValidationSet()
    for count in range(1, 60, 3):
        before, result = result, result.extended(many(count))
        assert set(before.validation) <= set(result.validation)
        assert set(before.training) <= set(result.training)
        assert not set(result.validation) & set(result.training)
        assert len(result.validation) == round(0.2 * count)
    # Labels may go again: whoever was trained on is not judged by later.
    assert result.extended(many(5)) == result


def test_official_splits_are_kept() -> None:
    trained, aside = many(30, split="TRAIN"), many(10, start=30, split="VAL")
    free = many(10, start=40)
    result = ValidationSet().extended([*trained, *aside, *free])
    assert {each.patient for each in aside} <= set(result.validation)
    assert {each.patient for each in trained} <= set(result.training)
    assert len(result.validation) == 10 + 2


def test_a_patient_is_on_one_side_with_all_images() -> None:
    records = [
        Record(f"p{number}_{view}", f"p{number}", view, Phase.ED, "folder", Path("x"))
        for number in range(20)
        for view in (View.A2C, View.A4C)
    ]
    result = ValidationSet().extended(records)
    assert len(result.validation) == 4 and len(result.training) == 16


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
