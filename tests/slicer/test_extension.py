"""MONAI Label extension of 3D Slicer, unchanged, on its core: opening, predicting, editing, training."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import monailabel
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, LabelSet
from cardiolabel.io import nifti
from cardiolabel.records import manifest

from ..app.conftest import APP, ROOT, WEIGHTS, Server, running, start_server_command
from ..short_axis import write_stacks

PYTHON = ROOT / ".venv" / "slicer" / "bin" / "python"
PLUGIN = Path(monailabel.__file__).parents[4] / "monailabel" / "plugins" / "slicer" / "MONAILabel"
STACK, STILL, OTHER_VIEW = "s_SAX_ED", "phantom01_4CH_ED", "phantom01_2CH_ED"
CINE, MIRRORED = "phantom02_4CH_cine", "phantom02_2CH_cine"
IMAGES = (STACK, STILL, OTHER_VIEW, CINE, MIRRORED)
PREDICTED = (STACK, STILL, CINE, MIRRORED)
"""Images whose prediction is stored before anybody opens them."""

WALK_S = 600

pytestmark = [
    pytest.mark.skipif(
        not PYTHON.exists(),
        reason="needs .venv/slicer with slicer-core, which scripts/test makes where it can be installed",
    ),
    pytest.mark.skipif(not (PLUGIN / "MONAILabel.py").exists(), reason="monailabel came without its plugins"),
    pytest.mark.skipif(
        not all(WEIGHTS.with_name(f"{name}.safetensors").exists() for name in ("camus", "sunnybrook")),
        reason="needs the shipped weights of camus and sunnybrook",
    ),
]


class Walk:
    """What an annotator saw, and the server's own answers."""

    def __init__(self, report: dict[str, Any], results: dict[str, Any], studies: Path, out: Path) -> None:
        self.report, self.results, self.studies, self.out = report, results, studies, out

    def shown(self, mode: str) -> dict[str, dict[str, Any]]:
        return {each["id"]: each for each in self.report[mode]}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """All of it once: first as from another machine, then from the server's own."""
    home = tmp_path_factory.mktemp("slicer")
    out = home / "out"
    out.mkdir()
    app = Path(shutil.copytree(APP, home / "app", ignore=shutil.ignore_patterns("logs", "__pycache__")))
    studies = make_studies(home)
    with running(start_server_command(app, studies), studies) as server:
        results = {image_id: prediction(server, image_id, save=image_id in PREDICTED) for image_id in IMAGES}
        walked = subprocess.run(
            [PYTHON, Path(__file__).with_name("walkthrough.py"), PLUGIN, server.url, out, str(len(IMAGES))],
            capture_output=True,
            text=True,
            timeout=WALK_S,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )
    assert walked.returncode == 0, walked.stderr[-3000:]
    yield Walk(json.loads((out / "report.json").read_text()), results, studies, out)


def make_studies(home: Path) -> Path:
    """A stack, two stills whose names differ in numbers only, and two cines, one of them left-handed."""
    write_sample(home / "sample", patients=2, seed=1)
    studies = home / "studies"
    stacks = manifest.read(write_stacks(studies))
    echo = [each for each in manifest.read(home / "sample") if each.image_id in IMAGES]
    for record in echo:
        shutil.copy(record.path, studies)
    mirrored = nib.load(studies / f"{MIRRORED}.nii.gz")
    affine = mirrored.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    nib.save(nib.Nifti1Image(np.asarray(mirrored.dataobj)[..., :6], affine), studies / f"{MIRRORED}.nii.gz")
    records = [*stacks, *(replace(each, path=studies / each.path.name) for each in echo)]
    for record in records:
        if record.image_id not in IMAGES:
            record.path.unlink()
    manifest.write([record for record in records if record.image_id in IMAGES], studies)
    return studies


def prediction(server: Server, image_id: str, *, save: bool) -> dict[str, Any]:
    """What the server measures on its own mask, asked as the extension does: for the first model."""
    answer = server.post(
        f"/infer/camus?image={image_id}&output=json", data={"params": json.dumps({"save_label": save})}
    )
    assert answer.ok, answer.text
    return dict(answer.json())


def labels_of(image_id: str) -> LabelSet:
    return ACDC_LABELS if image_id == STACK else CAMUS_LABELS


@pytest.mark.parametrize("mode", ["remote", "local"])
def test_every_image_opens_by_itself(walk: Walk, mode: str) -> None:
    shown = walk.shown(mode)
    assert sorted(shown) == sorted(IMAGES)
    for image_id, each in shown.items():
        assert each["dialogs"] == [], each["dialogs"]
        assert each["volume"] == image_id
        image = nifti.read(walk.studies / f"{image_id}.nii.gz")
        assert each["size"] == list(image.clip.shape[::-1])
        assert each["mean"] == pytest.approx(image.clip.pixels.mean())
        assert each["spacing"][:2] == pytest.approx([image.grid.spacing.col_mm, image.grid.spacing.row_mm])
    assert len({each["name"] for each in shown.values()}) == len(IMAGES)


@pytest.mark.parametrize("mode", ["remote", "local"])
def test_the_cavity_has_the_area_that_the_server_measures_whatever_model_was_asked_for(
    walk: Walk, mode: str
) -> None:
    """Remote: the stored prediction. Local: a prediction by the extension's first model, which is camus."""
    for image_id in PREDICTED if mode == "remote" else IMAGES:
        each = walk.shown(mode)[image_id]
        area_mm2 = each["voxels"]["lv_cavity"] * each["spacing"][0] * each["spacing"][1]
        expected_mm2 = sum(frame["lv_area_mm2"] or 0 for frame in walk.results[image_id]["frames"])
        assert area_mm2 == pytest.approx(expected_mm2, rel=1e-3), image_id
        assert area_mm2 > 100
    assert walk.results[STACK]["model"]["name"] == "sunnybrook"


def test_every_structure_of_a_stored_prediction_has_its_own_name(walk: Walk) -> None:
    for image_id in PREDICTED:
        stored = nifti.read_mask(walk.studies / "labels" / "original" / f"{image_id}.nii.gz")
        expected = {name: int((stored == value).sum()) for name, value in labels_of(image_id).values}
        shown = walk.shown("remote")[image_id]["voxels"]
        assert {name: shown[name] for name in expected} == expected
        assert not any(count for name, count in shown.items() if name not in expected)
    assert not any(walk.shown("remote")[OTHER_VIEW]["voxels"].values())


def test_a_structure_has_one_colour_in_all_images(walk: Walk) -> None:
    colors: dict[str, set[tuple[float, ...]]] = {}
    for each in (*walk.report["remote"], *walk.report["local"]):
        for name, color in each["colors"].items():
            colors.setdefault(name, set()).add(tuple(color))
    assert all(len(of_name) == 1 for of_name in colors.values()), colors
    assert len(set.union(*colors.values())) == len(colors) == 4


def test_an_edit_is_undone_and_redone(walk: Walk) -> None:
    for each in walk.report["local"]:
        before, edited, undone, redone = each["edited"]
        assert (edited, undone, redone) == (before - each["removed"], before, before - each["removed"])
        assert each["removed"] > 0


def test_what_was_drawn_is_what_is_stored(walk: Walk) -> None:
    assert walk.report["left"]["completed"] == len(IMAGES)
    for image_id in IMAGES:
        assert [kind for kind, _ in walk.shown("local")[image_id]["after_saving"]] == ["info"]
        drawn = np.load(walk.out / f"{image_id}.npz")
        expected = sum(
            value * drawn[name].astype(int) for name, value in labels_of(image_id).values if name in drawn
        )
        affine = nifti.read(walk.studies / f"{image_id}.nii.gz").grid.affine
        same_way = np.sign((affine[:3, :3] * drawn["matrix"][:3, :3]).sum(axis=0)).astype(int)
        flips = tuple(slice(None, None, way) for way in same_way[::-1])
        stored = nifti.read_mask(walk.studies / "labels" / "final" / f"{image_id}.nii.gz")
        np.testing.assert_array_equal(stored, expected[flips], err_msg=image_id)
        if image_id == MIRRORED:
            assert same_way[2] == -1  # Slicer turns the order of the frames of a left-handed file


def test_smoothing_in_three_dimensions_leaves_the_frames_of_a_cine_alone(walk: Walk) -> None:
    for image_id in (CINE, MIRRORED):
        each = walk.shown("local")[image_id]
        assert each["spacing"][2] >= 10
        assert each["smoothed_across"] == 0


@pytest.mark.parametrize("image_id", [STILL, STACK])
def test_a_slice_view_shows_the_segments_on_the_image(walk: Walk, tmp_path: Path, image_id: str) -> None:
    picture = tmp_path / "view.png"
    mask = walk.studies / "labels" / "final" / f"{image_id}.nii.gz"
    image, names = walk.shown("local")[image_id]["path"], ",".join(labels_of(image_id).as_dict())
    drawn = subprocess.run(
        [PYTHON, Path(__file__).with_name("views.py"), image, mask, names, "0", picture],
        capture_output=True,
        timeout=WALK_S,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    if drawn.returncode < 0:
        pytest.skip("VTK cannot draw off screen on this machine")
    assert drawn.returncode == 0, drawn.stderr[-3000:]
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    colored = np.ptp(pixels, axis=2) > 20
    grid = nifti.read(mask).grid
    _, rows, columns = grid.frames_shape
    widest_mm = max(columns * grid.spacing.col_mm, rows * grid.spacing.row_mm)
    per_mm2 = (len(pixels) / widest_mm) ** 2  # the whole slice fits into the view
    area_mm2 = np.count_nonzero(nifti.read_mask(mask)[0]) * grid.spacing.pixel_area_mm2
    assert colored.sum() == pytest.approx(area_mm2 * per_mm2, rel=0.2)
    assert len(np.unique(pixels.max(axis=2))) > 20  # and the image beneath


def test_training_progress_is_shown(walk: Walk) -> None:
    training = walk.report["training"]
    assert training["dialogs"] == []
    values, tips = zip(*training["progress"], strict=True)
    assert all(0 <= value < 100 for value in values), values
    assert all(tip.endswith("/200 epoch is completed") for tip in tips), tips
    assert training["stopped"][0][1] == "Training: STOPPED"
    assert training["ended"][0][1] == "Training: REFUSED"
