"""A studies folder: the best mask of each image, and measurements that follow the files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, Convention, Method, Phase, Record, Spacing, View
from cardiolabel.errors import (
    DatasetError,
    ImageContentError,
    InputError,
    ManifestError,
    MissingWeightsError,
    UnknownImageError,
    UnknownPatientError,
)
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.io.grid import Grid
from cardiolabel.measurements import remembered
from cardiolabel.measurements.geometry import measure_geometry
from cardiolabel.measurements.records import PatientRow
from cardiolabel.models.models import SOURCES, Models
from cardiolabel.records import manifest
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.predicted import Predicted, file_result_json, predict_file
from cardiolabel.studies.studies import Measured, Studies

from ..inference.models import save_tiny_model
from ..short_axis import RADII_MM, STACKS, rings, save_ring_model, volume_ml, write_stacks

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
IMAGES = ("p_4CH_ED", "p_4CH_ES", "p_2CH_ED", "p_2CH_ES")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return Predictor.load("tiny", folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One phantom patient's stills with true masks in labels/final, and a manifest."""
    folder = tmp_path_factory.mktemp("original")
    study = make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False)
    records = []
    for image in study.images:
        path = folder / f"{image.image_id}.nii.gz"
        nifti.write_clip(image.clip, path)
        nifti.write_mask(image.masks, folder / "labels" / "final" / path.name, spacing=SPACING)
        records.append(Record(image.image_id, "p", image.view, image.phase, "phantom", path))
    manifest.write(records, folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "studies"))


def label(folder: Path, image_id: str, tag: str = "final") -> Path:
    return folder / "labels" / tag / f"{image_id}.nii.gz"


def biplane(measured: Measured) -> PatientRow:
    return next(
        row
        for row in measured.study.rows
        if (row.method, row.convention) == (Method.BIPLANE, Convention.GUIDELINE)
    )


def shrink(path: Path) -> None:
    """Take away the left half of the cavity, as a correction might."""
    masks = nifti.read_mask(path)
    cols = np.flatnonzero((masks == 1).any(axis=(0, 1)))
    masks[:, :, : int(cols.mean())] = 0
    nifti.write_mask(masks, path, spacing=SPACING)


def test_records_and_patients(folder: Path) -> None:
    studies = Studies(folder)
    assert [record.image_id for record in studies.records()] == list(IMAGES)
    assert studies.record("p_2CH_ES").view is View.A2C
    assert studies.patients() == ["p"]


def test_unknown_images_and_patients(folder: Path) -> None:
    studies = Studies(folder)
    with pytest.raises(UnknownImageError, match="'nobody'"):
        studies.record("nobody")
    with pytest.raises(UnknownPatientError, match="no patient 'nobody'"):
        studies.measure("nobody")
    with pytest.raises(UnknownPatientError):
        PatientReports(studies).figure_png("nobody")


def test_no_folder_and_a_bad_manifest(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        Studies(folder / "gone").records()
    (folder / "manifest.csv").write_text("image_id\np\n")
    with pytest.raises(ManifestError):
        Studies(folder).records()


def test_a_new_image_and_a_changed_manifest_are_noticed(folder: Path) -> None:
    studies = Studies(folder)
    assert studies.patients() == ["p"]
    shutil.copy(folder / "p_4CH_ED.nii.gz", folder / "q_4CH_ED.nii.gz")
    assert studies.patients() == ["p", "q"]
    before = studies.measure("p")
    manifest.write([replace(r, view=View.UNKNOWN) for r in manifest.read(folder)], folder)
    assert studies.record("p_4CH_ED").view is View.UNKNOWN
    assert biplane(before).ef_pct is not None and biplane(studies.measure("p")).ef_pct is None


def test_final_before_original_before_model(folder: Path, predictor: Predictor) -> None:
    for name in ("p_4CH_ED", "p_4CH_ES"):
        shutil.copy(label(folder, name), _made(label(folder, name, "original")))
    label(folder, "p_4CH_ES").unlink()
    label(folder, "p_2CH_ED").unlink()
    shrink(label(folder, "p_4CH_ED", "original"))
    studies = Studies(folder, models=Models.of(predictor))
    result = studies.measure("p")
    assert result.sources == dict(zip(IMAGES, ("final", "original", "model", "final"), strict=True))
    areas = {frame.image_id: frame.lv_area_mm2 for frame in result.study.frames}
    pixels = int((nifti.read_mask(label(folder, "p_4CH_ED")) == 1).sum())
    assert areas["p_4CH_ED"] == pytest.approx(pixels * SPACING.pixel_area_mm2)
    stored_only = studies.measure("p", predict=False)
    assert stored_only.sources["p_2CH_ED"] == "none"
    assert stored_only.study.frames[2].reason.startswith("no mask is stored")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_replaced_label_is_measured_anew(folder: Path) -> None:
    studies = Studies(folder)
    before = studies.measure("p")
    assert studies.measure("p") is before  # nothing changed: nothing is done
    shrink(label(folder, "p_4CH_ES"))
    after = studies.measure("p")
    assert biplane(after).ef_pct > biplane(before).ef_pct + 5  # type: ignore[operator]
    label(folder, "p_4CH_ES").unlink()
    assert biplane(studies.measure("p")).ef_pct is None


def test_a_replaced_image_is_predicted_anew(folder: Path, predictor: Predictor) -> None:
    studies = Studies(folder, models=Models.of(predictor))
    before = studies.predict("p_4CH_ED")
    assert studies.predict("p_4CH_ED").masks is before.masks
    clip = nifti.read(folder / "p_2CH_ES.nii.gz").clip
    nifti.write_clip(replace(clip, pixels=clip.pixels[:, :120, :90]), folder / "p_4CH_ED.nii.gz")
    assert studies.predict("p_4CH_ED").masks.shape == (1, 120, 90)
    result = studies.measure("p", predict=False)  # the old label does not fit the new image
    assert "the image has 1 frame of 120 x 90 pixels" in result.study.frames[0].reason


def test_an_image_is_decoded_once_and_a_mask_measured_once(
    folder: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    read_pixels, measured = nifti.read_pixels, list[int]()

    def reading(path: Path, *values: object, **named: object) -> object:
        decoded.append(path.name)
        return read_pixels(path, *values, **named)  # type: ignore[arg-type]

    def measuring(mask: np.ndarray, *values: object, **named: object) -> object:
        measured.append(1)
        return measure_geometry(mask, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(nifti, "read_pixels", reading)
    monkeypatch.setattr(remembered, "measure_geometry", measuring)
    shutil.rmtree(folder / "labels")
    studies = Studies(folder, models=Models.of(predictor))
    for image_id in (*IMAGES, IMAGES[0]):
        PatientReports(studies).result(image_id)
    PatientReports(studies).figure_png("p")
    assert sorted(decoded) == sorted(f"{image_id}.nii.gz" for image_id in IMAGES)
    assert 0 < len(measured) <= len(IMAGES)


def test_a_prediction_follows_its_images_manifest_row(folder: Path, predictor: Predictor) -> None:
    studies = Studies(folder, models=Models.of(predictor))
    assert studies.predict("p_4CH_ED").record.patient == "p"
    manifest.write([replace(r, patient="renamed") for r in manifest.read(folder)], folder)
    assert studies.predict("p_4CH_ED").record.patient == "renamed"
    assert PatientReports(studies).result_json(studies.predict("p_4CH_ED"))["patient_id"] == "renamed"


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08\x00torn"])
def test_a_corrupt_image_costs_its_own_row(folder: Path, predictor: Predictor, content: bytes) -> None:
    (folder / "p_2CH_ED.nii.gz").write_bytes(content)
    result = Studies(folder, models=Models.of(predictor)).measure("p")
    assert result.sources["p_2CH_ED"] == "none"
    bad = result.study.frames[2]
    assert bad.lv_area_mm2 is None and "p_2CH_ED.nii.gz" in bad.reason
    assert "p_2CH_ED.nii.gz" in biplane(result).reason
    single = [row for row in result.study.rows if row.method is Method.SINGLE_PLANE_A4C]
    assert all(row.ef_pct is not None for row in single)


def test_a_corrupt_label_is_a_reason_too(folder: Path) -> None:
    label(folder, "p_4CH_ED").write_bytes(b"torn")
    studies = Studies(folder)
    assert "p_4CH_ED.nii.gz" in studies.measure("p").study.frames[0].reason
    assert PatientReports(studies).figure_png("p").startswith(b"\x89PNG")
    json.dumps(PatientReports(studies).patient_json("p"), allow_nan=False)


def test_the_result_of_a_fresh_prediction(folder: Path, predictor: Predictor) -> None:
    studies = Studies(folder, models=Models.of(predictor))
    result = PatientReports(studies).result_json(studies.predict("p_4CH_ED"))
    json.dumps(result, allow_nan=False)
    assert [frame["image_id"] for frame in result["frames"]] == ["p_4CH_ED"]
    # The prediction, not the stored correction, is what the viewer shows.
    assert result["sources"] == {**dict.fromkeys(IMAGES, "final"), "p_4CH_ED": "model"}
    assert result["model"] == {
        "name": "tiny",
        "version": "0",
        "sha256": predictor.card.sha256,
        "engine": predictor.engine.name,
    }
    assert len(result["patient"]) == 8


def test_what_a_model_does_not_predict(folder: Path, predictor: Predictor) -> None:
    with pytest.raises(ImageContentError, match="no model is loaded"):
        Studies(folder).predict("p_4CH_ED")
    manifest.write([replace(r, view=View.SAX) for r in manifest.read(folder)], folder)
    studies = Studies(folder, models=Models.of(predictor))
    with pytest.raises(ImageContentError, match="no loaded model segments SAX images; loaded: tiny"):
        studies.predict("p_4CH_ED")
    with pytest.raises(
        ImageContentError, match="model tiny is for images of view A2C, A4C, unknown; p_4CH_ED"
    ):
        studies.predict("p_4CH_ED", model="tiny")
    with pytest.raises(InputError, match="no model 'other'; there are: tiny"):
        studies.predict("p_4CH_ED", model="other")


def test_the_summary_tells_what_is_stored_and_predicts_nothing(folder: Path, predictor: Predictor) -> None:
    studies = Studies(folder, models=Models.of(predictor))
    (row,) = PatientReports(studies).summary()
    assert (row["patient"], row["views"], row["images"], row["final"]) == ("p", ["A2C", "A4C"], 4, 4)
    assert [(ef["method"], ef["convention"]) for ef in row["ef"]] == [
        ("biplane", "guideline"),
        ("biplane", "camus"),
    ]
    json.dumps(row, allow_nan=False)
    shutil.rmtree(folder / "labels")
    (row,) = PatientReports(studies).summary()
    assert row["ef"] == [] and row["final"] == 0 and set(row["sources"].values()) == {"none"}


def test_the_summary_shows_an_ef_once_everything_was_predicted(
    folder: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = {}
    for image_id in IMAGES:
        path = label(folder, image_id)
        truth[nifti.read(folder / path.name).clip.pixels.tobytes()] = nifti.read_mask(path)
        path.unlink()
    monkeypatch.setattr(predictor, "predict", lambda clip: truth[clip.pixels.tobytes()])
    studies = Studies(folder, models=Models.of(predictor))
    assert PatientReports(studies).summary()[0]["ef"] == []
    measured = biplane(studies.measure("p"))
    assert measured.ef_pct is not None
    assert PatientReports(studies).summary()[0]["ef"][0]["ef_pct"] == round(measured.ef_pct, 1)


def test_short_axis_stacks_use_the_files_slice_distance(tmp_path: Path) -> None:
    grid = Grid((40, 40, 6), np.diag([1.5, 1.5, 8.0, 1.0]))
    records = []
    for phase, radius in ((Phase.ED, 14), (Phase.ES, 9)):
        rows, cols = np.mgrid[:40, :40] - 19.5
        masks = np.stack([3 * (np.hypot(rows, cols) < radius).astype(np.uint8)] * 6)
        path = tmp_path / f"s_SAX_{phase}.nii.gz"
        nifti.write_mask_like(masks * 20, path, grid=grid)
        nifti.write_mask_like(masks, _made(label(tmp_path, f"s_SAX_{phase}")), grid=grid)
        records.append(Record(f"s_SAX_{phase}", "s", View.SAX, phase, "x", path))
    manifest.write(records, tmp_path)
    (row,) = Studies(tmp_path).measure("s").study.rows
    assert row.method is Method.SLICE_SUMMATION
    assert row.edv_ml == pytest.approx(np.pi * 21**2 * 48 / 1000, rel=0.02)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of `camus` and of `sunnybrook`."""
    folder = tmp_path_factory.mktemp("weights")
    save_tiny_model(folder, name="camus")
    save_ring_model(folder)
    return folder


def served(weights: Path, *names: str) -> Models:
    return Models([SOURCES[name] for name in names], weights)


def both_kinds(folder: Path) -> Path:
    """A patient of echo stills without labels, and one of short-axis stacks."""
    shutil.rmtree(folder / "labels")
    echo = manifest.read(folder)
    manifest.write([*echo, *manifest.read(write_stacks(folder))], folder)
    return folder


def test_each_view_has_its_model_and_its_labels(folder: Path, weights: Path) -> None:
    models = served(weights, "camus", "sunnybrook", "acdc")
    studies = Studies(both_kinds(folder), models=models)
    assert PatientReports(studies).summary()[1]["ef"] == [] and not models.is_loaded("sunnybrook")
    measured = studies.measure("s")
    assert set(measured.sources.values()) == {"model"}
    (row,) = measured.study.rows
    edv, esv = (volume_ml(rings(radius)) for radius in RADII_MM.values())
    assert row.method is Method.SLICE_SUMMATION
    assert row.edv_ml == pytest.approx(edv, rel=0.05)
    assert row.ef_pct == pytest.approx(100 * (edv - esv) / edv, abs=3)
    assert PatientReports(studies).patient_json("s")["model"]["name"] == "sunnybrook"
    assert PatientReports(studies).patient_json("p")["model"]["name"] == "camus"
    assert PatientReports(studies).summary()[1]["ef"][0]["method"] == "slice-summation"
    assert studies.predict(STACKS[0]).labels.as_dict() == {"myocardium": 2, "lv_cavity": 3}
    assert studies.predict("p_4CH_ED").labels.as_dict() == CAMUS_LABELS.as_dict()
    assert not models.is_loaded("acdc")


def test_a_result_is_of_the_model_that_was_asked_for_alone(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = Studies(both_kinds(folder), models=served(weights, "camus", "echonet", "sunnybrook", "acdc"))
    result = PatientReports(studies).result_json(studies.predict(STACKS[0], model="acdc"))
    assert result["model"]["name"] == "acdc" and set(result["sources"].values()) == {"model"}
    # One file of weights, two models: what one predicted is not taken for the other's.
    assert studies.predict("p_4CH_ED").masks.max() > 1
    narrow = studies.predict("p_4CH_ED", model="echonet")
    assert set(np.unique(narrow.masks)) == {0, 1}
    requested: list[str | None] = []
    predict = studies.predict

    def watched(image_id: str, *, model: str | None = None) -> Predicted:
        requested.append(model)
        return predict(image_id, model=model)

    monkeypatch.setattr(studies, "predict", watched)
    assert PatientReports(studies).result_json(narrow)["model"]["name"] == "echonet"
    assert len(requested) >= 3 and set(requested) == {"echonet"}


def test_missing_weights_are_a_reason_until_they_are_there(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    for end in (".safetensors", ".json"):
        shutil.copy(weights / f"camus{end}", _made(tmp_path / "some" / f"camus{end}"))
    studies = Studies(both_kinds(folder), models=served(tmp_path / "some", "camus", "sunnybrook"))
    with pytest.raises(MissingWeightsError, match="no weights for model sunnybrook"):
        studies.predict(STACKS[0])
    assert set(studies.measure("p").sources.values()) == {"model"}
    result = studies.measure("s")
    assert set(result.sources.values()) == {"none"}
    assert "no weights for model sunnybrook" in result.study.rows[0].reason
    for end in (".safetensors", ".json"):
        shutil.copy(weights / f"sunnybrook{end}", tmp_path / "some")
    assert set(studies.measure("s").sources.values()) == {"model"}


def test_a_stack_of_a_plain_folder_is_labelled_as_acdc_is(tmp_path: Path) -> None:
    studies = Studies(write_stacks(tmp_path))
    assert {record.labels for record in studies.records()} == {ACDC_LABELS}
    for image_id, radius in zip(STACKS, RADII_MM.values(), strict=True):
        grid = studies.image(studies.record(image_id)).grid
        nifti.write_mask_like(rings(radius), _made(label(tmp_path, image_id, "original")), grid=grid)
    (row,) = studies.measure("s").study.rows
    assert row.edv_ml == pytest.approx(volume_ml(rings(RADII_MM[Phase.ED])))
    assert row.ef_pct is not None


def test_a_file_outside_any_folder(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    loose = Path(shutil.copy(folder / "p_4CH_ED.nii.gz", tmp_path / "scan.nii.gz"))
    predicted = predict_file(loose, predictor)
    assert predicted.record.view is View.UNKNOWN
    result = file_result_json(predicted)
    json.dumps(result, allow_nan=False)
    assert [frame["image_id"] for frame in result["frames"]] == ["scan"]


def test_a_file_of_an_unknown_view_is_what_its_model_is_for(tmp_path: Path, weights: Path) -> None:
    models = served(weights, "camus", "sunnybrook")
    source = write_stacks(tmp_path / "studies") / f"{STACKS[0]}.nii.gz"
    loose = Path(shutil.copy(source, tmp_path / "scan.nii.gz"))
    predicted = predict_file(loose, models.named("sunnybrook"))
    assert predicted.record.view is View.SAX
    assert len(file_result_json(predicted)["frames"]) == 4
    with pytest.raises(ImageContentError, match="model camus is for images of view A2C, A4C, unknown"):
        predict_file(source, models.named("camus"))


def test_unknown_mask_values_are_named_not_measured(folder: Path) -> None:
    path = label(folder, "p_4CH_ED")
    masks = nifti.read_mask(path)
    nifti.write_mask(np.where(masks == 1, 255, 0).astype(np.uint8), path, spacing=SPACING)
    study = Studies(folder).measure("p").study
    (reason,) = [row.reason for row in study.frames if row.image_id == "p_4CH_ED"]
    assert "label values 255 are unknown" in reason
