"""The two tables, as text and as Parquet: their columns, their empty cells, written whole or not at all."""

from __future__ import annotations

import csv
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from cardiolabel.domain import Convention, Method
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import PatientRow, Study
from cardiolabel.measurements.values import Quantity, measured_values, patient_values
from cardiolabel.reporting import tables
from cardiolabel.reporting.parquet import parquet_rows
from cardiolabel.reporting.tables import (
    FRAME_COLUMNS,
    PATIENT_COLUMNS,
    VALUE_COLUMNS,
    patient_cells,
    tables_of,
)

from .studies import measured, nothing_measured, phantom

TABLES = [f"{name}.{kind}" for name in ("frames", "measurements", "patients") for kind in ("csv", "parquet")]
FRAMES_HEADER = "image_id,patient,view,phase,frame,lv_area_mm2,lv_length_mm,lv_volume_ml,quality,reason"
PATIENTS_HEADER = (
    "patient,method,convention,edv_ml,esv_ml,sv_ml,ef_pct,ef_low_pct,ef_high_pct,"
    "length_a4c_ed_mm,length_a2c_ed_mm,length_a4c_es_mm,length_a2c_es_mm,quality,reason"
)


def write_tables(studies: list[Study], folder: Path) -> None:
    with tables_of(folder) as write:
        for study in studies:
            write(study)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_are_the_contract(tmp_path: Path) -> None:
    write_tables([], tmp_path)
    assert (tmp_path / "frames.csv").read_text() == FRAMES_HEADER + "\n"
    assert (tmp_path / "patients.csv").read_text() == PATIENTS_HEADER + "\n"


def test_a_measured_study(tmp_path: Path) -> None:
    study = measured(phantom(cine=False), cine=False).study
    write_tables([study], tmp_path)
    frames, patients = table(tmp_path / "frames.csv"), table(tmp_path / "patients.csv")
    assert [row["image_id"] for row in frames] == [frame.image_id for frame in study.frames]
    assert (frames[0]["view"], frames[0]["phase"], frames[0]["frame"]) == ("A4C", "ED", "0")
    assert float(frames[0]["lv_volume_ml"]) == pytest.approx(study.frames[0].lv_volume_ml, abs=1e-4)
    assert [(row["method"], row["convention"]) for row in patients] == [
        (method, convention)
        for method in ("biplane", "single-plane-A4C", "single-plane-A2C", "area-length")
        for convention in ("guideline", "camus")
    ]
    assert float(patients[0]["ef_pct"]) == pytest.approx(study.rows[0].ef_pct, abs=1e-4)


def test_what_was_not_measured_is_empty_with_a_reason(tmp_path: Path) -> None:
    write_tables([nothing_measured()], tmp_path)
    for row in table(tmp_path / "frames.csv"):
        assert (row["lv_area_mm2"], row["lv_length_mm"], row["lv_volume_ml"]) == ("", "", "")
        assert row["reason"]
    for row in table(tmp_path / "patients.csv"):
        numbers = {value for name, value in row.items() if name.endswith(("_ml", "_pct", "_mm"))}
        assert numbers == {""}
        assert row["reason"]


def test_flags_are_joined_by_semicolons_and_text_is_quoted() -> None:
    row = PatientRow(
        "a, b",
        Method.BIPLANE,
        Convention.CAMUS,
        ef_pct=1 / 3,
        quality=(Flag.FRAGMENTS, Flag.UNUSUAL_EF),
        reason='says "no"',
    )
    (result,) = patient_cells(patient_values(row))
    assert tuple(result) == PATIENT_COLUMNS
    assert (result["quality"], result["ef_pct"], result["edv_ml"]) == ("fragments;unusual_ef", 0.3333, None)
    assert type(result["method"]) is str


def test_names_with_commas_and_quotes_come_back(tmp_path: Path) -> None:
    study = replace(nothing_measured(), rows=(PatientRow('é, "x"', Method.BIPLANE, Convention.CAMUS),))
    write_tables([study], tmp_path)
    assert table(tmp_path / "patients.csv")[0]["patient"] == 'é, "x"'


def test_a_failure_leaves_the_old_tables_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables([nothing_measured()], tmp_path)
    before = (tmp_path / "frames.csv").read_bytes()

    def full(*_: object) -> dict[str, object]:
        raise OSError("disk full")

    monkeypatch.setattr(tables, "frame_cells", full)
    study = measured(phantom(cine=False), cine=False).study
    with pytest.raises(OSError, match="disk full"):
        write_tables([study], tmp_path)
    assert (tmp_path / "frames.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == TABLES


def test_several_patients_share_the_tables(tmp_path: Path) -> None:
    studies: list[Study] = [nothing_measured(), measured(phantom(cine=False), cine=False).study]
    write_tables(studies, tmp_path)
    assert {row["patient"] for row in table(tmp_path / "patients.csv")} == {"long", "phantom"}
    assert len(table(tmp_path / "frames.csv")) == sum(len(study.frames) for study in studies)
    assert len(FRAME_COLUMNS) == len(set(FRAME_COLUMNS)) == 10


def test_parquet_holds_the_texts_values_with_types_and_units(tmp_path: Path) -> None:
    study = measured(phantom(cine=False), cine=False).study
    write_tables([study, nothing_measured()], tmp_path)
    for name in ("frames", "patients", "measurements"):
        typed = parquet.read_table(tmp_path / f"{name}.parquet")
        text = table(tmp_path / f"{name}.csv")
        assert typed.column_names == list(text[0])
        assert [
            {key: "" if each is None else str(each) for key, each in row.items()} for row in typed.to_pylist()
        ] == text
        for field in typed.schema:
            unit = (field.metadata or {}).get(b"unit", b"").decode()
            assert unit == {"mm2": "mm2", "mm": "mm", "ml": "ml", "pct": "%"}.get(
                field.name.split("_")[-1], ""
            )
            is_number = unit or field.name in ("value", "low", "high")
            kind = "double" if is_number else "int32" if field.name == "frame" else "string"
            assert str(field.type) == kind
    missing = parquet.read_table(tmp_path / "patients.parquet")["ef_pct"]
    assert 0 < missing.null_count < len(missing)


def test_an_error_leaves_no_table_and_no_draft(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), tables_of(tmp_path) as write:
        write(nothing_measured())
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_table_that_finds_the_disk_full_keeps_all_others_back(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    normally = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        return normally(Path("/dev/full") if path.suffix == kind else path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        write_tables([nothing_measured()], tmp_path)
    gc.collect()  # nor does a writer that is forgotten speak up later: warnings are errors
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_utf8_are_written_as_what_they_are_in_latin_1(tmp_path: Path) -> None:
    row = PatientRow("M\udcfcller", Method.BIPLANE, Convention.CAMUS, reason="M\udcfcller: no such file")
    write_tables([replace(nothing_measured(), rows=(row,))], tmp_path / os.fsdecode(b"gew\xe4hlt"))
    folder = tmp_path / os.fsdecode(b"gew\xe4hlt")
    (text,) = table(folder / "patients.csv")
    with (folder / "patients.parquet").open("rb") as file:
        (typed,) = parquet.read_table(file).to_pylist()
    for read in (text, typed):
        assert (read["patient"], read["reason"]) == ("Müller", "Müller: no such file")


def test_row_groups_are_bounded_and_rows_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardiolabel.reporting.parquet.GROUP_ROWS", 5)
    with parquet_rows(tmp_path / "t.parquet", ["patient", "frame", "ef_pct"]) as rows:
        for patient in range(3):
            rows.writerows({"patient": str(patient), "frame": at, "ef_pct": None} for at in range(4))
        written = (tmp_path / "t.parquet").stat().st_size
    result = parquet.ParquetFile(tmp_path / "t.parquet")
    groups = [result.metadata.row_group(at).num_rows for at in range(result.num_row_groups)]
    assert groups == [5, 5, 2] and written > 100  # two groups, not the mark alone
    assert result.read()["frame"].to_pylist() == [0, 1, 2, 3] * 3


def test_reporting_for_the_server_does_not_load_parquet() -> None:
    code = "import sys, cardiolabel.reporting.result; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_long_form_has_every_value_of_the_other_tables(tmp_path: Path) -> None:
    study = measured(phantom(cine=False), cine=False).study
    write_tables([study], tmp_path)
    long = table(tmp_path / "measurements.csv")
    assert tuple(long[0]) == VALUE_COLUMNS
    assert len(long) == len(list(measured_values(study))) == 3 * len(study.frames) + 8 * len(study.rows) + 2
    for row in table(tmp_path / "patients.csv"):
        of_kind = [
            value
            for value in long
            if (value["method"], value["convention"]) == (row["method"], row["convention"])
        ]
        by_name = {
            (value["quantity"], value["view"], value["phase"]): (value["value"], value["unit"])
            for value in of_kind
        }
        assert by_name["ef", "", ""] == (row["ef_pct"], "pct")
        assert by_name["edv", "", ""] == (row["edv_ml"], "ml")
        assert by_name["lv_length", "A4C", "ED"] == (row["length_a4c_ed_mm"], "mm")
        assert {value["quality"] for value in of_kind} == {row["quality"]}
    for row in table(tmp_path / "frames.csv"):
        of_frame = {
            value["quantity"]: value["value"]
            for value in long
            if (value["image_id"], value["frame"]) == (row["image_id"], row["frame"])
        }
        assert of_frame == {
            "lv_area": row["lv_area_mm2"],
            "lv_length": row["lv_length_mm"],
            "lv_volume": row["lv_volume_ml"],
        }
    changes = [value for value in long if value["quantity"] == Quantity.AREA_CHANGE]
    assert {value["view"] for value in changes} == {"A4C", "A2C"} and all(value["value"] for value in changes)
