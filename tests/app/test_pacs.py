"""The server on a PACS: studies listed, predicted and measured; new ones follow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.pacs.stored import store_folder

from ..pacs.orthanc import Orthanc, needs_orthanc
from .conftest import APP, Server, needs_weights, running, start_server_command

pytestmark = [needs_orthanc, needs_weights, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "out"
    write_sample(folder, patients=2, seed=2, kind=SampleFormat.DICOM)
    return folder / "DICOM"


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Orthanc]:
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc")).start()
    try:
        store_folder(sample / "phantom01", orthanc.url)
        yield orthanc
    finally:
        orthanc.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[Server]:
    """Started as MONAI Label starts it, at the PACS's address."""
    home = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_STATE", str(home / "state"))
        command = start_server_command(APP, home / "unused")
        command[command.index(str(home / "unused"))] = pacs.url
        with running(command, home / "unused", warm=False) as server:
            yield server


def patients(server: Server) -> list[str]:
    return [row["patient"] for row in server.get("/cardiac/patients").json()]


def test_a_pacs_is_served_predicted_and_followed(server: Server, pacs: Orthanc, sample: Path) -> None:
    first = patients(server)
    assert len(first) == 2 and "phantom01" not in first  # the echo, and the MR as a study of its own
    measured = [server.get(f"/cardiac/patients/{patient}").json() for patient in first]
    assert all(any(row["ef_pct"] for row in each["patient"]) for each in measured)

    store_folder(sample / "phantom02", pacs.url)
    assert server.post("/reload").ok
    end_s = time.monotonic() + 60
    while len(patients(server)) < 4 and time.monotonic() < end_s:
        time.sleep(0.5)
    assert len(patients(server)) == 4

    pacs.kill()
    assert server.post("/reload").ok  # what is here stays
    assert len(patients(server)) == 4
    text = server.log.read_text(errors="replace")
    assert "the PACS could not be asked" in text
