"""A patient's name reaches no log, whatever is asked and whatever fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from .conftest import APP, ROOT, Server, make_studies, running, start_server_command, write_still

PATIENT = "muster4711"
IMAGE = f"{PATIENT}_4CH_ED"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("logs")
    app = home / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("logs", "__pycache__"))
    studies = make_studies(home / "studies")
    write_still(studies / f"{IMAGE}.nii.gz", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    (studies / f"{PATIENT}_2CH_ED.nii.gz").write_text("not an image")
    (studies / "labels" / "final").mkdir(parents=True)
    (studies / "labels" / "final" / f"{PATIENT}_2CH_ES.nii.gz").write_text("a label without an image")
    with running([*start_server_command(app, studies), "--access_log"], studies) as server:
        yield server


def logged(server: Server) -> str:
    """Everything that the server printed or wrote."""
    files = [server.log, *(server.studies.parent / "home" / ".local" / "state").rglob("app.log*")]
    return "\n".join(file.read_text(errors="replace") for file in files)


def ask_everything(server: Server) -> None:
    """Requests that succeed and requests that fail, all of them about the patient."""
    content = (server.studies / f"{IMAGE}.nii.gz").read_bytes()
    files = {"file": (f"{IMAGE}.nii.gz", content)}
    broken = {"file": (f"{IMAGE}.nii.gz", b"broken")}
    for image in (IMAGE, f"{PATIENT}_2CH_ED", f"{PATIENT}_nothing"):
        params = {"params": json.dumps({"note": PATIENT, "result_extension": ".nrrd"})}
        server.post(f"/infer/camus?image={image}", data=params)
        server.get(f"/datastore/image?image={image}")
        server.get(f"/datastore/image/info?image={image}")
        server.put(f"/datastore/image/info?image={image}", data={"info": json.dumps({"name": PATIENT})})
        server.put(f"/datastore/image/info?image={image}", data={"info": "{" + PATIENT})
        server.get(f"/datastore/label?label={image}&tag={PATIENT}")
        server.get(f"/datastore/label/info?label={image}&tag=final")
        server.put(f"/datastore/label?image={image}", files={"label": (f"{image}.nii.gz", content)})
        server.put(f"/datastore/label?image={image}", files={"label": (f"{image}.nrrd", b"NRRD")})
        server.request("DELETE", f"/datastore/label?id={image}&tag=final")
        server.put(f"/datastore/image?image={image}", files=broken)
    server.put(f"/datastore/image?image={PATIENT}_new", files=files)
    server.post("/infer/camus", files=files)
    server.post("/infer/camus", files=broken)
    server.put("/session/", files={"files": files["file"]})
    server.put("/session/", files={"files": broken["file"]})
    server.post("/activelearning/first", json={"client_id": "ada", "note": PATIENT})
    server.post("/activelearning/first", data="{" + PATIENT, headers={"Content-Type": "application/json"})
    server.get(f"/cardiac/patients/{PATIENT}")
    server.get(f"/cardiac/patients/{PATIENT}/figure.png")
    server.get(f"/cardiac/patients/{PATIENT}/nothing?name={PATIENT}")
    server.get(f"/{PATIENT}")
    server.get("/info/", headers={"Host": f"{PATIENT}.example"})
    server.post("/batch/infer/camus?run_sync=true", json={"images": [IMAGE, f"{PATIENT}_2CH_ED"]})
    server.post("/batch/infer/camus?run_sync=true", json={"images": [f"{PATIENT}_nothing"]})
    # Something that nobody foresaw.
    (server.studies / f"{IMAGE}.nii.gz").unlink()
    (server.studies / f"{IMAGE}.nii.gz").mkdir()
    server.post(f"/infer/camus?image={IMAGE}")
    server.get(f"/datastore/image?image={IMAGE}")
    server.request("DELETE", f"/datastore/image?id={IMAGE}")


def wait_for_batch(server: Server) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = server.get("/batch/infer")
        if answer.json()["status"] not in ("SUBMITTED", "RUNNING"):
            return answer.text
        time.sleep(0.5)
    pytest.fail("the batch did not end")


@pytest.mark.long
def test_no_log_names_a_patient(server: Server) -> None:
    ask_everything(server)
    for images in ([f"{PATIENT}_2CH_ED", "phantom01_4CH_ED"], [f"{PATIENT}_nothing"]):
        assert server.post("/batch/infer/camus", json={"images": images}).status_code == 200
        assert server.post("/batch/infer/camus", json={"images": images}).status_code == 429
        assert "details" not in wait_for_batch(server)
    text = logged(server)
    result = [line for line in text.splitlines() if PATIENT in line]
    assert not result, result[:5]
    assert '"POST /infer/{} HTTP/1.1" 200' in text
    assert '"GET /cardiac/patients/{}/figure.png HTTP/1.1" 200' in text
    assert "Traceback" not in text


def in_the_app(code: str) -> str:
    """Run code where the app's own `lib` is."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(APP), str(ROOT / "lib")))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=APP)
    return done.stdout + done.stderr


FAILURES = """
import errno, json, logging, sys
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from lib.server import errors, logs

logging.basicConfig(level=sys.argv[1] if len(sys.argv) > 1 else "INFO", stream=sys.stdout)
logs.be_discreet()
api = FastAPI(middleware=[Middleware(errors.Failures)])
errors.install(api)
FAILURES = {
    "unforeseen": ValueError("muster4711"), "key": KeyError("muster4711"),
    "full": OSError(errno.ENOSPC, "No space left on device", "/studies/muster4711"),
    "quota": OSError(errno.EDQUOT, "quota", "/studies/muster4711"),
    "denied": PermissionError(errno.EACCES, "denied", "/studies/muster4711"),
    "memory": MemoryError("muster4711"),
    "store": errors.errors.StoreError("/studies/muster4711 is broken"),
    "disk": errors.errors.DiskFullError("/studies/muster4711"),
}

@api.get("/{kind}")
def fail(kind: str) -> None:
    raise FAILURES[kind]

client = TestClient(api, raise_server_exceptions=False)
for kind in FAILURES:
    response = client.get(f"/{kind}")
    print("ANSWER", kind, response.status_code, response.json()["code"], response.text)
logging.getLogger("monailabel.datastore").warning("Failed for muster4711")
logging.getLogger("anything").error("a measurement failed", exc_info=FAILURES["key"])
raise RuntimeError("muster4711")
"""


def test_an_unexpected_error_is_logged_by_place_and_answered_by_type() -> None:
    text = in_the_app(FAILURES)
    assert "muster4711" not in text
    answers = dict(line.split(" ", 2)[1:] for line in text.splitlines() if line.startswith("ANSWER"))
    expected = {
        "unforeseen": "500 internal",
        "key": "500 internal",
        "full": "507 disk_full",
        "quota": "507 disk_full",
        "denied": "507 not_writable",
        "memory": "503 out_of_memory",
        "store": "500 store",
        "disk": "507 disk_full",
    }
    assert {kind: " ".join(answer.split()[:2]) for kind, answer in answers.items()} == expected
    assert "nothing was stored" in answers["full"] and "nothing was stored" in answers["disk"]
    assert "ValueError at" in text and "<string>:" in text
    assert "ended by RuntimeError at" in text
    assert "a measurement failed: KeyError at" in text


def test_at_debug_everything_is_there() -> None:
    text = in_the_app(FAILURES.replace('"INFO"', '"DEBUG"'))
    assert "ValueError: muster4711" in text
    assert "Failed for muster4711" in text
