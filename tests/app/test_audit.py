"""What was done is in the audit log, with who did it, and without anybody's or any file's name."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardiolabel.store.audit.places import read_key
from cardiolabel.store.audit.pseudonym import pseudonym

from .conftest import APP, ROOT, Server, make_studies, running, start_server_command, true_masks, write_still
from .test_login import ADMIN, ANNOTATOR, USER, Realm, realm_running, server_with_login

PATIENT = "muster4711"
IMAGE = f"{PATIENT}_4CH_ED"
FLOOD = 300


class Audited:
    """A server with login, its realm, and what its audit log says."""

    def __init__(self, server: Server, realm: Realm) -> None:
        self.server, self.realm = server, realm
        self.key = read_key(server.studies)
        self.log = server.studies / ".cardiolabel" / "audit" / "audit.jsonl"

    def ask(self, *roles: str, method: str, path: str, user: str = "ada", **options: Any) -> int:
        token = self.realm.token(*roles, preferred_username=user)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.server.request(method, path, headers=headers, **options).status_code

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="ascii").splitlines()]

    def entry(self, event: str, **values: Any) -> dict[str, Any]:
        """The last entry of an event, once it is written."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            alike = [entry for entry in self.entries() if entry["event"] == event]
            alike = [each for each in alike if all(each.get(name) == value for name, value in values.items())]
            if alike:
                return alike[-1]
            time.sleep(0.1)
        pytest.fail(f"no event {event} {values} in {self.entries()[-10:]}")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with (
        realm_running() as realm,
        server_with_login(tmp_path_factory.mktemp("audit"), realm.uri) as server,
    ):
        pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        write_still(server.studies / f"{IMAGE}.nii.gz", pixels)
        yield Audited(server, realm)


def test_without_login_a_name_is_only_what_a_client_says(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_AUDIT_LOG", str(tmp_path / "elsewhere" / "log.jsonl"))
        patch.setenv("CARDIOLABEL_ACCESS_LOG", "true")
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        patch.setenv("MONAI_LABEL_DATASTORE_READ_ONLY", "true")
        with running(start_server_command(APP, studies), studies) as server:
            mask = (studies / "truth" / "phantom01_4CH_ED.nii.gz").read_bytes()
            answer = server.put(
                "/datastore/label?image=phantom01_4CH_ED",
                files={"label": ("x.nii.gz", mask)},
                data={"params": json.dumps({"client_id": "ann\n"})},
            )
            assert answer.status_code == 403
            time.sleep(1.5)
    lines = (tmp_path / "elsewhere" / "log.jsonl").read_text(encoding="ascii").splitlines()
    (refused,) = (each for each in map(json.loads, lines) if each["event"] == "refused")
    assert (refused["who"], refused["authenticated"], refused["role"]) == ("ann\n", False, "")
    assert refused["code"] == "read_only"
    assert refused["subject"] == pseudonym("phantom01_4CH_ED", _state_key(tmp_path / "state"))
    assert not (studies / ".cardiolabel" / "audit").exists()
    assert '127.0.0.1 "PUT /datastore/label" 403' in server.log.read_text()


PUBLISH = """
import sys
from pathlib import Path
from cardiolabel.training.retraining.status import Status
from cardiolabel.models.models import SOURCES
from lib.trainers import retraining

for state in ("refused", "published"):
    retraining.retrain = lambda model, *_, **__: Status(model, state=state)
    retraining.Retraining(SOURCES["camus"], Path(sys.argv[1]), Path("model"), None)({}, None)
"""


def test_a_retrained_model_that_is_published_is_told_by_the_process_that_trained(tmp_path: Path) -> None:
    path = os.pathsep.join((str(APP), str(ROOT / "lib")))
    subprocess.run(
        [sys.executable, "-c", PUBLISH, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=APP,
        check=True,
        timeout=120,
    )
    (line,) = (tmp_path / ".cardiolabel" / "audit" / "audit.jsonl").read_text(encoding="ascii").splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["who"], entry["model"]) == ("model published", "training", "camus")


def test_what_is_done_is_told_with_who_did_it(audited: Audited, tmp_path: Path) -> None:
    still, subject = "phantom01_4CH_ED", pseudonym("phantom01_4CH_ED", audited.key)
    mask = (audited.server.studies / "truth" / f"{still}.nii.gz").read_bytes()
    label = {"files": {"label": ("x.nii.gz", mask)}, "data": {"params": json.dumps({"client_id": "eve"})}}
    assert audited.ask(ANNOTATOR, method="PUT", path=f"/datastore/label?image={still}", **label) == 200
    saved = audited.entry("label saved")
    assert (saved["who"], saved["authenticated"], saved["role"]) == ("ada", True, ANNOTATOR)
    assert (saved["client"], saved["method"], saved["route"]) == ("127.0.0.1", "PUT", "/datastore/label")
    assert (saved["subject"], saved["status"], saved["code"]) == (subject, 200, "ok")
    assert saved["duration_ms"] > 0 and true_masks(audited.server.studies, still).any()
    image = {
        "files": {"file": (f"{PATIENT}.nii.gz", (audited.server.studies / f"{IMAGE}.nii.gz").read_bytes())}
    }
    steps = [
        (ANNOTATOR, "POST", f"/cardiac/labels/{still}/rollback?version=1", {}, "label rolled back", still),
        (USER, "GET", f"/datastore/image?image={IMAGE}", {}, "image downloaded", IMAGE),
        (USER, "GET", f"/datastore/label?label={still}&tag=final", {}, "label downloaded", still),
        (USER, "GET", f"/cardiac/labels/{still}/versions/1", {}, "label downloaded", still),
        (ADMIN, "GET", "/datastore/dataset", {}, "data set exported", ""),
        (ADMIN, "GET", "/model/camus", {}, "model downloaded", ""),
        (ANNOTATOR, "PUT", f"/datastore/image?image={PATIENT}_new", image, "image added", f"{PATIENT}_new"),
        (ADMIN, "DELETE", f"/datastore/image?id={PATIENT}_new", {}, "image removed", f"{PATIENT}_new"),
        (ADMIN, "DELETE", f"/datastore/label?id={still}&tag=final", {}, "label removed", still),
        (ADMIN, "GET", "/logs/?lines=10", {}, "log read", ""),
    ]
    for role, method, path, options, event, name in steps:
        assert audited.ask(role, method=method, path=path, **options) == 200, path
        written = audited.entry(event, subject=pseudonym(name, audited.key) if name else "")
        assert (written["who"], written["role"], written["status"]) == ("ada", role, 200)


def test_an_image_is_replaced_by_administrators_only(audited: Audited, tmp_path: Path) -> None:
    target = audited.server.studies / f"{IMAGE}.nii.gz"
    new = write_still(tmp_path / "new.nii.gz", np.full((64, 64), 7, np.uint8)).read_bytes()
    headers = {"If-Match": f'"SHA256:{hashlib.sha256(target.read_bytes()).hexdigest()}"'}
    path = f"/datastore/image?image={IMAGE}&replace=true"
    for role, status in ((USER, 403), (ANNOTATOR, 403), (ADMIN, 200)):
        sent = {"files": {"file": ("x.nii.gz", new)}, "headers": headers}
        assert audited.ask(role, method="PUT", path=path, **sent) == status
    assert target.read_bytes() == new
    subject = pseudonym(IMAGE, audited.key)
    assert audited.entry("image replaced", subject=subject)["role"] == ADMIN
    assert audited.entry("refused", role=ANNOTATOR, subject=subject)["code"] == "forbidden"


def test_refusals_and_failed_logins_are_told(audited: Audited) -> None:
    assert audited.ask(USER, method="DELETE", path=f"/datastore/image?id={IMAGE}") == 403
    refused = audited.entry("refused", who="ada", role=USER, method="DELETE")
    assert (refused["route"], refused["subject"]) == ("/datastore/image", pseudonym(IMAGE, audited.key))
    assert audited.ask("nothing", method="GET", path="/info/", user="mallory") == 403
    assert audited.entry("refused", who="mallory")["route"] == "/info/"
    for token in ("x.y.z", audited.realm.token(ADMIN, exp=time.time() - 600)):
        headers = {"Authorization": f"Bearer {token}"}
        assert audited.server.get(f"/cardiac/patients/{PATIENT}", headers=headers).status_code == 401
    assert audited.ask(USER, method="GET", path="/datastore/image?image=../x") == 400
    assert audited.entry("refused", code="bad_name")["status"] == 400
    failed = audited.entry("login failed", code="not_logged_in")
    assert (failed["who"], failed["authenticated"]) == ("", False)
    assert failed["route"] == "/cardiac/patients/{patient}"
    form = {"username": "ada", "password": "wrong", "grant_type": "password"}
    assert audited.server.post("/auth/token", data=form).status_code == 401
    assert audited.entry("login failed", route="/auth/token")["client"] == "127.0.0.1"


def test_a_user_whose_roles_change_is_told(audited: Audited) -> None:
    for roles in ((USER,), (ANNOTATOR,), (ANNOTATOR,), (ADMIN,)):
        assert audited.ask(*roles, method="GET", path="/info/", user="carla") == 200
    audited.entry("roles changed", who="carla", to=sorted([ADMIN, "monailabel-reviewer", ANNOTATOR, USER]))
    changes = [
        entry for entry in audited.entries() if entry["event"] == "roles changed" and entry["who"] == "carla"
    ]
    assert [(change["from"], change["to"]) for change in changes[:2]] == [
        ([], [USER]),
        ([USER], [ANNOTATOR, USER]),
    ]
    assert len(changes) == 3


def test_the_log_is_for_its_owner_and_names_no_patient_file_or_token(audited: Audited) -> None:
    token = audited.realm.token(USER)
    for name in (IMAGE, f"{PATIENT}/../x", f"x{PATIENT}", 2000 * "x"):
        for path in (
            "/datastore/image?image=",
            "/nothing/",
            "/cardiac/patients/",
            "/datastore/label?tag=final&label=",
        ):
            headers = {"Authorization": f"Bearer {token}"}
            audited.server.get(path + name, headers=headers)
            audited.server.get(path + name)
    audited.entry("image downloaded")
    text = audited.log.read_text(encoding="ascii")
    assert PATIENT not in text and "phantom01" not in text and token not in text and "x.nii.gz" not in text
    assert str(audited.server.studies) not in text
    modes = {path.name: path.stat().st_mode & 0o777 for path in audited.log.parent.iterdir()}
    assert set(modes.values()) == {0o600} and audited.log.parent.stat().st_mode & 0o777 == 0o700
    assert {"audit.jsonl", "key", "roles.json"} <= modes.keys()


def test_the_server_s_log_tells_events_without_names(audited: Audited) -> None:
    audited.entry("refused")
    deadline = time.monotonic() + 10
    while "audit: refused forbidden" not in (text := audited.server.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "audit: server started" in text and PATIENT not in text


def test_a_flood_of_failed_logins_is_counted_and_the_end_is_told(audited: Audited) -> None:
    size = audited.log.stat().st_size
    begun_s = time.monotonic()
    for _ in range(FLOOD):
        assert audited.server.get("/info/").status_code in (401, 429)
    assert time.monotonic() - begun_s < 30
    time.sleep(1.5)
    assert audited.log.stat().st_size - size < 60 * 400
    audited.server.process.send_signal(signal.SIGTERM)
    audited.server.process.wait(30)
    entries = audited.entries()
    assert entries[0]["event"] == "server started" and entries[0]["settings"]["login"] is True
    stopped = [entry for entry in entries if entry["event"] == "server stopped"]
    assert [each["signal"] for each in stopped] == ["SIGTERM"]
    counted = [
        entry for entry in entries if entry["event"] == "events suppressed" and entry["of"] == "login failed"
    ]
    written = [entry for entry in entries if entry["event"] == "login failed"]
    assert sum(each["count"] for each in counted) + len(written) >= FLOOD
    assert len(written) < 100


def _state_key(state: Path) -> bytes:
    (path,) = state.rglob("key")
    return bytes.fromhex(path.read_text())
