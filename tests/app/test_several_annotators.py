"""Several people at one server: leases, conflicting saves, history and rollback, agreement."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient
from scipy.ndimage import binary_erosion

from cardiolabel.io import nifti
from cardiolabel.records.file_names import id_from_name

from .conftest import APP, Server, make_studies, running, start_server_command, true_masks

# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

STILLS = [f"phantom01_{view}_{phase}" for view in ("4CH", "2CH") for phase in ("ED", "ES")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("annotators") / "studies")
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def smaller(masks: np.ndarray, pixels: int) -> np.ndarray:
    """Masks with a thinner cavity, as another hand would draw it."""
    shrunk = masks.copy()
    inner = binary_erosion(masks == 1, np.ones((1, 2 * pixels + 1, 2 * pixels + 1)))
    shrunk[(masks == 1) & ~inner] = 2
    return shrunk


def save(
    server: Server, image_id: str, masks: np.ndarray, author: str, headers: Any = None, **params: Any
) -> requests.Response:
    path = server.studies.parent / f"{author}_{image_id}.nii.gz"
    nifti.write_mask_like(masks, path, grid=nifti.read(server.studies / f"{image_id}.nii.gz").grid)
    with path.open("rb") as label:
        return server.put(
            "/datastore/label",
            params={"image": image_id, "tag": "final"},
            data={"params": json.dumps({"client_id": author, **params})},
            files={"label": (path.name, label)},
            headers=headers,
        )


def stored(server: Server, image_id: str) -> np.ndarray:
    return nifti.read_mask(server.studies / "labels" / "final" / f"{image_id}.nii.gz")


def versions(server: Server, image_id: str) -> list[dict[str, Any]]:
    return server.get(f"/cardiac/labels/{image_id}/versions").json()


def test_no_image_is_handed_to_two(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    handed: list[tuple[str, str]] = []

    def ask(name: str) -> None:
        client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id=name)
        handed.extend((name, client.next_sample("first", {})["id"]) for _ in range(2))

    with running(start_server_command(APP, studies), studies) as server:
        people = [threading.Thread(target=ask, args=(f"annotator{number}",)) for number in range(3)]
        for each in people:
            each.start()
        for each in people:
            each.join()
        images = [image_id for _, image_id in handed]
        assert len(images) == len(set(images)) == 6
        leases = server.get("/cardiac/leases").json()
        assert {(lease["annotator"], lease["image"]) for lease in leases} == set(handed)

        name, image_id = handed[0]
        refused = server.put(f"/cardiac/leases/{image_id}", params={"client_id": "somebody else"})
        assert (refused.status_code, refused.json()["code"]) == (409, "leased")
        assert name in refused.json()["message"]
        server.request("DELETE", f"/cardiac/leases/{image_id}", params={"client_id": name})
        taken = server.put(f"/cardiac/leases/{image_id}", params={"client_id": "somebody else"})
        assert taken.json()["annotator"] == "somebody else"

        # Whom nothing tells apart never gets what is out already.
        left = len(server.get("/datastore/?output=all").json()["objects"]) - 6
        answers = [server.post("/activelearning/random").json() for _ in range(left + 1)]
        more = [answer["id"] for answer in answers[:-1]]
        assert len({*images, *more}) == 6 + left
        assert "id" not in answers[-1]
        assert "with annotators" in answers[-1]["reason"]


def test_a_label_that_changed_since_it_was_opened_is_a_conflict(server: Server) -> None:
    image_id = "phantom02_2CH_ED"
    masks = true_masks(server.studies, image_id)
    server.put(f"/cardiac/leases/{image_id}", params={"client_id": "alice"})
    assert save(server, image_id, smaller(masks, 2), "bob").json()["version"] == 1

    conflict = save(server, image_id, masks, "alice")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    assert conflict.json()["current"]["author"] == "bob"
    assert conflict.json()["yours"]["version"] == 2
    np.testing.assert_array_equal(stored(server, image_id), smaller(masks, 2))
    remaining = server.get(f"/cardiac/labels/{image_id}/versions/2")
    copy = server.studies.parent / "kept.nii.gz"
    copy.write_bytes(remaining.content)
    np.testing.assert_array_equal(nifti.read_mask(copy), masks)

    resolved = save(server, image_id, masks, "alice", base_version=1)
    assert (resolved.status_code, resolved.json()["version"]) == (200, 3)
    np.testing.assert_array_equal(stored(server, image_id), masks)
    assert [version["origin"] for version in versions(server, image_id)] == ["saved", "conflict", "saved"]
    assert save(server, image_id, smaller(masks, 1), "alice").json()["version"] == 4


def test_the_etag_of_a_download_guards_the_save(server: Server) -> None:
    image_id = "phantom02_2CH_ES"
    masks = true_masks(server.studies, image_id)
    save(server, image_id, masks, "alice")
    opened = server.get("/datastore/label", params={"label": image_id, "tag": "final"}).headers["etag"]
    save(server, image_id, smaller(masks, 2), "bob", headers={"If-Match": opened})
    late = save(server, image_id, smaller(masks, 1), "carol", headers={"If-Match": opened})
    assert (opened, late.status_code) == ('"1"', 409)
    wrong = save(server, image_id, masks, "carol", headers={"If-Match": "yesterday"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_version")


def test_versions_tell_who_when_with_which_model_and_what_became_of_the_ef(server: Server) -> None:
    for image_id in STILLS:
        save(server, image_id, true_masks(server.studies, image_id), "alice", note="first reading")
    image_id = STILLS[-1]
    answer = save(server, image_id, smaller(true_masks(server.studies, image_id), 4), "alice")
    first, last = versions(server, image_id)
    assert (first["author"], first["info"]["note"], first["current"]) == ("alice", "first reading", False)
    assert last["model"]["name"] == "camus"
    before, after = (each[0]["ef_pct"] for each in (last["ef_before"], last["ef_after"]))
    assert after > before + 1
    row = next(row for row in answer.json()["measurement"]["patient"] if row["method"] == "biplane")
    assert row["ef_pct"] == pytest.approx(after, abs=0.1)

    back = server.post(f"/cardiac/labels/{image_id}/rollback", params={"version": 1})
    assert back.json()["version"] == 3
    np.testing.assert_array_equal(stored(server, image_id), true_masks(server.studies, image_id))
    rolled = versions(server, image_id)[-1]
    assert (rolled["origin"], rolled["info"]["rolled_back_to"]) == ("rollback", 1)
    assert rolled["ef_after"][0]["ef_pct"] == pytest.approx(before)

    missing = server.post(f"/cardiac/labels/{image_id}/rollback", params={"version": 99})
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_label")


def test_an_empty_mask_must_be_meant(server: Server) -> None:
    image_id = "phantom02_4CH_ES"
    empty = np.zeros_like(true_masks(server.studies, image_id))
    refused = save(server, image_id, empty, "alice")
    assert (refused.status_code, refused.json()["code"]) == (422, "empty_mask")
    assert versions(server, image_id) == []
    assert save(server, image_id, empty, "alice", allow_empty=True).status_code == 200


def test_two_readers_of_one_patient_are_compared(server: Server) -> None:
    for image_id in STILLS:
        masks = true_masks(server.studies, image_id)
        for author, drawn in (("dora", masks), ("emil", smaller(masks, 2))):
            current = [version["version"] for version in versions(server, image_id) if version["current"]]
            save(server, image_id, drawn, author, base_version=current[0] if current else 0)
    result = server.get("/cardiac/agreement").json()
    pair = next(each for each in result["pairs"] if each["annotators"] == ["dora", "emil"])
    assert {each["image_id"] for each in pair["images"]} >= set(STILLS)
    figure = server.get("/cardiac/agreement/figure.png")
    assert figure.content.startswith(b"\x89PNG")


def test_files_that_others_drop_into_the_folder_are_seen(server: Server) -> None:
    before = server.get("/datastore/").json()
    source = server.studies / "phantom02_4CH_ED.nii.gz"
    (server.studies / "dropped_4CH_ED.nii.gz").write_bytes(source.read_bytes())
    assert server.get("/datastore/").json()["total"] == before["total"] + 1
    (server.studies / "dropped_4CH_ED.nii.gz").unlink()
    assert server.get("/datastore/").json()["total"] == before["total"]


def test_a_file_whose_name_is_no_id_is_served_under_the_id_that_measuring_gives_it(server: Server) -> None:
    source = (server.studies / f"{STILLS[0]}.nii.gz").read_bytes()
    (server.studies / "Herzecho (1) 4CH ED.nii.gz").write_bytes(source)
    image_id = id_from_name("Herzecho (1) 4CH ED")
    assert image_id in server.get("/datastore/?output=all").json()["objects"]
    assert server.get("/datastore/image", params={"image": image_id}).content == source
    path = server.studies / "truth" / f"{STILLS[0]}.nii.gz"
    with path.open("rb") as label:
        saved = server.put(
            "/datastore/label", params={"image": image_id}, files={"label": (path.name, label)}
        )
    assert saved.status_code == 200
    assert (
        server.get("/datastore/label/info", params={"label": image_id, "tag": "final"}).json()["version"] == 1
    )
    (server.studies / "Herzecho (1) 4CH ED.nii.gz").unlink()


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    image_id = STILLS[0]
    with running(start_server_command(APP, studies), studies) as server:
        save(server, image_id, true_masks(studies, image_id), "alice", note="kept")
    with running(start_server_command(APP, studies), studies) as server:
        (version,) = versions(server, image_id)
        assert (version["author"], version["info"]["note"], version["current"]) == ("alice", "kept", True)
        assert server.get("/datastore/").json()["completed"] == 1
