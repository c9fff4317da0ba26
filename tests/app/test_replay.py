"""Annotation of labelled patients played again through a real server and client."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Phase
from cardiolabel.errors import DatasetError
from cardiolabel.experiments.replay import replay as module
from cardiolabel.experiments.replay.files import COLUMNS, gap_closed, write_replay
from cardiolabel.experiments.replay.plan import draw_plan
from cardiolabel.experiments.replay.replay import Quality, Round, Settings, replay
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.versions import Versions
from cardiolabel.records import manifest

from .conftest import APP

# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

REPORTED = ("phantom01", "phantom02")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stills of phantoms with final labels, of which two are held back."""
    made, folder = (tmp_path_factory.mktemp("replay") / name for name in ("sample", "studies"))
    write_sample(made, patients=12, seed=2)
    (folder / "labels" / "final").mkdir(parents=True)
    stored = []
    for record in manifest.scan(made):
        if record.phase in (Phase.ED, Phase.ES):
            shutil.copy(record.path, folder)
            shutil.copy(made / "truth" / record.path.name, folder / "labels" / "final")
            split = "VAL" if record.patient in REPORTED else "TRAIN"
            stored.append(replace(record, path=folder / record.path.name, split=split))
    manifest.write(stored, folder)
    return folder


@pytest.mark.long
def test_rounds_are_annotated_trained_and_reported(studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    requested = Settings(rounds=(2, 4), images=12, scratch_images=12, scratch_rounds=(4,), judges=5)
    result = replay("camus", studies, out=out, app=APP, settings=requested)
    assert [(each.patients, each.images) for each in result] == [(2, 8), (4, 8)]
    first, second = result
    assert first.offered_by == "0.0.0" and first.offered_lv_dice is not None and first.offered_lv_dice < 0.5
    assert (first.epochs, second.epochs) == (2, 1)
    assert all(each.training_s and each.served and each.served.patients == 2 for each in result)
    assert second.scratch and second.scratch.patients == 2 and not first.scratch
    versions = Versions(ModelFolders.of_studies(out / "studies", out / "app" / "model"))
    assert versions.served("camus") == max(each.version or 0 for each in result)
    assert all(bool(each.version) is ("->" in each.reason) for each in result)

    # Nobody is on two sides, and only what the client submitted was learned from.
    plan = json.loads((out / "plan.json").read_text())
    rounds = [patient for part in plan["rounds"] for patient in part]
    assert len({*rounds, *plan["judges"], *plan["reported"]}) == 4 + 5 + 2
    stored = json.loads((out / "studies" / ".cardiolabel" / "validation.json").read_text())
    assert stored == {"validation": plan["judges"], "training": sorted(rounds)}
    assert not list((out / "studies").glob("phantom0[12]_*"))

    # Again: nothing is left to do, and other settings are another replay.
    assert replay("camus", studies, out=out, app=APP, settings=requested) == result
    with pytest.raises(DatasetError, match="started with other settings"):
        replay("camus", studies, out=out, app=APP, settings=replace(requested, images=24))


@pytest.mark.long
def test_a_round_that_was_interrupted_goes_on(studies: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if done == 3:
            raise StoppedError

    requested = Settings(rounds=(2,), images=12, judges=5)
    with pytest.raises(StoppedError):
        replay("camus", studies, out=tmp_path, app=APP, settings=requested, on_progress=stop)
    assert len(list((tmp_path / "studies" / "labels" / "final").glob("*"))) == 4 * 5 + 3
    (result,) = replay("camus", studies, out=tmp_path, app=APP, settings=requested)
    assert result.images == 5 and result.served


def test_patients_take_one_part_each(studies: Path) -> None:
    records = manifest.scan(studies)
    settings: dict[str, object] = {}
    plan = draw_plan(records, (2, 4), judges=5, seed=0, settings=settings)
    assert [len(part) for part in (*plan.rounds, plan.judges, plan.reported)] == [2, 2, 5, 2]
    assert plan.rounds != draw_plan(records, (2, 4), judges=5, seed=1, settings=settings).rounds
    for rounds, text in (((4, 2), "growing numbers"), ((), "growing"), ((2, 5), "10 patients are needed")):
        with pytest.raises(DatasetError, match=text):
            draw_plan(records, rounds, judges=5, seed=0, settings=settings)
    free = [replace(record, split=None) for record in records]
    with pytest.raises(DatasetError, match="no patient to report on"):
        draw_plan(free, (2, 4), judges=5, seed=0, settings=settings)


def test_a_replay_is_written(tmp_path: Path) -> None:
    def quality(dice: float) -> Quality:
        return Quality(dice, dice, 10 * (1 - dice), 50, 48)

    before = Round(20, 80, 60.0, 0.1, "0.0.0", 40, 300.0, 1, "Dice 0.1 -> 0.8", quality(0.8))
    after = replace(before, patients=40, served=quality(0.86), scratch=quality(0.88), scratch_s=600.0)
    assert gap_closed(after, before) == pytest.approx(0.75)
    assert gap_closed(replace(after, scratch=quality(0.79)), before) is None
    assert gap_closed(before, None) is None
    write_replay([before, after, Round(80)], tmp_path, about="camus on phantoms | test")
    with (tmp_path / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS) and [row["gap_closed"] for row in rows] == ["", "0.75", ""]
    assert rows[1]["scratch_min"] == "10.0" and rows[2]["dice"] == ""
    assert "| 40 | 80 |" in (tmp_path / "rounds.md").read_text()
    assert (tmp_path / "rounds.png").read_bytes().startswith(b"\x89PNG")
    assert module.Settings().rounds[-1] == 320
