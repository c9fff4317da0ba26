"""Temporary files: made again where a clean-up removed them, and cleared where a killed process left them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import APP, ROOT, Server, make_studies, needs_weights, running, start_server_command

PREFIX = "cardiolabel-server-"
LARGE = 2 * 1024**2
"""More than what is kept in memory of an upload."""


@pytest.fixture(scope="module")
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def left_behind(temporary_folder: Path) -> Path:
    """What a server that was killed had of an upload."""
    abandoned = temporary_folder / f"{PREFIX}killed"
    (abandoned / "upload").mkdir(parents=True)
    (abandoned / "upload" / "patient.nii.gz").write_bytes(b"pixels")
    return abandoned


@pytest.fixture(scope="module")
def in_use(temporary_folder: Path) -> Iterator[Path]:
    """The folder of another server that runs."""
    folder = temporary_folder / f"{PREFIX}running"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield folder
    os.close(handle)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, temporary_folder: Path, left_behind: Path, in_use: Path
) -> Iterator[Server]:
    (temporary_folder / "cardiolabel-server-notes.txt").write_text("somebody's own")
    studies = make_studies(tmp_path_factory.mktemp("cleaned") / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary_folder))
        with running(start_server_command(APP, studies), studies) as ready:
            yield ready


def image_of(server: Server) -> Path:
    return next(server.studies.glob("*_4CH_ED.nii.gz"))


def test_what_a_killed_server_left_is_cleared_and_nothing_else(
    server: Server, temporary_folder: Path, left_behind: Path, in_use: Path
) -> None:
    assert not left_behind.exists()
    assert in_use.is_dir()
    assert (temporary_folder / "cardiolabel-server-notes.txt").is_file()


@needs_weights
@pytest.mark.parametrize("removed", ["what is in it", "the folder itself"])
def test_a_temporary_folder_that_was_removed_is_made_again(
    server: Server, temporary_folder: Path, removed: str
) -> None:
    image = image_of(server)
    image_id = image.name.removesuffix(".nii.gz")
    if removed == "the folder itself":
        shutil.rmtree(temporary_folder)
    else:
        for folder in temporary_folder.glob(f"{PREFIX}*"):
            if folder.is_dir():
                shutil.rmtree(folder)
    assert server.put("/session/", files={"files": ("a.nii", bytes(LARGE))}).status_code == 422  # no image
    assert server.post("/infer/camus", params={"image": image_id}).status_code == 200
    with image.open("rb") as file:
        assert server.post("/infer/camus", files={"file": (image.name, file)}).status_code == 200


@needs_weights
def test_folders_for_viewers_and_sessions_are_made_again(server: Server) -> None:
    shutil.rmtree(server.studies / ".cardiolabel" / "viewer", ignore_errors=True)
    shutil.rmtree(server.studies.parent / "home", ignore_errors=True)
    for _ in range(2):
        chosen = server.post("/activelearning/first", json={"client_id": "ann"}).json()
        assert server.get("/datastore/image", params={"image": chosen["id"]}).ok
        with image_of(server).open("rb") as file:
            session = server.put("/session/", files={"files": (image_of(server).name, file)})
        assert session.status_code == 200, session.text
        shutil.rmtree(server.studies / ".cardiolabel" / "viewer", ignore_errors=True)
        shutil.rmtree(server.studies.parent / "home", ignore_errors=True)
        gone = server.get(f"/session/{session.json()['session_id']}")
        assert gone.status_code == 404, gone.text


CODE = """
import os, sys, time
from lib.files import temporary
print(temporary.home(), flush=True)
(temporary.home() / "upload").write_bytes(b"pixels")
if sys.argv[1] == "is killed":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("end", ["ends", "is killed"])
def test_a_process_removes_its_folder_unless_it_is_killed(tmp_path: Path, end: str) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{APP}{os.pathsep}{ROOT / 'lib'}"}
    ended = subprocess.run(
        [sys.executable, "-c", CODE, end], env=environment, capture_output=True, text=True, check=False
    )
    home = Path(ended.stdout.strip())
    assert home.parent == tmp_path and home.name.startswith(PREFIX)
    assert home.exists() == (end == "is killed")
