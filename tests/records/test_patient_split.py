"""Patients stay whole, stay where they were drawn, and the official split is never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.records.patient_split import Split, draw, frozen


def records(patients: int, held_back: int = 0) -> list[Record]:
    return [
        Record(
            f"p{number}_{phase}",
            f"p{number}",
            View.A4C,
            phase,
            "camus",
            Path(f"p{number}_{phase}.nii.gz"),
            split=("VAL" if number % 2 else "TEST") if number < held_back else "TRAIN",
        )
        for number in range(patients)
        for phase in (Phase.ED, Phase.ES)
    ]


@given(
    patients=st.integers(2, 40), held_back=st.integers(0, 10), share=st.floats(0, 0.9), seed=st.integers(0, 9)
)
def test_no_patient_is_in_two_parts(patients: int, held_back: int, share: float, seed: int) -> None:
    drawn = draw(records(patients + held_back, held_back), selection=share, seed=seed)
    parts = [set(drawn.training), set(drawn.selection), set(drawn.held_back)]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == patients + held_back
    assert len(parts[2]) == held_back
    assert parts[0]
    assert bool(parts[1]) == (share > 0)


def test_too_few_patients_are_reported() -> None:
    with pytest.raises(DatasetError, match="at least two patients"):
        draw(records(3, held_back=2), selection=0.5, seed=0)


def test_patients_may_be_held_back_by_name() -> None:
    drawn = draw(records(6, held_back=2), selection=0, seed=0, held_back={"p4", "p0"})
    assert drawn.held_back == ("p0", "p1", "p4")
    assert "p4" not in drawn.training
    with pytest.raises(DatasetError, match="no patient 'p9'"):
        draw(records(6), selection=0, seed=0, held_back={"p9"})


@given(seed=st.integers(0, 50), share=st.floats(0.1, 0.9))
def test_studies_of_one_person_are_in_one_part(seed: int, share: float) -> None:
    studies = [
        replace(record, patient=f"{record.patient}_{study}", person=record.patient, split=None)
        for record in records(8)
        for study in "ab"
    ]
    drawn = draw(studies, selection=share, seed=seed, held_back={"p3_a"})
    for part in (drawn.training, drawn.selection, drawn.held_back):
        assert all({f"{name[:2]}_a", f"{name[:2]}_b"} <= set(part) for name in part)
    assert drawn.held_back == ("p3_a", "p3_b")


def test_a_run_keeps_its_split(tmp_path: Path) -> None:
    drawn = draw(records(10), selection=0.2, seed=0)
    assert frozen(tmp_path / "split.json", drawn) == drawn
    assert frozen(tmp_path / "split.json", drawn) == drawn
    with pytest.raises(DatasetError, match="other patients"):
        frozen(tmp_path / "split.json", draw(records(11), selection=0.2, seed=0))
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(DatasetError, match="not a stored split"):
        frozen(tmp_path / "split.json", drawn)


def test_a_split_is_drawn_the_same_again() -> None:
    assert draw(records(30), selection=0.1, seed=3) == draw(records(30)[::-1], selection=0.1, seed=3)
    assert draw(records(30), selection=0.1, seed=3) != draw(records(30), selection=0.1, seed=4)
    assert isinstance(draw(records(5), selection=0.1, seed=0), Split)
