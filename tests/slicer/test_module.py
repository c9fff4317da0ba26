"""The module CardioLabel of 3D Slicer, on its core: corrected frames, EF, conflicts, shapes, the panel."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cardiolabel.io import nifti

from ..app.conftest import APP, ROOT, Server, running, start_server_command
from .test_extension import PYTHON, make_studies
from .test_extension import pytestmark as needs

pytestmark = needs[:1] + needs[2:]

MODULE = ROOT / "apps" / "slicer" / "CardioLabel"
HERE = Path(__file__).parent
WALK_S = 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("module"))
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def walked(server: Server, script: str, target: Path) -> None:
    done = subprocess.run(
        [PYTHON, HERE / script, MODULE, server.url, target],
        capture_output=True,
        text=True,
        timeout=WALK_S,
        env={"HOME": str(target.parent), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def panel(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("panel")
    walked(server, "panel_walk.py", out)
    return dict(json.loads((out / "panel.json").read_text()))


@pytest.fixture(scope="module")
def walk(server: Server, panel: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("walk")
    walked(server, "module_walk.py", out)
    return dict(json.loads((out / "module.json").read_text()))


def test_the_worklist_and_the_next_image_are_the_servers(walk: dict[str, Any]) -> None:
    assert {row["patient"] for row in walk["worklist"]} == {"s", "phantom01", "phantom02"}
    assert walk["next"]["id"] and walk["next"]["why"]


def test_without_a_connection_there_is_a_sentence(walk: dict[str, Any]) -> None:
    assert walk["unconnected"] == "Connect to a server first."
    assert "cannot be reached" in walk["unreachable"]


def test_a_cine_is_a_sequence_at_its_rate(walk: dict[str, Any]) -> None:
    cines = walk["cines"]
    assert cines["images"] == ["A4C cine", "A2C cine"] and cines["same"]
    assert cines["times"] == [f"{k / cines['rate_hz']:.4f}" for k in range(3)]
    assert cines["segments"]["lv_cavity"][0] == "LV cavity"
    assert "87878005" in cines["segments"]["lv_cavity"][1]


def test_one_frame_is_corrected_and_the_ef_follows(walk: dict[str, Any], server: Server) -> None:
    cines = walk["cines"]
    assert cines["noticed"] == [True, False]
    assert cines["changed"] == cines["still_changed"] == [cines["frame"]]
    before, unsaved, saved = cines["ef"]
    assert unsaved != before and saved == unsaved
    assert cines["kept"] and cines["author"]["author"] == "reader"
    answer = server.get(f"/cardiac/labels/{cines['image']}/versions/{cines['version']}")
    file = server.studies.parent / "version.nii.gz"
    file.write_bytes(answer.content)
    stored = nifti.read_mask(file)
    assert [int((stored == value).sum()) for value in (1, 2, 3)] == cines["drawn"]


def test_numbers_are_explained_by_lines_and_a_curve(walk: dict[str, Any]) -> None:
    cines = walk["cines"]
    assert cines["lines"] == 22  # annulus, long axis, 20 discs
    assert cines["curve"] == ["A4C cine", "A4C cine: ED and ES", "A2C cine", "A2C cine: ED and ES"]


def test_predicting_and_giving_up(walk: dict[str, Any]) -> None:
    assert walk["cines"]["predicted"] and walk["cines"]["given_up"] == []


def test_shapes_between_corrected_frames_count_once_they_are_accepted(walk: dict[str, Any]) -> None:
    shapes = walk["shapes"]
    assert shapes["copied"] == 5 and shapes["after_copy"] == [5] and shapes["is_copy"]
    assert "correct two frames" in shapes["alone"]
    assert shapes["proposed"] == [3, 4, 5]
    assert shapes["unsaved_before"] == shapes["after_reject"] == [2, 6]
    assert shapes["unsaved"] == [2, 3, 4, 5, 6]
    first, *between, last = shapes["areas"]
    assert all(min(first, last) * 0.95 < area < max(first, last) * 1.05 for area in between)


def test_a_conflict_keeps_both_masks(walk: dict[str, Any]) -> None:
    conflict = walk["conflict"]
    assert "changed since you opened it" in conflict["message"]
    assert conflict["authors"][-2:] == ["other", "reader"]
    assert conflict["shown"] == conflict["mine"] == 1 and conflict["third"] > 0


def test_a_lost_connection_loses_no_work(walk: dict[str, Any]) -> None:
    lost = walk["lost"]
    assert "Your work stays in the scene" in lost["refused"] and lost["kept"] == [0]
    assert lost["version"] > walk["conflict"]["version"]


def test_a_stack_is_a_volume_of_its_slices(walk: dict[str, Any]) -> None:
    stacks = walk["stacks"]
    assert stacks["images"] == ["SAX ED"] and stacks["changed"] == [stacks["middle"]]
    assert stacks["spacing"][2] > 5


def test_a_volume_of_the_scene_is_predicted_in_a_session(walk: dict[str, Any]) -> None:
    session = walk["session"]
    assert abs(session["pixels"] - session["stored"]) < 0.05 * session["stored"]
    assert session["area_mm2"] > 500


def test_a_training_ends_with_a_reason(walk: dict[str, Any]) -> None:
    training = walk["training"]
    assert "no model 'nothing'" in training["refused"]
    assert training["state"][0]["state"] in ("refused", "failed") and training["state"][0]["reason"]


def test_nothing_is_left_in_the_scene(walk: dict[str, Any]) -> None:
    assert walk["left"] == []


def test_the_panel_shows_the_ef_while_a_mask_is_drawn(panel: dict[str, Any]) -> None:
    assert panel["disabled"] == ["nextButton", "submitButton", "trainButton"]
    ((kind, sentence),) = panel["unreachable"]
    assert kind == "warning" and "cannot be reached" in sentence
    assert re.fullmatch(r"EF \d+ %", panel["opened"])
    assert panel["views"] == [["vtkMRMLSliceNodeRed"], ["vtkMRMLSliceNodeYellow"]]
    assert panel["noticed"] and "by unsaved work" in panel["painted"]
    assert panel["unsaved"] == "unsaved: A4C cine" and panel["lines"] == 22
    assert panel["said"] == "A4C cine: version 1 is current" and panel["why"]
    assert panel["dialogs"] == []


def test_the_panels_file_has_every_widget_that_is_used() -> None:
    code = (MODULE / "CardioLabel.py").read_text(encoding="utf-8")
    ui = ElementTree.parse(MODULE / "Resources" / "UI" / "CardioLabel.ui")  # noqa: S314  # our own file
    names = {widget.get("name") for widget in ui.iter("widget")}
    used = set(re.findall(r"self\.ui\.(\w+)", code)) | set(re.findall(r'\("(\w+Button)"', code))
    assert used <= names, used - names
    listed = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (MODULE / "CardioLabelLib").glob("*.py"):
        assert f"${{MODULE_NAME}}Lib/{path.name}" in listed
    with Image.open(MODULE / "Resources" / "Icons" / "CardioLabel.png") as icon:
        assert icon.size == (128, 128)


def test_both_views_are_drawn_side_by_side(server: Server, tmp_path: Path) -> None:
    walked(server, "module_picture.py", tmp_path / "picture.npy")
    picture = np.load(tmp_path / "picture.npy").astype(int)
    yellow = (picture[..., 0] - picture[..., 2] > 60) & (picture[..., 1] - picture[..., 2] > 30)
    assert yellow[:, :480].sum() > 5000 and yellow[:, 480:].sum() > 5000
