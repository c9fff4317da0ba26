"""The commands: exit codes, one clear line for bad input, tables that keep their contract."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.cli.data import Kind
from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Spacing
from cardiolabel.io import nifti
from cardiolabel.reporting.tables import FRAME_COLUMNS, PATIENT_COLUMNS

from ..inference.models import save_tiny_model

SPACING = Spacing(row_mm=1.0, col_mm=1.15)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(result: Result, *words: str) -> None:
    """Exit code 2 and one clear line on stderr."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("cardiolabel: ")
    assert result.stdout == ""
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images named as CAMUS names them, with masks beside them."""
    folder = tmp_path_factory.mktemp("source")
    for image in make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False).images:
        nifti.write_clip(image.clip, folder / f"{image.image_id}.nii.gz")
        nifti.write_mask(image.masks, folder / f"{image.image_id}_gt.nii.gz", spacing=SPACING)
    return folder


@pytest.fixture
def studies(source: Path, tmp_path: Path) -> Path:
    assert run("prepare", "folder", source, tmp_path / "studies", "--quiet").exit_code == 0
    return tmp_path / "studies"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def header(path: Path) -> list[str]:
    return path.read_text().splitlines()[0].split(",")


@pytest.mark.parametrize(
    "command",
    [(), ("sample",), ("prepare",), ("serve",), ("infer",), ("measure",), ("evaluate",), ("bench",)],
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0 and "Usage" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("sample",),
        ("sample", "x", "--patients", "0"),
        ("sample", "x", "--seed", "-1"),
        ("prepare", "mri", "a", "b"),
        ("measure", "x"),
        ("evaluate", "x", "y"),
        ("bench", "--repeats", "0"),
        ("serve", "x", "--port", "99999"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_2(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_sample_then_measure_its_truth(tmp_path: Path) -> None:
    result = run("sample", tmp_path / "s", "--patients", 1)
    assert result.exit_code == 0 and "1 phantom patient" in result.stdout
    assert (tmp_path / "s" / "truth.csv").is_file()
    measured = run("measure", tmp_path / "s", "--labels", tmp_path / "s" / "truth", "--out", tmp_path / "out")
    assert measured.exit_code == 0 and measured.stderr.count("\n") <= 1
    truth = dict(
        zip(*(line.split(",") for line in (tmp_path / "s" / "truth.csv").read_text().split()), strict=True)
    )
    biplane = (tmp_path / "out" / "patients.csv").read_text().splitlines()[1].split(",")
    assert biplane[1:3] == ["biplane", "guideline"]
    assert float(biplane[6]) == pytest.approx(float(truth["ef_pct"]), abs=1)


def test_sample_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(run("sample", tmp_path / "file", "--patients", 1))


def test_prepare(source: Path, tmp_path: Path) -> None:
    result = run("prepare", "folder", source, tmp_path / "studies")
    assert result.exit_code == 0 and "4 images and 4 reference masks" in result.stdout
    assert len(list((tmp_path / "studies" / "labels" / "final").iterdir())) == 4
    again = run("prepare", "folder", source, tmp_path / "studies", "--quiet")
    assert (again.exit_code, again.output) == (0, "")


@pytest.mark.parametrize("kind", list(Kind))
def test_prepare_from_nowhere(kind: str, tmp_path: Path) -> None:
    refused(run("prepare", kind, tmp_path / "gone", tmp_path / "out"), "gone")
    assert not (tmp_path / "out").exists()


def test_measure(studies: Path, tmp_path: Path) -> None:
    result = run("measure", studies, "--labels", "final", "--out", tmp_path / "out")
    assert result.exit_code == 0 and "4 images of 1 patients" in result.stdout
    assert header(tmp_path / "out" / "frames.csv") == list(FRAME_COLUMNS)
    assert header(tmp_path / "out" / "patients.csv") == list(PATIENT_COLUMNS)
    quiet = run("measure", studies, "--out", tmp_path / "quiet", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    for name in ("frames.csv", "patients.csv"):
        assert (tmp_path / "quiet" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_measure_names_what_has_no_mask(studies: Path, tmp_path: Path) -> None:
    (studies / "labels" / "final" / "p_4CH_ED.nii.gz").write_bytes(b"torn")
    result = run("measure", studies, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "p_4CH_ED: " in result.stderr and "1 not measurable" in result.stdout


def test_measure_refuses(studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(run("measure", tmp_path / "gone", "--labels", tmp_path, "--out", out), "gone")
    refused(run("measure", studies, "--labels", "original", "--out", out), "original")
    refused(run("measure", studies, "--labels", tmp_path / "none", "--out", out), "none")
    (studies / "manifest.csv").write_text("nonsense\n")
    refused(run("measure", studies, "--out", out), "manifest.csv")
    assert not out.exists()
    out.write_text("a file")
    shutil.rmtree(studies)
    studies.mkdir()
    refused(run("measure", studies, "--labels", tmp_path, "--out", out), "no images")


def test_infer_and_resume(studies: Path, weights: Path, tmp_path: Path) -> None:
    command = ("infer", studies, "--model", "tiny", "--weights", weights, "--out", tmp_path / "out")
    result = run(*command)
    assert result.exit_code == 0 and "4 images of 1 patients, 0 without a mask" in result.stdout
    assert header(tmp_path / "out" / "frames.csv") == list(FRAME_COLUMNS)
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 4
    (tmp_path / "out" / "labels" / "p_4CH_ED.nii.gz").unlink()
    assert "3 kept" in run(*command, "--resume").stdout
    (studies / "p_4CH_ED.nii.gz").write_bytes(b"torn")
    torn = run(*command)
    assert torn.exit_code == 0 and "1 without a mask" in torn.stdout and "p_4CH_ED: " in torn.stderr
    strict = run(*command, "--strict")
    assert strict.exit_code == 1 and strict.stdout == torn.stdout and strict.stderr == torn.stderr


def test_infer_refuses(studies: Path, weights: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    refused(
        run("infer", studies, "--model", "other", "--weights", weights, *out), "no weights for model other"
    )
    refused(run("infer", tmp_path / "gone", "--model", "tiny", "--weights", weights, *out), "gone")
    (tmp_path / "broken").mkdir()
    for path in weights.iterdir():
        (tmp_path / "broken" / path.name).write_bytes(path.read_bytes()[:-1])
    refused(run("infer", studies, "--model", "tiny", "--weights", tmp_path / "broken", *out), "tiny.")
    (tmp_path / "out").write_text("a file in the way")
    refused(run("infer", studies, "--model", "tiny", "--weights", weights, *out), "out")


def test_evaluate_what_infer_wrote(studies: Path, weights: Path, tmp_path: Path) -> None:
    run("infer", studies, "--model", "tiny", "--weights", weights, "--out", tmp_path / "masks", "--quiet")
    command = ("evaluate", tmp_path / "masks", studies, "--out")
    result = run(*command, tmp_path / "out")
    assert result.exit_code == 0 and "4 images of 1 patients, mean Dice: LV cavity" in result.stdout
    assert "report.md" in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "agreement.csv",
        "bland_altman.png",
        "evaluation.json",
        "images.csv",
        "patients.csv",
        "report.md",
        "summary.csv",
        "validity.csv",
    ]
    quiet = run(*command, tmp_path / "quiet", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    for path in (tmp_path / "out").iterdir():
        assert (tmp_path / "quiet" / path.name).read_bytes() == path.read_bytes()


def test_evaluate_names_what_cannot_be_compared(studies: Path, tmp_path: Path) -> None:
    shutil.copytree(studies / "labels" / "final", tmp_path / "masks")
    (tmp_path / "masks" / "p_4CH_ED.nii.gz").write_bytes(b"torn")
    result = run("evaluate", tmp_path / "masks", studies, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "3 images of 1 patients" in result.stdout
    assert "p_4CH_ED: predicted mask: " in result.stderr


def test_evaluate_refuses(studies: Path, tmp_path: Path) -> None:
    masks, out = studies / "labels" / "final", ("--out", tmp_path / "out")
    refused(run("evaluate", tmp_path / "gone", studies, *out), "gone")
    refused(run("evaluate", masks, tmp_path / "gone", *out), "gone", "--studies")
    refused(run("evaluate", masks, studies, *out, "--split", "VAL"), "VAL", "--patients")
    refused(run("evaluate", masks, studies, *out, "--patients", tmp_path / "no.txt"), "no.txt")
    (tmp_path / "some.txt").write_text("p")
    refused(run("evaluate", masks, studies, *out, "--patients", tmp_path / "some.txt", "--split", "VAL"))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a file in the way")
    refused(run("evaluate", masks, studies, *out), "out")


def test_serve_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(run("serve", tmp_path / "gone"), "gone", "cardiolabel prepare or sample")


def test_bench_refuses_what_it_does_not_know() -> None:
    refused(run("bench", "--parts", "speed"), "no part 'speed'", "http, batch")
    refused(run("bench", "--model", "nothing"), "nothing")


def test_sample_never_writes_over_a_studies_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("mine")
    refused(run("sample", tmp_path), "studies folder already")
    assert (tmp_path / "manifest.csv").read_text() == "mine"


def test_measure_where_no_image_has_a_mask(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(
        run("measure", studies, "--labels", tmp_path / "none", "--out", tmp_path / "out"),
        "no image has a mask",
    )


def test_serve_names_the_models_there_are(studies: Path) -> None:
    refused(run("serve", studies, "--models", "nonsense"), "nonsense", "camus")


def test_train_writes_a_model_and_goes_on(studies: Path, tmp_path: Path) -> None:
    for view in ("2CH", "4CH"):
        for phase in ("ED", "ES"):
            for folder in (studies, studies / "labels" / "final"):
                source = folder / f"p_{view}_{phase}.nii.gz"
                shutil.copy(source, folder / f"q_{view}_{phase}.nii.gz")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'source = "test"\ninput = "camus"\nnetwork = "unet"\nimages = 12\n[arguments]\nwidths = [4, 8, 8]\n'
    )
    done = run("train", recipe, studies, "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 patients in training, 1 to select by" in done.stdout
    assert (tmp_path / "run" / "tiny.safetensors").is_file()
    refused(run("train", "nothing", studies, "--out", tmp_path / "run"), "no recipe 'nothing'", "camus")


def test_export_writes_what_monai_label_reads(studies: Path, tmp_path: Path) -> None:
    done = run("export", "datastore", studies, "--out", tmp_path / "store.json")
    assert "4 images and 4 labels" in done.stdout
    objects = json.loads((tmp_path / "store.json").read_text())["objects"]
    assert objects["p_4CH_ED"]["labels"]["final"]["ext"] == ".nii.gz"
    refused(run("export", "datastore", tmp_path / "nowhere"), "no such folder")
