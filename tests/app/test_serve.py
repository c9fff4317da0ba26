"""``cardiolabel serve``, and a server whose weights are missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from .conftest import APP, START_S, WEIGHTS, make_studies, running, start_server_command

COMMAND = [sys.executable, "-m", "cardiolabel"]


def test_cardiolabel_serve_answers_on_this_machine_only_and_takes_its_options(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    options = ["--scoring", "off", "--lease-minutes", "30"]
    with running([*COMMAND, "serve", str(studies), *options], studies) as server:
        assert list(server.get("/info/").json()["models"])[:4] == ["camus", "echonet", "sunnybrook", "acdc"]
        assert len(server.get("/cardiac/patients").json()) == 2
        assert "0.0.0.0" not in server.log.read_text()  # noqa: S104  # it must not be there
        assert server.get("/cardiac/worklist").json()["scoring"]["wanted"] == "off"
        sample = server.post("/activelearning/first", json={"client_id": "ann"}).json()
        times = (sample["lease"][name] for name in ("taken_at", "expires_at"))
        taken, expires = map(datetime.fromisoformat, times)
        assert expires - taken == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--scoring perhaps", "scoring 'perhaps': expected on, off, or a number"),
        ("--base camus", "--base 'camus': expected MODEL=STUDIES"),
        ("--base camus=gone", "--base 'camus=gone': expected MODEL=STUDIES"),
        ("--base nonsense=studies", "no model 'nonsense' to serve"),
        ("--ssl-keyfile studies/manifest.csv", "both --ssl-certfile and --ssl-keyfile"),
    ],
)
def test_an_option_that_cannot_be_is_refused(tmp_path: Path, options: str, expected: str) -> None:
    assert expected in refusal(COMMAND, make_studies(tmp_path / "studies"), options=options)


def refusal(command: list[str], studies: Path, **variables: str) -> str:
    """What a server says that cannot start; it ends with code 2 and shows no traceback."""
    ended = subprocess.run(
        [*command, "serve", str(studies), "--quiet", *variables.pop("options", "").split()],
        capture_output=True,
        text=True,
        timeout=START_S,
        env={**os.environ, **variables},
        cwd=studies.parent,
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    (message,) = [line for line in ended.stderr.splitlines() if line.startswith("cardiolabel: ")]
    return message


def test_a_port_or_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}: Address already in use" in refusal(COMMAND, studies, options=f"--port {port}")
    assert "cannot listen on 300.1.1.1" in refusal(COMMAND, studies, options="--host 300.1.1.1")


def test_a_manifest_that_cannot_be_read_keeps_the_server_from_starting(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    (studies / "manifest.csv").write_text("a,b\n1,2\n")
    assert "manifest.csv, line 1: no column image_id" in refusal(COMMAND, studies)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "CARDIOLABEL_MAX_IMAGE_MB",
            "much",
            "CARDIOLABEL_MAX_IMAGE_MB='much': input should be a valid integer",
        ),
        ("MONAI_LABEL_SESSIONS", "perhaps", "MONAI_LABEL_SESSIONS: input should be a valid boolean"),
    ],
)
def test_a_setting_that_means_nothing(tmp_path: Path, name: str, value: str, expected: str) -> None:
    studies = make_studies(tmp_path / "studies")
    assert expected in refusal(COMMAND, studies, **{name: value})


def test_records_that_cannot_be_read(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    (studies / ".cardiolabel").mkdir(exist_ok=True)
    (studies / ".cardiolabel" / "store.sqlite").write_bytes(b"no database" * 1000)
    message = refusal(COMMAND, studies)
    assert "the server cannot start: " in message
    assert "store.sqlite" in message and "cardiolabel store rebuild" in message


def test_without_weights_nothing_is_predicted_until_they_are_back(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    app = tmp_path / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("model", "logs", "bin", "__pycache__"))
    (app / "model").mkdir()
    with running(start_server_command(app, studies), studies) as server:
        refused = server.post("/infer/camus?image=phantom01_4CH_ED")
        assert refused.status_code == 503
        assert refused.json()["code"] == "missing_weights"
        assert "no weights for model camus" in refused.json()["message"]
        assert len(server.get("/cardiac/patients").json()) == 2
        assert server.get("/cardiac/patients/phantom01").status_code == 200
        if not WEIGHTS.exists():
            pytest.skip(f"the rest needs the shipped weights, {WEIGHTS.name}")
        for suffix in (".safetensors", ".json"):
            shutil.copy(WEIGHTS.with_suffix(suffix), app / "model")
        assert server.post("/infer/camus?image=phantom01_4CH_ED&output=json").status_code == 200
        assert "no weights for model camus" in server.get("/logs/").text
    names = {path.name for path in app.iterdir()} - {"__pycache__"}
    assert names == {"lib", "main.py", "model", "task.py", "web"}
