"""The result JSON: its keys, plain JSON whatever was measured."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cardiolabel.measurements.records import Study
from cardiolabel.reporting.result import SCHEMA, frame_json, study_json
from cardiolabel.reporting.tables import FRAME_COLUMNS, PATIENT_COLUMNS

from .studies import measured, nothing_measured, phantom

MODEL = {"name": "camus", "version": "1", "sha256": "0" * 64}


def plain(study: Study) -> dict[str, Any]:
    """The result, after the strictest JSON there is."""
    result = study_json(study, sources={}, model=MODEL)
    decoded: dict[str, Any] = json.loads(json.dumps(result, allow_nan=False))
    assert decoded == result
    return decoded


@pytest.fixture(scope="module")
def cine() -> Study:
    return measured(phantom(cine=True), cine=True).study


def test_keys_are_the_contract(cine: Study) -> None:
    result = plain(cine)
    assert result.keys() >= {"schema", "frames", "patient", "model", "quality"}
    assert (result["schema"], result["patient_id"], result["model"]) == (SCHEMA, "phantom", MODEL)
    assert [tuple(row) for row in result["patient"]] == [PATIENT_COLUMNS] * len(cine.rows)
    assert result["beats"] == {
        f"phantom_{view}_cine": [{"ed_index": 0, "es_index": cine.beats[f"phantom_{view}_cine"][0].es}]
        for view in ("4CH", "2CH")
    }
    assert [change["view"] for change in result["area_change"]] == ["A4C", "A2C"]
    assert all(0 < change["fac_pct"] < 100 for change in result["area_change"])


def test_a_frame_carries_its_row_and_its_geometry(cine: Study) -> None:
    row = cine.frames[3]
    result = frame_json(row, geometry=True)
    assert tuple(result) == (*FRAME_COLUMNS, "contour", "annulus", "apex", "area_px", "discs")
    assert row.geometry is not None
    contour = np.array(result["contour"])
    assert contour.shape[1] == 2 and 32 <= len(contour) <= 128
    assert np.array(result["annulus"]) == pytest.approx(row.geometry.annulus_px, abs=0.006)
    assert np.array(result["discs"]) == pytest.approx(row.geometry.discs_px, abs=0.06)
    assert result["area_px"] is None  # as the size of a pixel is known
    assert np.array(result["apex"]) == pytest.approx(row.geometry.apex_px, abs=0.006)


def test_nothing_measured_is_still_json() -> None:
    result = plain(nothing_measured())
    assert all(row["ef_pct"] is None and row["reason"] for row in result["patient"])
    assert all(
        frame["contour"] is frame["annulus"] is frame["apex"] is frame["lv_area_mm2"] is None
        for frame in result["frames"]
    )
    assert {change["fac_pct"] for change in result["area_change"]} == {None}


def test_without_calibration_it_is_json_with_its_flag() -> None:
    study = measured(phantom(cine=False), cine=False, spacing=None).study
    result = plain(study)
    assert result["quality"] == ["uncalibrated"]
    assert result["frames"][0]["lv_area_mm2"] is None and result["frames"][0]["contour"]


def test_without_a_model_there_is_none() -> None:
    assert study_json(nothing_measured(), sources={"a": "final"}, model=None)["model"] is None
    assert study_json(nothing_measured(), sources={"a": "final"}, model=None)["sources"] == {"a": "final"}
