"""``cardiolabel serve``, and a server whose weights are missing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .conftest import APP, WEIGHTS, make_studies, running, start_server_command

COMMAND = [sys.executable, "-m", "cardiolabel"]


def test_cardiolabel_serve_answers_on_this_machine_only(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    with running([*COMMAND, "serve", str(studies)], studies) as server:
        assert list(server.get("/info/").json()["models"])[:4] == ["camus", "echonet", "sunnybrook", "acdc"]
        assert len(server.get("/cardiac/patients").json()) == 2
        assert "0.0.0.0" not in server.log.read_text()  # noqa: S104  # it must not be there


def test_without_weights_nothing_is_predicted_until_they_are_back(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    app = tmp_path / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("model", "logs", "__pycache__"))
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
