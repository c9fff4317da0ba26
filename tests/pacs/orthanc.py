"""Debian's Orthanc with its DICOMweb plugin, on a free port of this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needs_orthanc = pytest.mark.skipif(
    shutil.which("Orthanc") is None or not PLUGIN.exists(),
    reason="needs Debian's packages orthanc and orthanc-dicomweb",
)
_START_S = 30


class Orthanc:
    """One PACS, which can be stopped, killed and started again.

    Parameters
    ----------
    folder : Path
        Keeps its images.
    users : mapping of str to str
        Passwords by user; anybody is let in where it is empty.
    """

    def __init__(self, folder: Path, *, users: Mapping[str, str] | None = None) -> None:
        self._folder, self._users = folder, dict(users or {})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Orthanc:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "StorageDirectory": str(self._folder / "db"),
            "IndexDirectory": str(self._folder / "db"),
            "HttpPort": self.port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self._users),
            "RegisteredUsers": self._users,
            "DicomServerEnabled": False,
            "OverwriteInstances": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (self._folder / "orthanc.json").write_text(json.dumps(settings))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["Orthanc", str(self._folder / "orthanc.json")], stdout=log, stderr=log
            )
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s:
            try:
                if requests.get(f"http://127.0.0.1:{self.port}/system", timeout=5).status_code in (200, 401):
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)
        raise AssertionError((self._folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def count(self) -> int:
        answer = requests.get(f"http://127.0.0.1:{self.port}/statistics", timeout=5)
        return int(answer.json()["CountInstances"])
