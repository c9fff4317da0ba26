"""A phantom's volumes and EF are the same, whatever kind of file its images come from."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.datasets.phantom_geometry import Heart
from cardiolabel.datasets.phantom_short_axis import short_axis
from cardiolabel.domain import ACDC_LABELS, Clip, Convention, Method, View
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import Models, load
from cardiolabel.pipeline.import_folder import ImportOptions, import_folder
from cardiolabel.pipeline.measure_folder import measure_folder
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.studies.studies import Studies
from cardiolabel.system.installation import app_folder
from cardiolabel.system.user_folders import STATE_VARIABLE

MODELS = app_folder() / "model"
needs_weights = pytest.mark.skipif(
    not (MODELS / "camus.safetensors").exists(), reason="needs the shipped weights"
)
VIEW_NAMES = {View.A4C: "4CH", View.A2C: "2CH"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))


def biplane(folder: Path) -> dict[str, float]:
    with (folder / "patients.csv").open(newline="") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if (row["method"], row["convention"]) == ("biplane", "guideline")
        )
    return {name: float(row[name]) for name in ("edv_ml", "esv_ml", "ef_pct")}


def measured(kind: SampleFormat, tmp_path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """EF and volumes of one phantom's true masks on its imported cines, and its truth."""
    if kind is SampleFormat.MP4:
        pytest.importorskip("av", reason="PyAV is not installed")
    source, studies = tmp_path / "source", tmp_path / "studies"
    write_sample(source, patients=1, seed=4, kind=kind)
    no_models = ModelFolders.of(tmp_path / "none")
    size = 0.58 if kind is SampleFormat.MP4 else None
    import_folder(source, studies, ImportOptions(no_models, keep_names=True, mm_per_pixel=size))
    for record in manifest.read(studies):
        truth = source / "truth" / f"phantom01_{VIEW_NAMES[record.view]}_cine.nii.gz"
        label = StudiesLayout(studies).label(record.image_id)
        label.parent.mkdir(parents=True, exist_ok=True)
        nifti.write_mask_like(nifti.read_mask(truth), label, grid=read_image(record.path).grid)
    measure_folder(studies, "final", out=tmp_path / "out", on_progress=lambda done, total: None)
    with (source / "truth.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return biplane(tmp_path / "out"), {name: float(row[name]) for name in ("edv_ml", "esv_ml", "ef_pct")}


@pytest.mark.parametrize("kind", [SampleFormat.DICOM, SampleFormat.MP4])
def test_true_masks_give_the_true_volumes(kind: SampleFormat, tmp_path: Path) -> None:
    got, truth = measured(kind, tmp_path)
    assert got["edv_ml"] == pytest.approx(truth["edv_ml"], rel=0.02)
    assert got["esv_ml"] == pytest.approx(truth["esv_ml"], rel=0.02)
    assert got["ef_pct"] == pytest.approx(truth["ef_pct"], abs=1.0)


def test_slices_of_the_short_axis_phantom_add_up_to_its_volume() -> None:
    heart = Heart.draw(np.random.default_rng(3))
    series = short_axis(heart, seed=(3,))
    voxel_ml = 1.4 * 1.4 * 8.0 / 1000
    for contracted, phase in ((0.0, 0), (1.0, series.es_phase)):
        cavity = np.count_nonzero(series.masks[phase] == ACDC_LABELS.value("lv_cavity"))
        assert cavity * voxel_ml == pytest.approx(heart.volume_ml(contracted), rel=0.03)


@needs_weights
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_the_shipped_model_measures_phantoms_within_four_points(seed: int, tmp_path: Path) -> None:
    write_sample(tmp_path, patients=2, seed=seed)
    studies = Studies(tmp_path, models=Models.of(load("camus", MODELS)))
    with (tmp_path / "truth.csv").open(newline="") as file:
        truth = {row["patient"]: float(row["ef_pct"]) for row in csv.DictReader(file)}
    for patient, ef_pct in truth.items():
        (row,) = (
            row
            for row in studies.measure(patient).study.rows
            if (row.method, row.convention) == (Method.BIPLANE, Convention.GUIDELINE)
        )
        assert row.ef_pct == pytest.approx(ef_pct, abs=4.0)


@needs_weights
def test_the_shipped_model_measures_the_short_axis_phantom_within_four_points() -> None:
    heart = Heart.draw(np.random.default_rng(1))
    series = short_axis(heart, seed=(1,))
    model = load("sunnybrook", MODELS)
    cavities = [
        np.count_nonzero(model.predict(Clip(stack.pixels, stack.spacing)) == model.labels.value("lv_cavity"))
        for stack in (series.stacks[0], series.stacks[series.es_phase])
    ]
    assert 100 * (1 - cavities[1] / cavities[0]) == pytest.approx(heart.ef_pct, abs=4.0)
