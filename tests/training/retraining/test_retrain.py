"""Corrections become a published model, or a reason; nothing that goes wrong touches the published one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from cardiolabel.domain import Phase, Record, Spacing, View
from cardiolabel.errors import BusyError, DatasetError, StaleModelError
from cardiolabel.io import nifti
from cardiolabel.models.versions import Versions
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, save_model
from cardiolabel.records import manifest
from cardiolabel.records.layout import HOME
from cardiolabel.training import training_recipe
from cardiolabel.training.retraining import retrain as module
from cardiolabel.training.retraining.retrain import retrain
from cardiolabel.training.retraining.settings import Settings
from cardiolabel.training.retraining.status import Status, read_status
from cardiolabel.training.training_recipe import TrainingRecipe

SIDE, PATIENTS = 64, 30
ARGUMENTS = {"out_channels": 4, "widths": [4, 8, 16]}
RECIPE = TrainingRecipe(
    name="camus",
    source="test",
    input="camus",
    network="unet",
    arguments={"widths": [4, 8, 16]},
    images=1,
    size_px=SIDE,
    batch=8,
    learning_rate=2e-2,
    augmentation="none",
)
QUICK = Settings(epochs=10, from_scratch=True)


def drawn(rng: np.random.Generator, phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a heart, wall bright and blood dark, and its mask."""
    rows, cols = np.mgrid[:80, :70]
    across = rng.uniform(9, 13) * (0.75 if phase is Phase.ES else 1)
    middle = 35 + rng.uniform(-4, 4)
    cavity = ((rows - 35) / 22) ** 2 + ((cols - middle) / across) ** 2 < 1
    cavity &= rows < 50
    wall = ((rows - 35) / 27) ** 2 + ((cols - middle) / (across + 5)) ** 2 < 1
    wall &= (rows < 50) & ~cavity
    atrium = (((rows - 58) / 9) ** 2 + ((cols - middle) / 10) ** 2 < 1) & (rows >= 50)
    mask = np.select([cavity, wall, atrium], [1, 2, 3], 0).astype(np.uint8)
    grey = np.choose(mask, [90, 20, 220, 45]) + rng.normal(0, 12, mask.shape)
    return grey.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies with final labels of every image."""
    folder = tmp_path_factory.mktemp("retrain") / "studies"
    rng, records = np.random.default_rng(0), []
    for number in range(PATIENTS):
        for view in (View.A4C, View.A2C):
            for phase in (Phase.ED, Phase.ES):
                image_id = f"p{number:02}_{view}_{phase}"
                pixels, mask = drawn(rng, phase)
                path = folder / f"{image_id}.nii.gz"
                spacing = Spacing(row_mm=1.5, col_mm=1.5)
                nifti.write_mask(pixels[np.newaxis], path, spacing=spacing)
                label = folder / "labels" / "final" / path.name
                nifti.write_mask(mask[np.newaxis], label, spacing=spacing)
                records.append(Record(image_id, f"p{number:02}", view, phase, "folder", path))
    manifest.write(records, folder)
    return folder


@pytest.fixture
def studies(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "studies"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An untrained model is the published one."""
    torch.manual_seed(0)
    card = ModelCard("camus", "1.0", "unet", ARGUMENTS, "camus", "nothing", "none", size_px=SIDE)
    (tmp_path / "model").mkdir()
    save_model(build("unet", ARGUMENTS), card, folder=tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_recipe, "read", lambda name: replace(RECIPE, name=name))


def go(studies: Path, weights: Path, settings: Settings = QUICK, **options: object) -> Status:
    return retrain("camus", studies, weights, settings=settings, **options)  # type: ignore[arg-type]


def _judged(studies: Path) -> set[str]:
    return set(json.loads((studies / HOME / "validation.json").read_text())["validation"])


def test_better_is_published_and_worse_is_refused(studies: Path, weights: Path) -> None:
    text: list[str] = []
    result = go(studies, weights, on_progress=lambda status: text.append(status.state))
    assert result.state == "published", result
    assert list(dict.fromkeys(text)) == ["reading", "training", "judging", "calibrating", "published"]
    assert (result.version, result.validation_patients, result.training_patients) == (1, 6, 24)
    assert result.verdict is not None and result.verdict["dice"]["candidate"] > 0.5
    assert result.epoch == 10 and result.curve and result.eta_s is None
    assert read_status("camus", weights) == result
    (new, old) = Versions(weights).listed("camus")
    assert new.served and new.card and new.card.version.startswith("1.0+") and old.number == 0
    assert (
        new.note["instead_of"] == 0
        and new.note["training_patients"] == 24
        and len(new.note["data"]) == 16
        and new.note["curve"]
    )
    frozen = (studies / HOME / "validation.json").read_bytes()

    # Again, from the published one: judged by the same patients.
    again = go(studies, weights, Settings(epochs=2, learning_rate=1e-3))
    assert (
        again.verdict is not None
        and again.verdict["dice"]["published"] == result.verdict["dice"]["candidate"]
    )
    assert (studies / HOME / "validation.json").read_bytes() == frozen

    # Labels of training patients that mean something else ruin what is learned; that is not published.
    served = Versions(weights).served("camus")
    judged = _judged(studies)
    for path in (studies / "labels" / "final").glob("*.nii.gz"):
        if path.name[:3] not in judged:
            masks = nifti.read_mask(path)
            nifti.write_mask(np.where(masks == 1, 2, np.where(masks == 2, 1, masks)), path, spacing=None)
    bad = go(studies, weights, Settings(epochs=8, learning_rate=1e-2))
    assert bad.state == "refused" and "Dice falls" in bad.reason and bad.version is None
    assert Versions(weights).served("camus") == served
    assert (studies / HOME / "validation.json").read_bytes() == frozen


def test_what_the_published_model_learned_from_is_rehearsed(
    studies: Path, weights: Path, tmp_path: Path
) -> None:
    """Half of each batch, without patients that are held back or that the studies have themselves."""
    base = Path(shutil.copytree(studies, tmp_path / "base"))
    held = {"p00", "p01"}
    manifest.write(
        (replace(each, split="TEST" if each.patient in held else None) for each in manifest.scan(base)), base
    )
    for path in (studies / "labels" / "final").glob("p2*"):
        path.unlink()
    quick = Settings(epochs=2)
    result = go(studies, weights, quick, base=base)
    assert result.training_patients == 16 and result.total == 2 * 2 * 56  # images, half of them rehearsed
    out = next((weights / "retraining" / "camus").glob("*/camus.json"))
    assert "14 patients, 56 frames; rehearsed: 40 frames" in out.read_text()
    run = json.loads((weights / "retraining" / "camus" / "status.json").read_text())
    assert run["state"] in ("published", "refused")
    for path in (base / "labels" / "final").glob("p2*"):
        path.unlink()
    with pytest.raises(DatasetError, match="no final label of a patient in training to rehearse"):
        go(studies, weights, quick, base=base)


def test_stills_single_frame_files_and_sparse_cines_are_learned_from_together(
    studies: Path, weights: Path
) -> None:
    """Files of (W, H), of (W, H, 1), and cines of (W, H, T) with labels in two of five frames."""
    records = list(manifest.scan(studies))
    labels = studies / "labels" / "final"
    for record in [record for record in records if (record.view, record.phase) == (View.A4C, Phase.ED)]:
        for path in (record.path, labels / record.path.name):
            flat = nibabel.load(path)
            nibabel.save(nibabel.Nifti1Image(np.asarray(flat.dataobj)[..., np.newaxis], flat.affine), path)
        name = f"{record.patient}_cine"
        frames, masks = (
            np.repeat(read(path), 5, axis=0)
            for read, path in (
                (lambda path: nifti.read(path).clip.pixels, record.path),
                (nifti.read_mask, labels / record.path.name),
            )
        )
        masks[[0, 2, 4]] = 0
        spacing = Spacing(row_mm=1.5, col_mm=1.5)
        nifti.write_mask(frames, studies / f"{name}.nii.gz", spacing=spacing)
        nifti.write_mask(masks, labels / f"{name}.nii.gz", spacing=spacing)
        path = studies / f"{name}.nii.gz"
        records.append(Record(name, record.patient, View.A4C, Phase.CINE, "folder", path))
    manifest.write(records, studies)
    result = go(studies, weights)
    assert result.state == "published" and not result.skipped
    (card,) = [json.loads(path.read_text()) for path in (weights / "versions/camus/1").glob("camus.json")]
    patients, frames = re.findall(r"(\d+) patients, (\d+) frames", card["trained_on"])[0]
    assert int(frames) == (4 + 2) * int(patients)


def test_labels_of_the_cavity_alone_do_not_cost_the_rest(studies: Path, weights: Path) -> None:
    """As models of the cavity offer them: myocardium and atrium stay what they were."""
    first = go(studies, weights, replace(QUICK, epochs=20))
    assert first.state == "published" and first.verdict is not None
    judged = _judged(studies)
    for path in (studies / "labels" / "final").glob("*.nii.gz"):
        if path.name[:3] not in judged:
            nifti.write_mask((nifti.read_mask(path) == 1).astype(np.uint8), path, spacing=None)
    with pytest.raises(DatasetError, match="no image has a usable mask"):
        go(studies, weights)  # from scratch nothing tells where the myocardium is
    result = go(studies, weights, Settings(epochs=6, learning_rate=2e-3))
    assert not result.skipped and result.total and result.verdict is not None
    assert result.verdict["dice"]["difference"] > -0.02, result.verdict


def test_too_few_patients_publish_nothing(studies: Path, weights: Path) -> None:
    for path in (studies / "labels" / "final").glob("p[12]*"):
        path.unlink()
    result = go(studies, weights, Settings(epochs=1))
    assert result.state == "refused" and "2 validation patients are too few" in result.reason
    for path in (studies / "labels" / "final").glob("*"):
        path.unlink()
    with pytest.raises(DatasetError, match="correct and submit some first"):
        go(studies, weights)
    status = read_status("camus", weights)
    assert status is not None and status.state == "failed" and "submit some first" in status.reason
    assert Versions(weights).served("camus") == 0


def test_damaged_and_vanishing_labels_cost_themselves(studies: Path, weights: Path) -> None:
    labels = studies / "labels" / "final"
    ids = sorted(path.name[:-7] for path in labels.glob("*.nii.gz"))
    (labels / f"{ids[0]}.nii.gz").write_bytes(b"torn")
    (labels / f"{ids[7]}.nii.gz").write_bytes(b"torn")

    def vanish(status: Status) -> None:
        if status.state == "training":
            (labels / f"{ids[-1]}.nii.gz").unlink(missing_ok=True)

    result = go(studies, weights, on_progress=vanish)
    assert result.state == "published"
    assert {name for name, _ in result.skipped} <= {ids[0], ids[7]} and not (
        labels / f"{ids[-1]}.nii.gz"
    ).exists()


def killed(studies: str, weights: str, state: str) -> None:
    """Run in a process of its own, which is killed in a state of the run."""
    module._EVERY_S = 0
    training_recipe.read = lambda name: replace(RECIPE, name=name)  # type: ignore[assignment]

    def die(status: Status) -> None:
        if status.state == state and status.done > 30:
            os.kill(os.getpid(), signal.SIGKILL)

    go(Path(studies), Path(weights), on_progress=die)


KILLED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("test_retrain", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["test_retrain"] = module
spec.loader.exec_module(module)
module.killed(*sys.argv[2:])
"""


@pytest.mark.long
@pytest.mark.parametrize("state", ["reading", "training", "judging"])
def test_a_killed_run_leaves_the_published_model(studies: Path, weights: Path, state: str) -> None:
    command = [sys.executable, "-c", KILLED, __file__, str(studies), str(weights), state]
    ended = subprocess.run(command, timeout=300, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    assert Versions(weights).served("camus") == 0
    status = read_status("camus", weights)
    assert status is not None and (status.state, status.reason) == (
        "failed",
        "it was stopped; start it again to go on",
    )
    assert go(studies, weights).state == "published"


def test_a_full_disk_publishes_nothing(studies: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space"):
            go(studies, weights)
    status = read_status("camus", weights)
    assert status is not None and status.state == "failed" and "No space" in status.reason
    assert Versions(weights).served("camus") == 0
    assert go(studies, weights).state == "published"


def test_one_at_a_time(studies: Path, weights: Path) -> None:
    refused = []

    def second(status: Status) -> None:
        if not refused:
            running = read_status("camus", weights)
            assert running is not None and running.state == "reading"
            with pytest.raises(BusyError, match="camus is being retrained already"):
                go(studies, weights)
            refused.append(status)

    assert go(studies, weights, on_progress=second).state == "published" and refused


def test_another_version_published_meanwhile_stays(studies: Path, weights: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(weights, tmp_path / "other"))

    def publish(status: Status) -> None:
        if status.state == "judging" and not Versions(weights).served("camus"):
            Versions(weights).publish("camus", other, note={"why": "uploaded"})

    with pytest.raises(StaleModelError, match="version 1 is served by now, not 0"):
        go(studies, weights, on_progress=publish)
    assert Versions(weights).served("camus") == 1
    status = read_status("camus", weights)
    assert status is not None and status.state == "failed" and "compare it again" in status.reason


def test_what_cannot_be_retrained(studies: Path, weights: Path) -> None:
    with pytest.raises(DatasetError, match="'echonet' is not retrained by itself; expected one of camus"):
        retrain("echonet", studies, weights)
    with pytest.raises(DatasetError, match="1 to 1000 epochs"):
        Settings(epochs=0)
    assert read_status("nobody", weights) is None
