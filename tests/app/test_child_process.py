"""Processes beside the server run nothing that a request, or the server's own variables, could point to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .conftest import APP, ROOT

RUN = """
import os, subprocess, sys
from lib.server import child_process
from monailabel.utils.async_tasks import utils
evil, method = sys.argv[1:]
os.environ.update(PYTHONPATH=evil, PYTHONUSERBASE=evil, LD_AUDIT=evil, MONAI_LABEL_X="x")
if method == "module":
    command = child_process.module_command("cardiolabel", "--help")
    done = subprocess.run(command, env=child_process.environment(os.environ), capture_output=True, text=True)
    print("ENDED", done.returncode, "score" in done.stdout)
else:
    utils.background_processes[method] = {}
    request = {"bundle_path": evil, "PYTHONPATH": evil, "env": {"PYTHONPATH": evil}}
    task = {"id": "1", "status": "SUBMITTED", "request": request}
    child_process.run_task(task, method)
    print("ENDED", task["status"], list(task["details"])[-1])
"""


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A file that is a zip archive behind something else, as an upload could be."""
    packed = io.BytesIO(b"not a zip archive at first sight")
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("sitecustomize.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
    path = tmp_path / "image.nii"
    path.write_bytes(packed.getvalue())
    return path


def test_python_would_run_it(evil: Path) -> None:
    """Or the tests below would show nothing."""
    subprocess.run([sys.executable, "-c", ""], env={"PYTHONPATH": str(evil)}, check=True)
    assert (evil.parent / "ran").exists()


@pytest.mark.parametrize(
    ("method", "expected"), [("module", "ENDED 0 True"), ("no_method", "ENDED ERROR method 'no_method'")]
)
def test_a_process_runs_nothing_of_a_request(evil: Path, method: str, expected: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(APP), str(ROOT / "lib")))}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(evil), method], capture_output=True, text=True, env=env, check=True
    )
    assert expected in done.stdout
    assert not (evil.parent / "ran").exists()


def test_variables_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.child_process import SILENT, environment

    stored = {"PATH": "/bin", "LC_ALL": "C", "CARDIOLABEL_OPEN": "true", "MONAI_LABEL_STUDIES": "/s"}
    dropped = {
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "LD_PRELOAD": "/x",
        "BASH_ENV": "/x",
        "AWS_SECRET": "x",
    }
    assert environment({**stored, **dropped}) == {**stored, **SILENT}
