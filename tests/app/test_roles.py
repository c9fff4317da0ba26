"""What each role may do: at every route, and by every way that leads around one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from .conftest import Server, needs_weights
from .test_contracts import ADMIN, ANNOTATOR, ANYBODY, CONTRACT, USER
from .test_login import Realm, realm_running, server_with_login

# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

STILL, OTHER = "phantom01_4CH_ED", "phantom01_4CH_ES"
RANKS = (None, USER, ANNOTATOR, "REVIEWER", ADMIN)
"""None is somebody without any role."""

AT_MOST = 3
UNTRIED = {
    ("GET", "/logs/gpu"),
    ("GET", "/cardiac/events"),
    ("POST", "/reload"),
    ("POST", "/train/"),
    ("DELETE", "/train/"),
}
"""What is not done for those who may: it depends on the machine, takes long, or does not end."""


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with realm_running() as realm:
        yield realm


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, realm: Realm) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_LEASES_PER_ANNOTATOR", str(AT_MOST))
        patch.setenv("CARDIOLABEL_MAX_SESSIONS_MB", "1")
        with server_with_login(tmp_path_factory.mktemp("roles"), realm.uri) as server:
            yield server


def token(realm: Realm, role: str | None, name: str = "ada") -> str:
    roles = [f"monailabel-{role.lower()}"] if role else []
    return realm.token(*roles, preferred_username=name)


def ask(server: Server, realm: Realm, role: str | None, method: str, path: str, **options: Any) -> Any:
    name = options.pop("name", "ada")
    headers = {"Authorization": f"Bearer {token(realm, role, name)}", **options.pop("headers", {})}
    return server.request(method, path, headers=headers, allow_redirects=False, **options)


def refused(response: requests.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["message"])


def address(path: str) -> str:
    return path.replace("{path:path}", "x").replace("{", "").replace("}", "")


def written(server: Server) -> set[str]:
    labels = server.studies / "labels"
    return {str(path.relative_to(labels)) for path in labels.rglob("*") if path.is_file()}


@pytest.mark.parametrize("rank", range(len(RANKS)))
def test_every_route_answers_its_role_and_those_above(server: Server, realm: Realm, rank: int) -> None:
    for (method, path), lowest in CONTRACT.items():
        if lowest is ANYBODY or ((method, path) in UNTRIED and rank >= RANKS.index(lowest)):
            continue
        response = ask(server, realm, RANKS[rank], method, address(path))
        if rank < RANKS.index(lowest):
            assert response.status_code == 403, (RANKS[rank], method, path, response.text)
            assert method == "HEAD" or response.json()["code"] == "forbidden"
        else:
            assert response.status_code not in (401, 403, 500), (RANKS[rank], method, path, response.text)


def test_no_route_answers_without_a_token(server: Server) -> None:
    for (method, path), lowest in CONTRACT.items():
        status = server.request(method, address(path), allow_redirects=False).status_code
        assert (status == 401) == (lowest is not ANYBODY), (method, path, status)


SAVING: tuple[dict[str, Any], ...] = (
    {"save_label": True},
    {"save_label": True, "label_tag": "original"},
    {"save_label": True, "client_id": "somebody"},
    {"save_label": "true"},
    {"save_label": 1},
)


@pytest.mark.parametrize("params", SAVING)
def test_a_reader_saves_nothing_by_predicting(server: Server, realm: Realm, params: dict[str, Any]) -> None:
    before = written(server)
    for sent in ({"data": {"params": json.dumps(params)}}, {"files": {"params": (None, json.dumps(params))}}):
        response = ask(server, realm, USER, "POST", f"/infer/camus?image={STILL}", **sent)
        assert "monailabel-annotator" in refused(response, 403, "forbidden")
    assert written(server) == before


@needs_weights
@pytest.mark.parametrize("tag", ["final", "evil", "", "Original", "version_1"])
def test_a_prediction_is_saved_as_original_and_nothing_else(server: Server, realm: Realm, tag: str) -> None:
    before = written(server)
    params = json.dumps({"save_label": True, "label_tag": tag})
    path = f"/infer/camus?image={STILL}"
    refused(ask(server, realm, ADMIN, "POST", path, data={"params": params}), 422, "bad_params")
    body = {"images": [STILL], "label_tag": tag}
    answer = ask(server, realm, ADMIN, "POST", "/batch/infer/camus?run_sync=true", json=body)
    refused(answer, 422, "bad_request")
    assert written(server) == before


@needs_weights
def test_a_saved_prediction_leaves_the_final_label_alone(server: Server, realm: Realm) -> None:
    assert save(server, realm, STILL, "carol").ok
    final = (server.studies / "labels" / "final" / f"{STILL}.nii.gz").read_bytes()
    params = {"params": json.dumps({"save_label": True})}
    assert ask(server, realm, ANNOTATOR, "POST", f"/infer/camus?image={STILL}", data=params).ok
    body = {"images": [STILL]}
    assert ask(server, realm, ADMIN, "POST", "/batch/infer/camus?run_sync=true", json=body).ok
    assert (server.studies / "labels" / "final" / f"{STILL}.nii.gz").read_bytes() == final
    assert label_info(server, realm, "original")["author"] == "ada"
    assert label_info(server, realm, "final")["author"] == "carol"


def save(server: Server, realm: Realm, image_id: str, name: str, tag: str = "final", **params: Any) -> Any:
    with (server.studies / "truth" / f"{image_id}.nii.gz").open("rb") as label:
        return ask(
            server,
            realm,
            ANNOTATOR,
            "PUT",
            f"/datastore/label?image={image_id}&tag={tag}",
            name=name,
            files={"label": ("a.nii.gz", label)},
            data={"params": json.dumps(params)},
        )


def label_info(server: Server, realm: Realm, tag: str) -> dict[str, Any]:
    answer = ask(server, realm, USER, "GET", f"/datastore/label/info?label={STILL}&tag={tag}")
    return dict(answer.json())


@pytest.mark.parametrize("tag", ["evil", "version_1", "Final", "final.", "fin%61l2"])
def test_tags_are_a_closed_list(server: Server, realm: Realm, tag: str) -> None:
    before = written(server)
    refused(save(server, realm, STILL, "carol", tag), 422, "unknown_tag")
    for method, path in (
        ("PUT", f"/datastore/label/info?label={STILL}&tag={tag}"),
        ("POST", f"/cardiac/labels/{STILL}/rollback?version=1&tag={tag}"),
    ):
        refused(ask(server, realm, ADMIN, method, path, data={"info": "{}"}), 422, "unknown_tag")
    assert written(server) == before


@pytest.mark.parametrize("key", ["bundle_path", "PYTHONPATH", "local_rank", "model_filename", "image", "env"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/train/camus", {}),
        ("/train/", {"camus": {}}),
        ("/batch/infer/camus", {}),
        ("/scoring/x", {}),
        ("/activelearning/first", {}),
    ],
)
def test_unknown_request_fields_are_refused_by_name(
    server: Server, realm: Realm, path: str, body: dict[str, Any], key: str
) -> None:
    inner = body.get("camus", body)
    inner[key] = "x"
    answer = ask(server, realm, ADMIN, "POST", path, json=body)
    del inner[key]
    assert key in refused(answer, 422, "bad_request")
    params = {"params": json.dumps({key: "x"})}
    answer = ask(server, realm, ADMIN, "POST", f"/infer/camus?image={STILL}", data=params)
    assert key in refused(answer, 422, "bad_params")


@pytest.mark.long
@needs_weights
def test_a_process_is_started_isolated_and_its_command_names_no_image(server: Server, realm: Realm) -> None:
    body = {"images": [STILL], "client_id": "x", "logging": "WARNING", "multi_gpu": True}
    started = ask(server, realm, ADMIN, "POST", "/batch/infer/camus", json=body)
    assert started.ok and started.json()["request"].keys() == {"model", "images", "max_batch_size", "gpus"}
    parent = psutil.Process(server.process.pid)
    deadline = time.monotonic() + 30
    while not (result := [each for each in parent.children() if "task.py" in " ".join(each.cmdline())]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "-I" in result[0].cmdline() and STILL not in " ".join(result[0].cmdline())
    assert "PYTHONPATH" in parent.environ() and "PYTHONPATH" not in result[0].environ()
    while (task := ask(server, realm, USER, "GET", "/batch/infer").json())["status"] in (
        "SUBMITTED",
        "RUNNING",
    ):
        time.sleep(0.2)
    assert task["status"] == "DONE" and task["progress"] == {"done": 1, "total": 1}


def test_a_reader_leases_nothing(server: Server, realm: Realm) -> None:
    strategies = ask(server, realm, USER, "GET", "/info/").json()["strategies"]
    for strategy in strategies:
        answer = ask(server, realm, USER, "POST", f"/activelearning/{strategy}", json={"client_id": "eve"})
        refused(answer, 403, "forbidden")
    refused(ask(server, realm, USER, "PUT", f"/cardiac/leases/{OTHER}"), 403, "forbidden")
    assert ask(server, realm, USER, "GET", "/cardiac/leases").json() == []


def test_an_annotator_has_a_few_images_at_a_time(server: Server, realm: Realm) -> None:
    """Whatever they call themselves: the login's name counts."""
    answers = [
        ask(
            server, realm, ANNOTATOR, "POST", "/activelearning/first", json={"client_id": f"a{number}"}
        ).json()
        for number in range(AT_MOST + 3)
    ]
    handed = [answer["id"] for answer in answers]
    assert len(set(handed)) == AT_MOST
    assert handed[AT_MOST:] == handed[:AT_MOST]  # the oldest comes again
    assert "already" in answers[-1]["why"]
    leases = ask(server, realm, USER, "GET", "/cardiac/leases").json()
    assert {lease["image"] for lease in leases} == set(handed)
    assert {lease["annotator"] for lease in leases} == {"ada"}
    every = ask(server, realm, USER, "GET", "/datastore/?output=all").json()["objects"]
    free = next(image for image in every if image not in handed and image != STILL)
    message = refused(ask(server, realm, ANNOTATOR, "PUT", f"/cardiac/leases/{free}"), 409, "leases_full")
    assert str(AT_MOST) in message
    bob = ask(server, realm, ANNOTATOR, "POST", "/activelearning/first", name="bob").json()
    assert bob["id"] not in handed
    refused(ask(server, realm, ANNOTATOR, "DELETE", f"/cardiac/leases/{bob['id']}"), 409, "leased")
    for lease in ask(server, realm, USER, "GET", "/cardiac/leases").json():
        assert ask(server, realm, ADMIN, "DELETE", f"/cardiac/leases/{lease['image']}").json()["released"]


def test_the_logged_in_user_is_the_author_despite_other_claims(server: Server, realm: Realm) -> None:
    answer = save(server, realm, STILL, "carol", client_id="dora", user="dora", author="dora", comment="fine")
    assert answer.ok, answer.text
    versions = ask(server, realm, USER, "GET", f"/cardiac/labels/{STILL}/versions").json()
    assert versions[-1]["author"] == "carol"
    info = label_info(server, realm, "final")
    assert (info["author"], info["user"], info["comment"]) == ("carol", "carol", "fine")
    assert "dora" not in json.dumps(versions[-1])
    note = {"info": json.dumps({"user": "dora", "client_id": "dora", "author": "dora", "version": 99})}
    path = f"/datastore/label/info?label={STILL}&tag=final"
    assert ask(server, realm, ANNOTATOR, "PUT", path, name="carol", data=note).ok
    info = label_info(server, realm, "final")
    assert (info["author"], info["user"], info["version"]) == ("carol", "carol", versions[-1]["version"])
    assert "dora" not in json.dumps(info)


def test_notes_never_say_what_the_server_says(server: Server, realm: Realm) -> None:
    forged = {
        "id": "x",
        "patient": "x",
        "view": "SAX",
        "phase": "ES",
        "name": "x",
        "path": "/etc/passwd",
        "checksum": "SHA512:x",
        "PatientID": "x",
        "lease": "x",
        "why": "x",
        "strategy": "x",
        "mine": {"a": [1]},
    }
    path = f"/datastore/image/info?image={OTHER}"
    before = ask(server, realm, USER, "GET", path).json()
    assert ask(server, realm, ANNOTATOR, "PUT", path, data={"info": json.dumps(forged)}).ok
    after = ask(server, realm, USER, "GET", path).json()
    assert after == {**before, "mine": {"a": [1]}, "user": "ada"}
    sample = ask(server, realm, ANNOTATOR, "PUT", f"/cardiac/leases/{OTHER}").json()
    assert sample["image"] == OTHER
    assert ask(server, realm, ANNOTATOR, "DELETE", f"/cardiac/leases/{OTHER}").ok


@pytest.mark.parametrize("notes", [{"long": "x" * 70_000}, {"many": list(range(3_000))}, None])
def test_notes_are_bounded(server: Server, realm: Realm, notes: dict[str, Any] | None) -> None:
    if notes is None:
        notes = {}
        for _ in range(20):
            notes = {"deeper": notes}
    for path, field in (
        (f"/datastore/image/info?image={OTHER}", "info"),
        (f"/datastore/label/info?label={STILL}&tag=final", "info"),
        (f"/datastore/updatelabelinfo?label={STILL}&tag=final", "params"),
    ):
        answer = ask(server, realm, ANNOTATOR, "PUT", path, data={field: json.dumps(notes)})
        refused(answer, 422, "too_many_notes")
    assert save(server, realm, STILL, "carol", **notes).json()["code"] == "too_many_notes"


def test_notes_do_not_grow_without_end(server: Server, realm: Realm) -> None:
    path = f"/datastore/image/info?image={OTHER}"
    answers = [
        ask(server, realm, ANNOTATOR, "PUT", path, data={"info": json.dumps({f"part{number}": "x" * 20_000})})
        for number in range(5)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 422]


@pytest.mark.parametrize(
    "params",
    [
        {"label_info": [{"name": "lv_cavity", "idx": "9" * 5000}]},
        {"label_info": [{"name": 1, "idx": 1}]},
        {"base_version": True},
        {"base_version": -1},
        {"allow_empty": "yes"},
        {"note": "a\0b"},
        {"n\0": 1},
    ],
)
def test_label_params_that_are_none(server: Server, realm: Realm, params: dict[str, Any]) -> None:
    before = written(server)
    refused(save(server, realm, OTHER, "carol", **params), 422, "bad_params")
    assert written(server) == before


def test_many_requests_at_once_lease_no_more(server: Server, realm: Realm) -> None:
    def next_sample(_: int) -> int:
        answer = ask(server, realm, ANNOTATOR, "POST", "/activelearning/first", name="emil", json={})
        return int(answer.status_code)

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(next_sample, range(24))) == {200}
    leases = ask(server, realm, USER, "GET", "/cardiac/leases").json()
    emils = [lease["image"] for lease in leases if lease["annotator"] == "emil"]
    assert 0 < len(emils) <= AT_MOST
    for image in emils:
        assert ask(server, realm, ADMIN, "DELETE", f"/cardiac/leases/{image}").ok


def test_sessions_have_a_limit_together(server: Server, realm: Realm) -> None:
    path = server.studies / f"{STILL}.nii.gz"
    several = 1024**2 // path.stat().st_size
    answers = [
        ask(server, realm, USER, "PUT", "/session/", files={"files": (path.name, path.read_bytes())})
        for _ in range(several + 1)
    ]
    assert all(answer.ok for answer in answers[: several // 2])
    refused(answers[-1], 429, "sessions_full")
    session = answers[0].json()["session_id"]
    assert ask(server, realm, USER, "DELETE", f"/session/{session}").ok
    again = ask(server, realm, USER, "PUT", "/session/", files={"files": (path.name, path.read_bytes())})
    assert again.ok


@needs_weights
def test_what_viewers_really_send_is_taken(server: Server, realm: Realm, tmp_path: Path) -> None:
    """3D Slicer through MONAI Label's client, its Reviewer, and OHIF."""
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="user-xyz")
    client.update_auth({"token_type": "Bearer", "access_token": token(realm, ADMIN, "slicer")})
    models = client.info()["models"]
    config = {key: value for key, value in models["camus"]["config"].items()}
    slicer = {**config, "result_extension": ".nrrd", "result_dtype": "uint8"}
    assert client.infer("camus", STILL, slicer)[1]["frames"]
    points = {"label": "lv_cavity", "foreground": [[1, 2, 0]], "background": [], "roi": [0, 9], "slice": 0}
    assert client.infer("camus", STILL, {**slicer, **points, "reset_state": True})[1]["frames"]
    ohif = {
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        "result_compress": False,
        "restore_label_idx": False,
        "label_prompt": [1],
        "points": [],
        "point_labels": [],
    }
    answer = ask(
        server,
        realm,
        USER,
        "POST",
        f"/infer/camus?image={STILL}&output=image",
        files={"params": (None, json.dumps(ohif))},
    )
    assert answer.ok and answer.content.startswith(b"NRRD")
    sample = client.next_sample("first", {})
    assert Path(sample["path"]).is_file()
    truth = server.studies / "truth" / f"{sample['id']}.nii.gz"
    names = [{"name": name, "idx": value} for name, value in models["camus"]["labels"].items()]
    assert client.save_label(sample["id"], str(truth), params={"label_info": names})["version"] == 1
    info = client.datastore()["objects"][sample["id"]]["labels"]["final"]["info"]
    review = {"params": json.dumps({**info, "segmentationMeta": {"status": "approved", "level": "easy"}})}
    path = f"/datastore/updatelabelinfo?label={sample['id']}&tag=final"
    assert ask(server, realm, ANNOTATOR, "PUT", path, data=review).ok
    assert client.train_status(check_if_running=True) is False


def test_a_path_is_told_to_the_servers_own_machine_only(server: Server, realm: Realm) -> None:
    proxied = (
        {"X-Forwarded-For": "10.1.2.3"},
        {"X-Forwarded-Proto": "https"},
        {"Via": "1.1 proxy"},
        {"Host": "echo.example"},
        {"Forwarded": "for=10.1.2.3"},
        {"X-Real-IP": "127.0.0.1"},
    )
    for headers in proxied:
        answer = ask(server, realm, ANNOTATOR, "POST", "/activelearning/first", headers=headers)
        assert answer.ok and answer.json()["path"] is None, headers
        assert str(server.studies.parent) not in answer.text
        listed = ask(server, realm, USER, "GET", "/datastore/?output=train", headers=headers)
        assert listed.ok and str(server.studies.parent) not in listed.text
    own = ask(server, realm, ANNOTATOR, "POST", "/activelearning/first").json()
    assert Path(own["path"]).is_file()
