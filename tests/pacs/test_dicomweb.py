"""What a PACS answers is bounded, and never believed to be a path."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("dicomweb_client", reason="needs cardiolabel[server]")

from cardiolabel.errors import PacsError
from cardiolabel.pacs import dicomweb
from cardiolabel.pacs.dicomweb import Instance, Pacs, parsed_query
from cardiolabel.pacs.mirror import Mirror

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
JSON = "application/dicom+json"


@contextmanager
def answering(status: int, kind: str, body: bytes, **headers: str) -> Iterator[str]:
    """A server that answers everything alike."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def study(uid: str) -> bytes:
    return json.dumps([{"0020000D": {"vr": "UI", "Value": [uid]}}]).encode()


@pytest.mark.parametrize("uid", ["../../etc", "1.2/3", "", "a.b", "1" * 65, "1.2\n3"])
def test_identifiers_that_are_no_uids_are_refused(uid: str, tmp_path: Path) -> None:
    with answering(200, JSON, study(uid)) as url:
        with pytest.raises(PacsError, match="expected a UID"):
            Mirror(tmp_path / "studies", url).fetch()
    assert not list(tmp_path.rglob("*.dcm"))


@pytest.mark.parametrize(
    ("status", "kind", "body", "words"),
    [
        (200, JSON, b"{]", "no DICOMweb|does not answer"),
        (200, "text/html", b"<html>", "no DICOMweb|does not answer"),
        (500, JSON, b"", "answered 500"),
        (404, JSON, b"", "answered 404"),
        (403, JSON, b"", "refuses the login"),
        (302, JSON, b"", "by sending elsewhere"),
    ],
)
def test_wrong_answers_are_one_sentence(status: int, kind: str, body: bytes, words: str) -> None:
    with answering(status, kind, body, Location="http://127.0.0.1:9/") as url:
        with pytest.raises(PacsError, match=words):
            list(Pacs(url).instances())


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "_MAX_BYTES", 1000)
    monkeypatch.setattr(dicomweb, "_PIECE", 100)
    with answering(200, JSON, b"[" + b" " * 100_000 + b"]") as url:
        with pytest.raises(PacsError, match="more than is accepted"):
            list(Pacs(url).instances())
        with pytest.raises(PacsError, match=r"image 1\.2\.3 with more"):
            Pacs(url).file(Instance("1.2", "1.2", "1.2.3"))


@pytest.mark.parametrize("text", ["x", "a b=c", "StudyDate", "=3", "../=1"])
def test_queries_that_are_none(text: str) -> None:
    with pytest.raises(PacsError, match="is no query"):
        parsed_query(text)
