"""Retraining through the server: asked for, watched, stopped, refused; predictions go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import APP, Server, make_studies, needs_weights, running, start_server_command

pytestmark = needs_weights

STILL = "phantom01_4CH_ED"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its own copy of the app, whose images all have final labels."""
    home = tmp_path_factory.mktemp("training")
    app = Path(shutil.copytree(APP, home / "app", ignore=shutil.ignore_patterns("logs", "__pycache__")))
    studies = make_studies(home / "studies")
    (studies / "labels" / "final").mkdir(parents=True)
    for path in studies.glob("phantom*_E[DS].nii.gz"):
        shutil.copy(studies / "truth" / path.name, studies / "labels" / "final")
    with started(app, studies) as each:
        yield each


@contextmanager
def started(app: Path, studies: Path) -> Iterator[Server]:
    with running([*start_server_command(app, studies), "--conf", "models", "camus,echonet"], studies) as each:
        yield each


def ended(server: Server) -> dict[str, Any]:
    """The training, once it has ended."""
    return until(server, lambda task: task["status"] not in ("SUBMITTED", "RUNNING"))


def until(server: Server, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while not holds(task := server.get("/train/").json()):
        assert time.monotonic() < deadline, task
        time.sleep(0.3)
    result: dict[str, Any] = task
    return result


def served(server: Server) -> dict[str, Any]:
    answer = server.post(f"/infer/camus?image={STILL}&output=json")
    assert answer.ok, answer.text
    model: dict[str, Any] = answer.json()["model"]
    return model


def test_what_a_client_may_set(server: Server) -> None:
    trainers = server.get("/info/").json()["trainers"]
    assert list(trainers) == ["camus", "echonet"]
    assert "the weights of camus" in trainers["echonet"]["description"]
    config = trainers["camus"]["config"]
    assert set(config) == {"epochs", "learning_rate", "device", "from_scratch"}
    assert config["epochs"] == 10 and config["from_scratch"] is False and "cpu" in config["device"]
    for wrong in (
        {"epochs": 0},
        {"epochs": "many"},
        {"learning_rate": 7},
        {"from_scratch": 3},
        {"device": "abacus"},
    ):
        answer = server.post("/train/camus", json=wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["code"] in ("unusable_input", "bad_request"), wrong
    assert server.get("/cardiac/training").json() == []
    assert server.get("/cardiac/training/camus/curve.png").status_code == 404


@pytest.mark.long
def test_a_stopped_training_leaves_everything_as_it_was(server: Server) -> None:
    before = served(server)
    requested = server.post("/train/camus", json={"epochs": 500, "device": ["cpu"]})
    assert requested.ok and requested.json()["details"]
    stats = server.get("/info/").json()["train_stats"]["camus"]
    assert (stats["epoch"], stats["total_epochs"], stats["best_metric"]) == (0, 500, 0)
    until(server, lambda task: task.get("progress", {}).get("state") == "training")
    busy = server.post("/train/camus", json={})
    assert (busy.status_code, busy.json()["code"]) == (429, "busy")
    assert served(server) == before
    start = time.monotonic()
    stats = next(iter(server.get("/info/").json()["train_stats"].values()))  # what 3D Slicer shows
    assert stats["total_epochs"] == 500 and 0 <= stats["epoch"] < 500
    stopped = server.request("DELETE", "/train/").json()
    assert stopped["status"] == "STOPPED" and stopped["details"][-1].startswith("camus: ")
    while (status := server.get("/cardiac/training").json()[0])["state"] == "training":
        assert time.monotonic() - start < 10
        time.sleep(0.1)
    assert (status["state"], status["reason"]) == ("failed", "it was stopped; start it again to go on")
    assert served(server) == before


def test_a_refusal_says_why(server: Server) -> None:
    before = served(server)
    assert server.post("/train/camus", json={"epochs": 1}).ok
    task = ended(server)
    assert task["status"] == "REFUSED", task
    assert task["progress"]["state"] == "refused"
    assert "too few to judge by" in task["details"][-1]
    assert "too few to judge by" in task["progress"]["reason"]
    assert task["progress"]["epoch"] == 1 and task["progress"]["curve"]
    stats = server.get("/info/").json()["train_stats"]["camus"]
    assert (stats["epoch"], stats["total_epochs"]) == (1, 1) and 0 <= stats["best_metric"] <= 1
    (once,) = server.get("/cardiac/training").json()  # echonet shares the weights of camus
    assert once["model"] == "camus"
    picture = server.get("/cardiac/training/echonet/curve.png")
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert served(server) == before


def test_a_training_that_fails_says_why(server: Server) -> None:
    validation = server.studies / ".cardiolabel" / "validation.json"
    listed = json.loads(validation.read_text())
    assert {*listed["training"], *listed["validation"]} == {"phantom01", "phantom02"}
    validation.write_text("torn")
    assert server.post("/train/camus", json={"epochs": 1}).ok
    task = ended(server)
    assert task["status"] == "ERROR"
    assert "validation.json is damaged" in task["progress"]["reason"]
    validation.write_text(json.dumps(listed))


@pytest.mark.long
def test_a_server_that_is_killed_takes_its_training_along(server: Server) -> None:
    """The next one says what happened, serves the same model, and can train."""
    before = served(server)
    assert server.post("/train/camus", json={"epochs": 50}).ok
    until(server, lambda task: task.get("progress", {}).get("state") == "training")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    app = server.studies.parent / "app"
    with started(app, server.studies) as next_one:
        deadline = time.monotonic() + 30
        while (status := next_one.get("/cardiac/training").json()[0])["state"] == "training":
            assert time.monotonic() < deadline, status
            time.sleep(0.3)
        assert (status["state"], status["reason"]) == ("failed", "it was stopped; start it again to go on")
        assert served(next_one) == before
        assert next_one.post("/train/camus", json={"epochs": 1}).ok
        assert ended(next_one)["progress"]["state"] == "refused"
