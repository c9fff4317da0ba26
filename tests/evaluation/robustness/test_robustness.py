"""The whole test of robustness, with a model that knows the references by heart."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import Result
from matplotlib.image import imread
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, Clip, LabelSet, View, views_of_recipe
from cardiolabel.errors import DatasetError
from cardiolabel.evaluation.robustness import corruptions as change
from cardiolabel.evaluation.robustness.conditions import Tally
from cardiolabel.evaluation.robustness.files import columns, table, write_robustness
from cardiolabel.evaluation.robustness.robustness import Robustness, measure_robustness
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.records import manifest

from ...inference.models import save_tiny_model
from ..folders import SPACING, write_cines, write_echo, write_stacks


@dataclass
class ByHeart:
    """Predicts the reference of any picture it has seen, mirrored ones included, else nothing."""

    labels: LabelSet = CAMUS_LABELS
    views: frozenset[View] = views_of_recipe("camus")
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    @property
    def recipe(self) -> SimpleNamespace:
        return SimpleNamespace(views=self.views)

    @property
    def card(self) -> SimpleNamespace:
        return SimpleNamespace(name="by heart", version="1")

    def learn(self, folder: Path) -> ByHeart:
        for record in manifest.read(folder):
            clip = nifti.read(record.path).clip
            masks = nifti.read_mask(folder / "labels" / "final" / record.path.name)
            labelled = np.arange(len(masks)) if record.view is View.SAX else masks.any(axis=(1, 2))
            self.known[clip.pixels[labelled].tobytes()] = masks[labelled]
        return self

    def predict(self, clip: Clip) -> np.ndarray:
        mirrored = clip.pixels[:, :, ::-1].tobytes()
        if mirrored in self.known:
            return self.known[mirrored][:, :, ::-1]
        return self.known.get(clip.pixels.tobytes(), np.zeros(clip.shape, np.uint8))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_echo(tmp_path_factory.mktemp("echo"))


@pytest.fixture(scope="module")
def judged(studies: Path) -> Robustness:
    steps: list[tuple[int, int]] = []
    result = measure_robustness(
        studies, ByHeart().learn(studies), on_progress=lambda *step: steps.append(step)
    )
    total = 12 * len(result.conditions)  # three patients of VAL and TEST, four images each
    assert steps == [(done + 1, total) for done in range(total)]
    return result


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["robustness", *(str(argument) for argument in arguments)])


def refused(found: Result, *words: str) -> None:
    assert found.exit_code == 2, found.output
    (line,) = found.stderr.strip().splitlines()
    assert line.startswith("cardiolabel: ") and found.stdout == ""
    for word in words:
        assert word in line


def test_a_perfect_model_is_perfect_where_nothing_is_worse(judged: Robustness) -> None:
    assert judged.structures == ("lv_cavity", "myocardium", "left_atrium", "epicardium")
    rows = {row.corruption.name: row for row in judged.conditions}
    for name in ("none", "mirror"):
        row = rows[name]
        assert (row.patients, row.images, row.failed_share) == (3, 12, 0)
        assert row.dice == dict.fromkeys(judged.structures, 1.0)
        assert row.drop["lv_cavity"].points == 0 and row.drop["lv_cavity"].interval == (0, 0)
        assert row.ef_mae_points == pytest.approx(0, abs=0.5)
        assert len(row.efs) == row.ef_patients == 3


def test_a_model_that_finds_nothing_loses_everything(judged: Robustness) -> None:
    row = next(row for row in judged.conditions if row.corruption.name == "noise_20")
    assert row.dice["lv_cavity"] == 0 and row.failed_share == 1
    assert row.drop["lv_cavity"].points == 100 and row.drop["lv_cavity"].interval == (100, 100)
    assert row.efs == () and row.ef_patients == 3
    assert row.ef_mae_points is None and row.ef_bias_points is None


def test_every_condition_has_an_example(judged: Robustness) -> None:
    assert judged.example_image == "p3_2CH_ED"
    assert [example.corruption for example in judged.examples] == [
        row.corruption for row in judged.conditions
    ]
    for each in judged.examples:
        assert each.clip.shape == each.predicted.shape == each.reference.shape
        assert len(each.reference) == 1 and each.reference.any()


def test_patients_count_once_however_many_images_they_have() -> None:
    tried = change.corruptions(views_of_recipe("camus"))
    plain, worse = Tally(tried[0]), Tally(tried[1])
    drops = {("a", "1"): 0.1, ("a", "2"): 0.3, ("b", "1"): 0.0, ("c", "1"): 0.1}
    for key, drop in drops.items():
        plain.dices["lv_cavity"][key] = 0.9
        worse.dices["lv_cavity"][key] = 0.9 - drop
    row = worse.condition(plain, seed=0)
    assert row.dice["lv_cavity"] == pytest.approx(0.9 - 0.125)
    assert row.drop["lv_cavity"].points == pytest.approx(10)  # of 20, 0 and 10
    assert row.drop["lv_cavity"].interval == pytest.approx((0, 20), abs=4)
    assert row.failed_share == pytest.approx(0.25)  # 0.6 alone; 0.8 is not below


def test_the_files(judged: Robustness, tmp_path: Path) -> None:
    write_robustness(judged, tmp_path)
    with (tmp_path / "robustness.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = {row["corruption"]: row for row in reader}
    assert tuple(reader.fieldnames or ()) == columns(judged.structures)
    assert list(rows) == [corruption.name for corruption in change.corruptions(views_of_recipe("camus"))]
    assert rows["none"]["dice_lv_cavity"] == "1.0" and rows["none"]["ef_patients"] == "3"
    lost = rows["noise_20"]
    assert (lost["drop_lv_cavity_points"], lost["drop_lv_cavity_points_low"]) == ("100.0", "100.0")
    assert (lost["lv_failed_share"], lost["ef_mae_points"], lost["ef_patients"]) == ("1.0", "", "0")
    assert lost["ef_reference_patients"] == "3"
    page = (tmp_path / "robustness.md").read_text(encoding="utf-8")
    lines = table(judged)
    assert "\n".join(lines) in page and "split TEST, VAL" in page
    assert len({len(line) for line in lines}) == 1 and "-0.0" not in page
    picture = imread(io.BytesIO((tmp_path / "robustness.png").read_bytes()))
    assert picture.shape[1] == 1500
    yellow = np.abs(picture[..., :3] - np.array([0xFF, 0xD2, 0x3F]) / 255).max(axis=-1) < 0.1
    assert yellow[picture.shape[0] * 2 // 3 :].sum() > 50  # contours in the examples


def test_cines_are_judged_at_their_labelled_frames(tmp_path: Path) -> None:
    folder = write_cines(tmp_path, spacing=SPACING)
    outcome = measure_robustness(folder, ByHeart().learn(folder))
    plain = outcome.conditions[0]
    assert outcome.structures == ("lv_cavity",) and plain.dice["lv_cavity"] == 1
    assert plain.ef_mae_points == 0 and len(plain.efs) == 3
    assert outcome.selection == "all patients" and outcome.splits == ()


def test_short_axis_stacks(tmp_path: Path) -> None:
    folder = write_stacks(tmp_path, dataset="acdc", wall_at_es=True)
    model = ByHeart(ACDC_LABELS, frozenset({View.SAX})).learn(folder)
    outcome = measure_robustness(folder, model)
    plain, turned = outcome.conditions[0], outcome.conditions[-1]
    assert plain.dice == {"myocardium": 1.0, "lv_cavity": 1.0, "epicardium": 1.0}
    assert plain.ef_mae_points == 0 and len(plain.efs) == 4
    assert turned.corruption.name == "turn_90" and turned.dice["lv_cavity"] == 0


def test_seed_and_limit(studies: Path, weights: Path) -> None:
    predictor = Predictor.load("tiny", weights)

    def dices(seed: int) -> list[Mapping[str, float]]:
        outcome = measure_robustness(studies, predictor, limit=1, seed=seed)
        assert (outcome.conditions[0].patients, outcome.example_image) == (1, "p3_2CH_ED")
        return [row.dice for row in outcome.conditions]

    first, other = dices(0), dices(1)
    assert dices(0) == first
    assert other != first and other[0] == first[0]  # without corruption nothing is drawn


def test_the_command_reports_its_results(studies: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("p1, p9")
    arguments = ("--model", "tiny", "--weights", weights, "--patients", tmp_path / "list.txt")
    done = run(studies, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "| upside_down" in done.stdout and "tiny 0: 4 images of 1 patients" in done.stdout
    assert "Patients of TRAIN are among them" in done.stdout
    assert "p9: no image of this patient" in done.stderr
    again = run(studies, *arguments, "--out", tmp_path / "again", "--quiet")
    assert again.exit_code == 0 and again.output == ""
    first, other = (tmp_path / name / "robustness.csv" for name in ("out", "again"))
    assert first.read_text() == other.read_text()


def test_what_is_refused(studies: Path, weights: Path, tmp_path: Path) -> None:
    common = ("--model", "tiny", "--weights", weights, "--out", tmp_path / "out")
    refused(run(tmp_path / "nowhere", *common), "nowhere", "labels/final")
    refused(run(studies, *common, "--split", "TRIAL"), "no image is of split 'TRIAL'", "TRAIN, VAL")
    (tmp_path / "list.txt").write_text("p7 p8")
    refused(run(studies, *common, "--patients", tmp_path / "list.txt"), "none of its 2 patients")
    refused(run(studies, *common, "--patients", tmp_path / "list.txt", "--split", "VAL"), "give one of")
    refused(run(studies, "--weights", tmp_path, "--out", tmp_path / "out"), "camus")
    stacks = write_stacks(tmp_path / "stacks", dataset="acdc", wall_at_es=True)
    refused(run(stacks, *common), "tiny is for A2C, A4C", "all patients")
    assert not (tmp_path / "out").exists()


def test_patients_of_training_alone_are_refused_unless_chosen(tmp_path: Path) -> None:
    folder = write_echo(tmp_path, patients=2)
    model = ByHeart().learn(folder)
    with pytest.raises(DatasetError, match="all patients are of split TRAIN, none is held back"):
        measure_robustness(folder, model)
    outcome = measure_robustness(folder, model, splits=["TRAIN"], limit=1)
    assert outcome.splits == ("TRAIN",) and outcome.conditions[0].drop["lv_cavity"].interval is None


def test_images_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    folder = write_echo(tmp_path)
    model = ByHeart().learn(folder)
    (folder / "labels" / "final" / "p5_4CH_ES.nii.gz").write_bytes(b"nothing")
    outcome = measure_robustness(folder, model, splits=["TEST"])
    ((image_id, _),) = outcome.problems
    assert image_id == "p5_4CH_ES" and outcome.conditions[0].images == 3
    write_robustness(outcome, tmp_path / "out")
    assert "p5_4CH_ES" in (tmp_path / "out" / "robustness.md").read_text(encoding="utf-8")
    for record in manifest.read(folder):
        (folder / "labels" / "final" / record.path.name).write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no image can be compared"):
        measure_robustness(folder, model, splits=["TEST"])
