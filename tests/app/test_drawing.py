"""Images as the page opens and corrects them: frames, outlines, measuring unsaved contours, saving."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from cardiolabel.domain import CAMUS_LABELS
from cardiolabel.io import nifti
from cardiolabel.measurements.outlines import trace_outlines
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout

from .conftest import APP, Server, make_studies, needs_weights, running, start_server_command, true_masks

STILL, CINE = "phantom01_4CH_ED", "phantom02_4CH_cine"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("drawing") / "studies")
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def outlines_of(server: Server, image: str, frame: int = 0) -> dict[str, list[list[list[float]]]]:
    """Outlines of the phantom's own mask, as the page sends them."""
    traced = trace_outlines(true_masks(server.studies, image)[frame], CAMUS_LABELS)
    return {name: [outline.tolist() for outline in outlines] for name, outlines in traced.items()}


def save(server: Server, image: str, frames: dict[int, Any], **fields: Any) -> requests.Response:
    return server.put(f"/cardiac/images/{image}/outlines", json={"frames": frames, **fields})


def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["ef_pct"] is not None and row["convention"] == "guideline")


def test_frames_are_the_images_pixels(server: Server) -> None:
    answer = server.get(f"/cardiac/images/{CINE}/frames/3.png")
    assert answer.headers["Content-Type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(shown, nifti.read(StudiesLayout(server.studies).image(CINE)).clip.pixels[3])
    assert server.get(f"/cardiac/images/{CINE}/frames/999.png").status_code == 404
    assert server.get("/cardiac/images/nobody/frames/0.png").status_code == 404


@needs_weights
def test_an_image_is_opened_with_the_outlines_of_its_prediction(server: Server) -> None:
    opened = server.get(f"/cardiac/images/{CINE}").json()
    assert (opened["view"], opened["phase"], opened["source"], opened["version"]) == (
        "A4C",
        "cine",
        "model",
        0,
    )
    assert len(opened["outlines"]) == opened["frames"] > 1
    assert set(opened["outlines"][0]) == {"lv_cavity", "myocardium", "left_atrium"}
    assert opened["row_mm"] > 0 and opened["structures"][0] == "lv_cavity"


@needs_weights
def test_unsaved_outlines_are_measured_as_the_same_saved_ones(server: Server) -> None:
    images = [f"phantom01_{view}_{phase}" for view in ("2CH", "4CH") for phase in ("ED", "ES")]
    drawn = [{"image": image, "frames": {0: outlines_of(server, image)}} for image in images]
    before = server.get("/cardiac/patients/phantom01").json()
    measured = server.post("/cardiac/measure", json={"images": drawn}).json()
    assert set(measured["sources"].values()) == {"drawn"} and len(measured["frames"]) == 4
    assert server.get("/cardiac/patients/phantom01").json() == before
    for image in images:
        assert save(server, image, {0: outlines_of(server, image)}).status_code == 200
    saved = server.get("/cardiac/patients/phantom01").json()
    for row, other in zip(measured["patient"], saved["patient"], strict=True):
        assert (row["ef_pct"], row["edv_ml"], row["esv_ml"]) == (
            other["ef_pct"],
            other["edv_ml"],
            other["esv_ml"],
        )
    truth = (server.studies / "truth.csv").read_text().splitlines()
    fields = dict(zip(truth[0].split(","), truth[1].split(","), strict=True))
    ef_pct = next(float(value) for name, value in fields.items() if name.startswith("ef"))
    assert best(saved["patient"])["ef_pct"] == pytest.approx(ef_pct, abs=1.5)


@needs_weights
def test_measuring_while_a_hand_draws_is_quick(server: Server) -> None:
    outlines = outlines_of(server, CINE, 2)
    times_s = []
    for step in range(40):
        moved = [[[row + 0.2 * step, col] for row, col in outline] for outline in outlines["lv_cavity"]]
        body = {"images": [{"image": CINE, "frames": {2: {"lv_cavity": moved}}}]}
        begun = time.perf_counter()
        answer = server.post("/cardiac/measure", json=body)
        times_s.append(time.perf_counter() - begun)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["areas"][CINE]) > 2
    assert np.median(times_s) < 0.15


def test_a_saved_drawing_is_a_version_with_its_cost(server: Server) -> None:
    image = "phantom02_2CH_ES"
    opened = server.get(f"/cardiac/images/{image}").json()
    answer = save(
        server,
        image,
        {0: outlines_of(server, image)},
        base_version=opened["version"],
        client_id="ada",
        seconds=12.5,
        drags=4,
    )
    assert answer.status_code == 200, answer.text
    stored = nifti.read_mask(StudiesLayout(server.studies).label(image))
    assert (stored != true_masks(server.studies, image)).mean() < 0.001
    (version,) = server.get(f"/cardiac/labels/{image}/versions").json()
    assert version["author"] == "ada" and version["ef_after"]
    edit = version["info"]["edit"]
    assert (edit["seconds"], edit["drags"]) == (12.5, 4) and edit["changed_px"] > 0
    (cost,) = (row for row in server.get("/cardiac/edit-cost").json() if row["annotator"] == "ada")
    assert (cost["seconds"], cost["drags"], cost["changed_px"]) == (12.5, 4, edit["changed_px"])


def test_frames_that_were_not_drawn_keep_their_masks(server: Server) -> None:
    masks = true_masks(server.studies, CINE)
    label = server.studies / "truth" / f"{CINE}.nii.gz"
    with label.open("rb") as file:
        assert server.put("/datastore/label", params={"image": CINE}, files={"label": (label.name, file)}).ok
    smaller = [
        [[0.9 * r + 10, 0.9 * c + 15] for r, c in outline]
        for outline in outlines_of(server, CINE, 1)["lv_cavity"]
    ]
    assert save(server, CINE, {1: {"lv_cavity": smaller}}).status_code == 200
    stored = nifti.read_mask(StudiesLayout(server.studies).label(CINE))
    np.testing.assert_array_equal(np.delete(stored, 1, 0), np.delete(masks, 1, 0))
    assert (stored[1] == 1).sum() < (masks[1] == 1).sum()


def test_two_annotators_at_once_end_in_a_conflict_that_keeps_both(server: Server) -> None:
    image = "phantom02_4CH_ES"
    outlines = outlines_of(server, image)
    assert save(server, image, {0: outlines}, base_version=0, client_id="ada").status_code == 200
    late = save(server, image, {0: {"left_atrium": []}}, base_version=0, client_id="bob")
    assert late.status_code == 409, late.text
    assert len(server.get(f"/cardiac/labels/{image}/versions").json()) == 2
    theirs = server.get(f"/cardiac/images/{image}").json()
    assert theirs["version"] == 1 and "left_atrium" in theirs["outlines"][0]
    mine = server.get(f"/cardiac/images/{image}", params={"version": 2}).json()
    assert "left_atrium" not in mine["outlines"][0]
    assert save(server, image, {0: {"left_atrium": []}}, base_version=1, client_id="bob").status_code == 200


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ({"99": {"lv_cavity": []}}, 422),
        ({"0": {"aorta": []}}, 422),
        ({"-1": {}}, 422),
        ({"0": {"lv_cavity": [[[1, 2, 3]]]}}, 422),
        ({"0": {"lv_cavity": [[["NaN", 1]]]}}, 422),
        ({"0": {"lv_cavity": [], "myocardium": [], "left_atrium": []}}, 422),
    ],
)
def test_impossible_drawings_are_refused_and_nothing_is_stored(
    server: Server, frames: dict[str, Any], code: int
) -> None:
    answer = server.put(
        "/cardiac/images/phantom01_2CH_ES/outlines",
        data=json.dumps({"frames": frames}),
        headers={"Content-Type": "application/json"},
    )
    before = len(server.get("/cardiac/labels/phantom01_2CH_ES/versions").json())
    assert answer.status_code == code and answer.json()["message"], answer.text
    assert len(server.get("/cardiac/labels/phantom01_2CH_ES/versions").json()) == before


def test_drawings_of_two_patients_are_not_measured_together(server: Server) -> None:
    images = [{"image": image, "frames": {}} for image in (STILL, CINE)]
    answer = server.post("/cardiac/measure", json={"images": images})
    assert answer.status_code == 422 and "one patient" in answer.text


def test_changes_come_as_events(server: Server) -> None:
    with requests.get(f"{server.url}/cardiac/events", stream=True, timeout=20) as stream:
        lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
        assert "event: ready" in {next(lines), next(lines)}
        assert save(server, "phantom01_2CH_ED", {0: {"left_atrium": []}}, client_id="eve").status_code == 200
        assert any(line == "event: change" for line in lines)


def test_what_a_person_says_of_an_image_is_in_the_manifest(server: Server) -> None:
    path = f"/cardiac/images/{CINE}/description"
    answer = server.put(path, json={"ed_frame": 2, "es_frame": 9})
    assert answer.status_code == 200, answer.text
    (row,) = (row for row in manifest.read(server.studies) if row.image_id == CINE)
    assert (row.ed_frame, row.es_frame) == (2, 9)
    beats = server.get("/cardiac/patients/phantom02").json()["beats"][CINE]
    assert beats == [{"ed_index": 1, "es_index": 8}]
    assert server.put(path, json={"ed_frame": None, "es_frame": None}).status_code == 200
    assert server.put(path, json={"view": "PLAX"}).status_code == 422
    assert server.put(path, json={"mm_per_pixel": 99}).status_code == 422


def test_an_upload_becomes_a_patient_with_consent_noted(server: Server) -> None:
    upload = server.post("/cardiac/uploads").json()["upload"]
    pixels = np.asarray(nifti.read(StudiesLayout(server.studies).image(STILL)).clip.pixels[0])
    for phase in ("ED", "ES"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files = {"file": (f"x_4CH_{phase}.png", buffer.getvalue())}
        assert server.put(f"/cardiac/uploads/{upload}", files=files).status_code == 200
    assert (
        server.put(f"/cardiac/uploads/{upload}", files={"file": ("notes.txt", b"nothing")}).status_code == 200
    )
    answer = server.post(
        f"/cardiac/uploads/{upload}", json={"patient": "walk-in 7", "training_consent": True}
    )
    assert answer.status_code == 200, answer.text
    images = answer.json()["images"]
    assert {(row["patient"], row["view"], row["is_sized"]) for row in images} == {("walk-in 7", "A4C", False)}
    rows = [row for row in manifest.read(server.studies) if row.patient == "walk-in 7"]
    assert len(rows) == 2 and all(row.training_consent for row in rows)
    assert server.post(f"/cardiac/uploads/{upload}", json={}).status_code == 404
    empty = server.post("/cardiac/uploads").json()["upload"]
    refused = server.post(f"/cardiac/uploads/{empty}", json={})
    assert refused.status_code == 422 and "no image" in refused.text and "incoming" not in refused.text
    assert server.request("DELETE", f"/cardiac/uploads/{empty}").status_code == 200


def test_consent_is_revoked_and_the_patient_deleted_for_good(server: Server) -> None:
    upload = server.post("/cardiac/uploads").json()["upload"]
    pixels = np.asarray(nifti.read(StudiesLayout(server.studies).image(STILL)).clip.pixels[0])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    for phase in ("ED", "ES"):
        files = {"file": (f"gone_4CH_{phase}.png", buffer.getvalue())}
        assert server.put(f"/cardiac/uploads/{upload}", files=files).ok
    body = {"patient": "leaver", "training_consent": True, "mm_per_pixel": 0.3}
    images = [row["image"] for row in server.post(f"/cardiac/uploads/{upload}", json=body).json()["images"]]
    assert server.get("/cardiac/patients/leaver").ok
    assert save(server, images[0], {0: {"left_atrium": []}}, client_id="eve").status_code == 200
    assert server.get(f"/datastore/image?image={images[0]}").ok

    answer = server.put("/cardiac/patients/leaver/consent", json={"training_consent": False})
    assert answer.ok and sorted(answer.json()["images"]) == sorted(images)
    rows = [row for row in manifest.read(server.studies) if row.patient == "leaver"]
    assert [row.training_consent for row in rows] == [False, False]
    assert server.put("/cardiac/patients/nobody/consent", json={"training_consent": False}).status_code == 404

    before = {path for path in server.studies.rglob("*") if path.is_file() and "leaver" not in str(path)}
    gone = server.request("DELETE", "/cardiac/patients/leaver")
    assert gone.ok, gone.text
    assert (gone.json()["images"], gone.json()["versions"], gone.json()["left"]) == (2, 1, [])
    assert server.request("DELETE", "/cardiac/patients/leaver").status_code == 404
    assert server.get("/cardiac/patients/leaver").status_code == 404
    assert server.get(f"/datastore/image?image={images[0]}").status_code == 404
    assert "leaver" not in server.get("/cardiac/worklist").text
    for root in (server.studies, server.studies.parent / "home"):
        told = [path for path in root.rglob("*") if "leaver" in str(path) or _tells(path, b"leaver")]
        assert not told
    assert all(path.is_file() for path in before if ".cardiolabel" not in path.parts)


def _tells(path: Path, word: bytes) -> bool:
    return path.is_file() and word in path.read_bytes()
