"""Whole folders: images to masks to tables, one bad file costing one row."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Record, Spacing
from cardiolabel.errors import DatasetError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.models.models import load
from cardiolabel.pipeline.folder_run import Summary
from cardiolabel.pipeline.infer_folder import infer_folder
from cardiolabel.pipeline.measure_folder import measure_folder
from cardiolabel.records import manifest

from ..inference.models import noise_clip, save_tiny_model
from ..short_axis import RADII_MM, STACKS, rings, save_ring_model, volume_ml, write_stacks

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
IMAGES = ("p_4CH_ED", "p_4CH_ES", "p_2CH_ED", "p_2CH_ES")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return Predictor.load("tiny", folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study = make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False)
    records = []
    for image in study.images:
        path = tmp_path / "studies" / f"{image.image_id}.nii.gz"
        nifti.write_clip(image.clip, path)
        nifti.write_mask(image.masks, tmp_path / "masks" / path.name, spacing=SPACING)
        records.append(Record(image.image_id, "p", image.view, image.phase, "phantom", path))
    manifest.write(records, tmp_path / "studies")
    return tmp_path / "studies"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def infer(
    folder: Path,
    predictor: Predictor,
    out: Path,
    *,
    resume: bool = False,
    overlays: bool = False,
    html: bool = False,
) -> Summary:
    seen: list[tuple[int, int]] = []
    result = infer_folder(
        folder,
        predictor,
        out=out,
        resume=resume,
        overlays=overlays,
        html=html,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, result.images) for done in range(1, result.images + 1)]
    return result


def test_infer_writes_masks_on_the_images_grid_and_both_tables(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    result = infer(folder, predictor, tmp_path / "out")
    assert result == Summary(images=4, patients=1, skipped=0, problems=())
    for name in IMAGES:
        mask = tmp_path / "out" / "labels" / f"{name}.nii.gz"
        image = nifti.read(folder / mask.name)
        assert nifti.read_mask(mask).shape == image.clip.shape
        assert np.array_equal(nifti.read(mask).grid.affine, image.grid.affine)
    assert [row["image_id"] for row in rows(tmp_path / "out" / "frames.csv")] == list(IMAGES)
    assert len(rows(tmp_path / "out" / "patients.csv")) == 8
    assert not (folder / "labels").exists()  # the studies folder itself is only read


def test_infers_tables_are_those_of_its_own_masks(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    infer(folder, predictor, tmp_path / "out")
    measure_folder(
        folder, str(tmp_path / "out" / "labels"), out=tmp_path / "again", on_progress=lambda *_: None
    )
    for name in ("frames.csv", "patients.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_resume_keeps_masks_that_are_there_and_a_fresh_run_does_not(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out)
    complete = (out / "frames.csv").read_bytes()
    shutil.copy(tmp_path / "masks" / "p_4CH_ED.nii.gz", out / "labels" / "p_4CH_ED.nii.gz")
    stored = (out / "labels" / "p_4CH_ED.nii.gz").read_bytes()
    (out / "labels" / "p_2CH_ES.nii.gz").unlink()
    result = infer(folder, predictor, out, resume=True)
    assert (result.skipped, result.problems) == (3, ())
    assert (out / "labels" / "p_4CH_ED.nii.gz").read_bytes() == stored
    area = float(rows(out / "frames.csv")[0]["lv_area_mm2"])
    pixels = int((nifti.read_mask(tmp_path / "masks" / "p_4CH_ED.nii.gz") == 1).sum())
    assert area == pytest.approx(pixels * SPACING.pixel_area_mm2, abs=1e-3)
    infer(folder, predictor, out)
    assert (out / "frames.csv").read_bytes() == complete


def test_masks_say_which_model_made_them_and_are_not_mixed(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    infer(folder, predictor, tmp_path / "out")
    text = json.loads((tmp_path / "out" / "model.json").read_text())
    assert text["sha256"] == predictor.card.sha256 and text["labels"] == predictor.labels.as_dict()
    other = predictor.only(["lv_cavity"], name="other")
    with pytest.raises(DatasetError, match="started with another model"):
        infer(folder, other, tmp_path / "out", resume=True)
    assert infer(folder, other, tmp_path / "out").skipped == 0


def test_a_run_that_another_model_began_and_did_not_end_keeps_no_old_mask(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    infer(folder, predictor, tmp_path / "out")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    other = predictor.only(["lv_cavity"], name="other")
    with pytest.raises(KeyboardInterrupt):
        infer_folder(folder, other, out=tmp_path / "out", resume=False, on_progress=stop)
    assert not [*(tmp_path / "out").glob("*.csv"), *(tmp_path / "out").glob("*.parquet")]
    infer(folder, other, tmp_path / "out", resume=True)
    for name in IMAGES:
        masks = nifti.read_mask(tmp_path / "out" / "labels" / f"{name}.nii.gz")
        assert set(np.unique(masks)) <= {0, 1}


def test_masks_of_an_unknown_model_are_not_resumed(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    infer(folder, predictor, tmp_path / "out")
    (tmp_path / "out" / "model.json").unlink()
    with pytest.raises(DatasetError, match="another model"):
        infer(folder, predictor, tmp_path / "out", resume=True)
    assert len(list((tmp_path / "out" / "labels").iterdir())) == len(IMAGES)


def test_a_disk_that_is_full_ends_the_run_and_its_threads(
    folder: Path, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    before = threading.active_count()
    monkeypatch.setattr(nifti, "write_mask_like", full)
    with pytest.raises(OSError, match="No space left"):
        infer_folder(folder, predictor, out=tmp_path / "out", resume=False, on_progress=lambda *_: None)
    assert threading.active_count() == before
    assert not (tmp_path / "out" / "frames.csv").exists()


def test_frames_of_stills_and_cines_share_batches_and_stay_in_order(
    tmp_path: Path, predictor: Predictor
) -> None:
    studies = tmp_path / "studies"
    clips = {
        f"p{number}_4CH_cine": noise_clip(frames, 70, 60, SPACING, seed=number)
        for number, frames in enumerate((1, 37, 1, 1, 16, 3))
    }
    for image_id, clip in clips.items():
        nifti.write_clip(clip, studies / f"{image_id}.nii.gz")
    infer(studies, predictor, tmp_path / "out")
    for image_id, clip in clips.items():
        masks = nifti.read_mask(tmp_path / "out" / "labels" / f"{image_id}.nii.gz")
        assert np.array_equal(masks, predictor.predict(clip))
    frames = rows(tmp_path / "out" / "frames.csv")
    assert [row["image_id"] for row in frames] == [
        image_id for image_id, clip in sorted(clips.items()) for _ in range(clip.shape[0])
    ]


def test_resume_makes_a_damaged_mask_anew(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    infer(folder, predictor, tmp_path / "out")
    whole, again = (tmp_path / "out" / "labels" / f"p_{each}.nii.gz" for each in ("4CH_ED", "4CH_ES"))
    before = nifti.read_mask(whole)
    whole.write_bytes(whole.read_bytes()[:60])
    modified = again.stat().st_mtime_ns
    result = infer(folder, predictor, tmp_path / "out", resume=True)
    assert (result.skipped, result.problems) == (3, ())
    assert np.array_equal(nifti.read_mask(whole), before) and again.stat().st_mtime_ns == modified


def test_a_corrupt_image_costs_its_own_row(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out)
    (folder / "p_2CH_ED.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    result = infer(folder, predictor, out)
    ((image_id, reason),) = result.problems
    assert image_id == "p_2CH_ED" and "p_2CH_ED.nii.gz" in reason
    assert not (out / "labels" / "p_2CH_ED.nii.gz").exists()  # nor the mask of an earlier run
    frames = {row["image_id"]: row for row in rows(out / "frames.csv")}
    assert frames["p_2CH_ED"]["lv_area_mm2"] == "" and "p_2CH_ED.nii.gz" in frames["p_2CH_ED"]["reason"]
    biplane = rows(out / "patients.csv")[0]
    assert biplane["ef_pct"] == "" and "p_2CH_ED.nii.gz" in biplane["reason"]


@pytest.mark.parametrize("labels", ["final", "original", "DIR"])
def test_measure_reads_the_masks_it_is_told(folder: Path, tmp_path: Path, labels: str) -> None:
    if labels != "DIR":
        shutil.copytree(tmp_path / "masks", folder / "labels" / labels)
    source = str(tmp_path / "masks") if labels == "DIR" else labels
    result = measure_folder(folder, source, out=tmp_path / "out", on_progress=lambda *_: None)
    assert result == Summary(images=4, patients=1, skipped=0, problems=())
    biplane = rows(tmp_path / "out" / "patients.csv")[0]
    truth = make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False).truth
    assert float(biplane["ef_pct"]) == pytest.approx(truth.ef_pct, abs=1.5)
    assert float(biplane["edv_ml"]) == pytest.approx(truth.edv_ml, rel=0.03)


def test_measure_names_images_without_a_mask(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "masks" / "p_4CH_ES.nii.gz").unlink()
    result = measure_folder(
        folder, str(tmp_path / "masks"), out=tmp_path / "out", on_progress=lambda *_: None
    )
    assert [image_id for image_id, reason in result.problems if reason] == ["p_4CH_ES"]


def test_a_folder_with_nothing_to_do_is_reported(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="no images"):
        infer(empty, predictor, tmp_path / "out")
    with pytest.raises(DatasetError, match="no such folder of masks"):
        measure_folder(folder, "final", out=tmp_path / "out", on_progress=lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_stacks_are_inferred_and_summed(tmp_path: Path) -> None:
    save_ring_model(tmp_path / "model")
    studies, out = write_stacks(tmp_path / "studies"), tmp_path / "out"
    result = infer(studies, load("acdc", tmp_path / "model"), out)
    assert result == Summary(images=2, patients=1, skipped=0, problems=())
    for name in STACKS:
        mask, image = nifti.read(out / "labels" / f"{name}.nii.gz"), nifti.read(studies / f"{name}.nii.gz")
        assert mask.grid.shape == image.grid.shape and np.allclose(mask.grid.affine, image.grid.affine)
    (row,) = rows(out / "patients.csv")
    edv, esv = (volume_ml(rings(radius)) for radius in RADII_MM.values())
    assert row["method"] == "slice-summation"
    assert float(row["ef_pct"]) == pytest.approx(100 * (edv - esv) / edv, abs=3)


def test_images_of_another_view_cost_their_own_rows(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    manifest.write([*manifest.read(folder), *manifest.read(write_stacks(folder))], folder)
    result = infer(folder, predictor, tmp_path / "out")
    assert [image_id for image_id, _ in result.problems] == list(STACKS)
    assert all("is of view SAX" in reason for _, reason in result.problems)
    with pytest.raises(DatasetError, match="no image can have a mask: model tiny is for"):
        infer(write_stacks(tmp_path / "stacks"), predictor, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_overlays_and_the_page_are_made_where_asked_for(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out)
    tables = [
        f"{name}.{kind}" for name in ("frames", "measurements", "patients") for kind in ("csv", "parquet")
    ]
    assert names(out) == sorted([*tables, "labels", "model.json"])
    infer(folder, predictor, out, overlays=True, html=True)
    assert names(out) == sorted([*tables, "labels", "model.json", "overlays", "summary.html"])
    assert names(out / "overlays") == sorted(f"{name}.png" for name in IMAGES)
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert predictor.card.sha256[:12] in page and 'src="overlays/p_4CH_ED.png"' in page
    # A run without them leaves nothing that shows masks of before.
    infer(folder, predictor, out)
    assert names(out / "overlays") == [] and not (out / "summary.html").exists()


def test_an_image_without_a_mask_has_no_overlay_and_is_on_the_page(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out, overlays=True)
    (folder / "p_2CH_ED.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    infer(folder, predictor, out, resume=True, overlays=True, html=True)
    assert names(out / "overlays") == sorted(f"{name}.png" for name in IMAGES if name != "p_2CH_ED")
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "<h2>Images without a mask: 1</h2>" in page and "<th>p_2CH_ED</th>" in page
    (folder / "p_2CH_ES.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    infer(folder, predictor, out, resume=True)
    assert names(out / "overlays") == ["p_4CH_ED.png", "p_4CH_ES.png"]


def test_kept_masks_have_overlays_too(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out)
    assert infer(folder, predictor, out, resume=True, overlays=True).skipped == len(IMAGES)
    assert names(out / "overlays") == sorted(f"{name}.png" for name in IMAGES)


def test_what_a_killed_run_left_half_written_goes(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out, overlays=True)
    drafts = [
        out / ".partial-a.csv",
        out / "labels" / ".partial-b.nii.gz",
        out / "overlays" / ".partial-c.png",
    ]
    for draft in drafts:
        draft.touch()
    infer(folder, predictor, out, resume=True)
    assert not [draft for draft in drafts if draft.exists()]


def test_a_mask_that_is_made_anew_keeps_no_old_overlay(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out, overlays=True)
    (out / "labels" / "p_2CH_ES.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    infer(folder, predictor, out, resume=True)
    assert names(out / "overlays") == ["p_2CH_ED.png", "p_4CH_ED.png", "p_4CH_ES.png"]


def test_measuring_leaves_no_page_of_other_tables(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    infer(folder, predictor, out, html=True)
    assert (out / "summary.html").is_file()
    measure_folder(folder, str(tmp_path / "masks"), out=out, on_progress=lambda done, total: None)
    assert not (out / "summary.html").exists() and (out / "frames.csv").is_file()


def test_an_image_that_is_lost_after_its_mask_was_made_costs_its_overlay_only(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    def lose(done: int, total: int) -> None:
        (folder / "p_4CH_ED.nii.gz").unlink(missing_ok=True)

    result = infer_folder(
        folder, predictor, out=tmp_path / "out", resume=False, on_progress=lose, overlays=True
    )
    assert result.problems == () and len(names(tmp_path / "out" / "labels")) == len(IMAGES)
    assert "p_4CH_ED.png" not in names(tmp_path / "out" / "overlays")
    assert len(names(tmp_path / "out" / "overlays")) == len(IMAGES) - 1


def test_a_picture_that_cannot_be_written_ends_the_run_without_tables(
    folder: Path, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "overlays").write_text("in the way")
    with pytest.raises(OSError, match="overlays"):
        infer_folder(folder, predictor, out=out, resume=False, on_progress=lambda *_: None, overlays=True)
    assert not (out / "patients.csv").exists()


def test_stacks_have_overlays(tmp_path: Path) -> None:
    save_ring_model(tmp_path / "model")
    out = tmp_path / "out"
    infer(write_stacks(tmp_path / "studies"), load("acdc", tmp_path / "model"), out, overlays=True, html=True)
    assert names(out / "overlays") == sorted(f"{name}.png" for name in STACKS)
    assert "slice-summation" in (out / "summary.html").read_text(encoding="utf-8")
