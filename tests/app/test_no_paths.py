"""No answer names a path of the server, whatever is asked of it and whatever fails."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from .conftest import APP, ROOT, Server, make_studies, running, start_server_command, write_still

MARKER = "secretmarker"
STILL, CINE, BROKEN, FOLDER = "phantom01_4CH_ED", "phantom02_4CH_cine", "broken_4CH_ED", "folder_4CH_ED"
ABROAD = {"X-Forwarded-For": "203.0.113.7"}
"""From another machine: on this one a viewer may be told where a file lies."""

UNREADABLE = Path("/proc/self/mem")
"""A file whose start no process can read, not even the administrator's."""

MARKS = (MARKER, str(ROOT), sys.prefix, sys.base_prefix, "site-packages", "cardiolabel-results-")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Everything of the server lies below a folder whose name no answer may have."""
    home = tmp_path_factory.mktemp(MARKER)
    (home / "tmp").mkdir()
    app = home / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("logs", "__pycache__"))
    studies = make_studies(home / "studies")
    write_still(studies / "uploaded.nii.gz", np.zeros((40, 40), np.uint8)).rename(home / "sent.nii.gz")
    (studies / f"{BROKEN}.nii.gz").write_bytes(b"no image")
    (studies / f"{FOLDER}.nii.gz").mkdir()
    final = studies / "labels" / "final"
    final.mkdir(parents=True, exist_ok=True)
    (final / f"{STILL}.nii.gz").write_bytes(b"no mask")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(home / "tmp"))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("CARDIOLABEL_OPEN", "true")
        with running(start_server_command(app, studies), studies) as server:
            yield server


class Asked:
    """Answers of a server to requests from another machine, with what none of them may say."""

    def __init__(self, server: Server) -> None:
        self.server, self.answers, self.leaks = server, 0, set[str]()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response | None:
        headers = {**ABROAD, **options.pop("headers", {})}
        answer = self.server.request(method, path, headers=headers, **options)
        self.answers += 1
        text = f"{dict(answer.headers)} {answer.content.decode('latin-1')}"
        for mark in MARKS:
            if mark in text:
                place = text.index(mark)
                self.leaks.add(
                    f"{method} {path} {answer.status_code}: …{text[max(0, place - 150) : place + 60]}…"
                )
        return answer


def routes(server: Server) -> list[tuple[str, str]]:
    """Method and address of everything that is described, and of what is not."""
    described = server.get("/openapi.json", headers=ABROAD).json()["paths"]
    described.pop("/cardiac/events")  # does not end
    listed = [(method.upper(), path) for path, methods in described.items() for method in methods]
    hidden = [
        *(("PUT", "/datastore/"), ("DELETE", "/datastore/"), ("PUT", "/datastore/updatelabelinfo")),
        *(("POST", "/train/"), ("POST", "/scoring/"), ("POST", "/infer/wsi/camus")),
        *(("GET", "/ohif/x"), ("GET", "/ohif/"), ("GET", "/proxy/dicom/x")),
        *(("GET", "/nothing"), ("GET", "/static/nothing")),
        *(("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/docs/oauth2-redirect")),
    ]
    return [*listed, *hidden]


LONG = ("/train", "/batch", "/reload", "/cardiac/train")
"""Begin work that goes on after the answer, or would end another's; asked once, at the end."""

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha", ".mhd", ".zip", ".tar.gz", ".dcm", ".avi")
JSON = {"Content-Type": "application/json"}
KNOWN = {"model": "camus", "strategy": "first", "method": "dice", "patient": "phantom01", "version": "1"}


def bodies(path: str, name: str, sent: bytes) -> Iterator[dict[str, Any]]:
    """Nothing, files that are and are not what their names say, and JSON and forms that are and are not."""
    yield {}
    field = {"/datastore/label": "label", "/session/": "files"}.get(path, "file")
    if name == STILL:
        yield {"files": {field: (f"{name}.nii.gz", sent)}}
        for content in (b"no file", sent[:60]):
            yield from ({"files": {field: (f"{name}{suffix}", content)}} for suffix in SUFFIXES)
    yield {"json": {}}
    yield {"json": [1]}
    yield {"data": b"{", "headers": JSON}
    yield {"data": {"params": "{", "info": "{"}}
    yield {"data": {"params": "{}", "info": "{}"}}


def ask_everything(asked: Asked) -> None:
    """Every route with names that are there, are broken and are not there, and with bodies of every kind."""
    sent = (asked.server.studies.parent / "sent.nii.gz").read_bytes()
    for method, path in routes(asked.server):
        is_write = method in {"POST", "PUT"}
        if path.startswith("/logs") or (method in {"POST", "DELETE"} and path.startswith(LONG)):
            continue
        for name in (STILL, CINE, BROKEN, FOLDER, "nothing"):
            if method == "DELETE" and name in {STILL, CINE} and path.startswith("/datastore/"):
                continue  # they are needed
            listed = {} if name in {BROKEN, "nothing"} else KNOWN
            address = re.sub(r"{(\w+)(:path)?}", lambda match: listed.get(match[1], name), path)  # noqa: B023
            query = {
                "image": name,
                "label": name,
                "id": name,
                "tag": "final",
                "output": "all",
                "version": "1",
            }
            for body in bodies(path, name, sent) if is_write else ({},):
                asked.ask(method, address, params=query, **body)
            asked.ask(method, address)


def ask_a_little(asked: Asked) -> None:
    """What reads the folder, the records, the models and the temporary folder."""
    sent = (asked.server.studies.parent / "sent.nii.gz").read_bytes()
    for method, path in routes(asked.server):
        if method == "GET" and not path.startswith("/logs"):
            address = path.replace("{model}", "camus").replace("{patient}", "phantom01")
            address = address.replace("{image}", STILL).replace("{version}", "1").replace("{session_id}", "x")
            query = {"image": STILL, "label": STILL, "tag": "final", "output": "all"}
            asked.ask("GET", address, params=query)
    asked.ask("POST", "/activelearning/first", json={})
    asked.ask("POST", "/activelearning/random", json={})
    asked.ask("POST", f"/infer/camus?image={STILL}")
    asked.ask("POST", f"/infer/camus?image={STILL}&output=json")
    asked.ask("POST", "/infer/camus", files={"file": ("x.nii.gz", sent)})
    asked.ask("PUT", "/session/", files={"files": ("x.nii.gz", sent)})
    asked.ask("PUT", "/datastore/image?image=new", files={"file": ("x.nii.gz", sent)})
    asked.ask("PUT", f"/datastore/label?image={STILL}", files={"label": ("x.nii.gz", sent)})
    asked.ask("PUT", f"/datastore/image/info?image={STILL}", data={"info": "{}"})
    asked.ask("PUT", "/model/camus", files={"file": ("x.zip", b"PK")})
    asked.ask("POST", f"/cardiac/labels/{STILL}/rollback?version=1")
    asked.ask("POST", "/reload")


@contextmanager
def moved(path: Path, content: bytes | Path | None = None) -> Iterator[None]:
    """A file or folder that is gone for a while, has other content or is a link."""
    stored = path.with_name(f"{path.name}.kept")
    is_there = path.exists()
    if is_there:
        path.rename(stored)
    if isinstance(content, Path):
        path.symlink_to(content)
    elif content is not None:
        path.write_bytes(content)
    try:
        yield
    finally:
        discarded = path.with_name(f"{path.name}.discarded")
        if path.exists() or path.is_symlink():
            path.rename(discarded)  # at once: the server may be writing into it
        if is_there:
            stored.rename(path)
        if discarded.is_dir() and not discarded.is_symlink():
            shutil.rmtree(discarded, ignore_errors=True)
        else:
            discarded.unlink(missing_ok=True)


STATES: dict[str, tuple[Callable[[Path], Path], bytes | Path | None]] = {
    "no columns in the manifest": (lambda home: home / "studies" / "manifest.csv", b"a,b\n1,2\n"),
    "a bad cell": (
        lambda home: home / "studies" / "manifest.csv",
        b"image_id,patient,view,phase,dataset,path\n../x,p,A4C,ED,made,/etc/passwd\n",
    ),
    "no text in the manifest": (lambda home: home / "studies" / "manifest.csv", b"\xff\xfe\x00\x01" * 50),
    "a damaged register": (lambda home: home / "studies" / ".cardiolabel" / "image_ids.json", b"{"),
    "a damaged card": (lambda home: home / "app" / "model" / "camus.json", b"{"),
    "damaged weights": (lambda home: home / "app" / "model" / "camus.safetensors", b"no weights"),
    "no weights": (lambda home: home / "app" / "model" / "camus.safetensors", None),
    "no temporary folder": (lambda home: home / "tmp", None),
    "a file for the temporary folder": (lambda home: home / "tmp", b""),
    "no labels": (lambda home: home / "studies" / "labels", b""),
    "no home": (lambda home: home / "home", b""),
    "no archive": (lambda home: home / "studies" / ".cardiolabel" / "versions", b""),
    "no drafts": (lambda home: home / "studies" / ".cardiolabel" / "drafts", b""),
    "no image file": (lambda home: home / "studies" / f"{STILL}.nii.gz", None),
    "an unreadable image": (lambda home: home / "studies" / f"{STILL}.nii.gz", UNREADABLE),
    "an unreadable label": (
        lambda home: home / "studies" / "labels" / "final" / f"{STILL}.nii.gz",
        UNREADABLE,
    ),
    "an unreadable manifest": (lambda home: home / "studies" / "manifest.csv", UNREADABLE),
    "an unreadable register": (lambda home: home / "studies" / ".cardiolabel" / "image_ids.json", UNREADABLE),
    "unreadable weights": (lambda home: home / "app" / "model" / "camus.safetensors", UNREADABLE),
    "an unreadable card": (lambda home: home / "app" / "model" / "camus.json", UNREADABLE),
    "no studies": (lambda home: home / "studies", None),
}


@pytest.mark.long
def test_no_answer_to_a_request_names_a_path(server: Server) -> None:
    requested = Asked(server)
    ask_everything(requested)
    assert requested.answers > 1000
    assert not requested.leaks, "\n".join(sorted(requested.leaks))


@pytest.mark.parametrize("state", STATES)
def test_no_answer_names_a_path_where_something_is_damaged(server: Server, state: str) -> None:
    place, content = STATES[state]
    requested = Asked(server)
    with moved(place(server.studies.parent), content):
        ask_a_little(requested)
    assert not requested.leaks, "\n".join(sorted(requested.leaks))


@pytest.mark.long
def test_no_task_s_state_names_a_path(server: Server) -> None:
    requested = Asked(server)
    bodies: list[tuple[str, Any]] = [
        ("/batch/infer/camus?run_sync=true", {"images": [BROKEN, STILL]}),
        ("/batch/infer/camus", {"images": [BROKEN, STILL]}),
        ("/train/camus?run_sync=true", {"epochs": 1}),
        ("/train/camus", {"epochs": 1}),
    ]
    for address, body in bodies:
        requested.ask("POST", address, json=body)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        states = [
            requested.ask("GET", path)
            for path in ("/train/", "/batch/infer", "/scoring/", "/cardiac/training")
        ]
        requested.ask("GET", "/info/")
        texts = [answer.text for answer in states if answer is not None]
        if not any(word in text for text in texts for word in ("RUNNING", "SUBMITTED", '"running"')):
            break
        time.sleep(1)
    for address in ("/train/", "/batch/infer"):
        requested.ask("DELETE", address)
    assert not requested.leaks, "\n".join(sorted(requested.leaks))
