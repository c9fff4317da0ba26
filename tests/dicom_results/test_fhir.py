"""Results as FHIR: valid by fhir.resources, the numbers of the study, and reasons for what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.datasets.phantom import write_sample
from cardiolabel.dicom_results.fhir import diagnostic_report
from cardiolabel.domain import Convention, Method
from cardiolabel.measurements.records import PatientRow, Study

DiagnosticReport = pytest.importorskip("fhir.resources.R4B.diagnosticreport").DiagnosticReport

BIPLANE = PatientRow(
    "p7",
    Method.BIPLANE,
    Convention.GUIDELINE,
    edv_ml=120.04,
    esv_ml=48.0,
    sv_ml=72.04,
    ef_pct=60.01,
    ef_low_pct=55.0,
    ef_high_pct=65.0,
)
EMPTY = PatientRow("p7", Method.AREA_LENGTH, Convention.GUIDELINE, reason="no A2C")


def written(*rows: PatientRow, sources: dict[str, str]) -> dict:
    study = Study("p7", frames=(), rows=rows)
    text = diagnostic_report(study, sources)
    DiagnosticReport.model_validate_json(text)
    return json.loads(text)


def test_numbers_units_codes_and_the_interval() -> None:
    report = written(BIPLANE, EMPTY, sources={"a": "final"})
    assert report["status"] == "final" and report["subject"]["identifier"]["value"] == "p7"
    ef, edv, esv = report["contained"]
    assert ef["code"]["coding"][0] == {
        "system": "http://loinc.org",
        "code": "79991-6",
        "display": "Left ventricular ejection fraction biplane (MOD)",
    }
    assert (ef["valueQuantity"]["value"], ef["valueQuantity"]["code"]) == (60.0, "%")
    assert [each["valueQuantity"]["value"] for each in ef["component"]] == [55.0, 65.0]
    assert (edv["valueQuantity"]["value"], esv["valueQuantity"]["value"]) == (120.0, 48.0)
    assert {edv["valueQuantity"]["code"], esv["valueQuantity"]["code"]} == {"mL"}
    assert "component" not in edv and "component" not in esv
    assert [each["reference"] for each in report["result"]] == ["#o1", "#o2", "#o3"]
    assert report["conclusion"] == "area-length, guideline: no A2C"


@pytest.mark.parametrize("source", ["original", "model", "none"])
def test_what_nobody_corrected_is_preliminary(source: str) -> None:
    report = written(BIPLANE, sources={"a": "final", "b": source})
    assert report["status"] == "preliminary"
    assert {each["status"] for each in report["contained"]} == {"preliminary"}


def test_without_numbers_there_are_reasons_only() -> None:
    report = written(EMPTY, sources={"a": "none"})
    assert "contained" not in report and "no A2C" in report["conclusion"]


def test_a_folder_is_exported(tmp_path: Path) -> None:
    write_sample(tmp_path / "studies", patients=2, seed=1)
    done = CliRunner().invoke(
        app, ["export", "fhir", str(tmp_path / "studies"), "--out", str(tmp_path / "out"), "--stored"]
    )
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["phantom01.json", "phantom02.json"]
