"""Commands on folders that other programs labelled: every label counts, or is named with the reason."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
from click.testing import Result
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.cli.left_out import take_over_labels
from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Spacing
from cardiolabel.io import nifti
from cardiolabel.records.file_names import id_from_name

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
PATIENT = "Frau Ä 1"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ef_pct(out: Path) -> dict[str, float]:
    """Biplane EF by patient."""
    with (out / "patients.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["method"] == "biplane" and row["ef_pct"]]
    return {row["patient"]: float(row["ef_pct"]) for row in rows if row["convention"] == "guideline"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient under a plain name, and again under one with blanks whose labels are NRRD."""
    folder = tmp_path_factory.mktemp("stock")
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for image in make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False).images:
        name = image.image_id.replace("p_", f"{PATIENT}_", 1)
        for stem in (image.image_id, name):
            nifti.write_clip(image.clip, folder / f"{stem}.nii.gz")
        nifti.write_mask(image.masks, labels / f"{image.image_id}.nii.gz", spacing=SPACING)
        mask = sitk.GetImageFromArray(image.masks)
        mask.SetSpacing((SPACING.col_mm, SPACING.row_mm, 1.0))
        sitk.WriteImage(mask, str(labels / f"{name}.nrrd"))
    return folder


@pytest.fixture
def studies(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "studies"))


def test_measuring_takes_labels_of_any_name_and_format_and_writes_none(studies: Path, tmp_path: Path) -> None:
    before = sorted((studies / "labels").rglob("*"))
    done = run("measure", studies, "--out", tmp_path / "out")
    assert done.exit_code == 0 and done.stderr == ""
    result = ef_pct(tmp_path / "out")
    assert result[PATIENT] == result["p"]
    assert sorted((studies / "labels").rglob("*")) == before


def test_masks_of_another_folder_may_be_called_as_their_images(studies: Path, tmp_path: Path) -> None:
    shutil.move(studies / "labels" / "final", tmp_path / "masks")
    done = run("measure", studies, "--labels", tmp_path / "masks", "--out", tmp_path / "out")
    assert done.exit_code == 0 and len(ef_pct(tmp_path / "out")) == 2


def test_each_label_that_is_left_out_is_named(studies: Path, tmp_path: Path) -> None:
    label = studies / "labels" / "final" / f"{PATIENT}_4CH_ED.nrrd"
    label.rename(label.with_name("Frau_4CH_ED.nrrd"))
    (studies / "labels" / "final" / f"{PATIENT}_2CH_ED.nrrd").write_bytes(b"torn")
    lines = run("measure", studies, "--out", tmp_path / "out").stderr.splitlines()
    torn = id_from_name(f"{PATIENT}_2CH_ED")
    assert any(line.startswith(f"{torn}: ") and "not a readable NRRD file" in line for line in lines)
    assert any(line.startswith("labels/final/Frau_4CH_ED.nrrd: no image has this name") for line in lines)
    shutil.rmtree(studies / "labels")
    (studies / "labels" / "final" / "deep").mkdir(parents=True)
    (studies / "labels" / "final" / "deep" / "p_4CH_ED.nii.gz").touch()
    done = run("measure", studies, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "no image has a mask" in done.stderr.splitlines()[-1]
    assert "labels/final/deep/p_4CH_ED.nii.gz: not in a folder of labels" in done.stderr


def test_folders_that_the_stock_datastore_had_elsewhere_are_named(studies: Path, tmp_path: Path) -> None:
    document = {"images_dir": "./", "labels_dir": "annotations", "objects": {}}
    (studies / "datastore_v2.json").write_text(json.dumps(document))
    (line,) = run("measure", studies, "--out", tmp_path / "out").stderr.splitlines()
    assert line.startswith("datastore_v2.json: labels_dir is 'annotations'; move what it holds to 'labels'")


def test_masks_are_judged_under_the_names_of_their_images(studies: Path, tmp_path: Path) -> None:
    final = studies / "labels" / "final"
    done = run("evaluate", final, studies, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    with (tmp_path / "out" / "images.csv").open(encoding="utf-8") as table:
        assert len({row["image_id"] for row in csv.DictReader(table)}) == 8


def test_labels_are_taken_over_for_training(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (studies / "labels" / "final" / f"{PATIENT}_2CH_ED.nrrd").write_bytes(b"torn")
    take_over_labels(studies, quiet=False)
    assert "not a readable NRRD file" in capsys.readouterr().err
    for view, phase in (("4CH", "ED"), ("4CH", "ES"), ("2CH", "ES")):
        own = studies / "labels" / "final" / f"{id_from_name(f'{PATIENT}_{view}_{phase}')}.nii.gz"
        plain = studies / "labels" / "final" / f"p_{view}_{phase}.nii.gz"
        assert (nifti.read_mask(own) == nifti.read_mask(plain)).all()


def test_labels_that_cannot_be_taken_over_are_named(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (studies / ".cardiolabel").touch()  # a file in the place of the records' folder
    take_over_labels(studies, quiet=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all("cannot be taken over" in line and PATIENT in line for line in lines)
