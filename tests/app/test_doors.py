"""Hostile and broken requests to a real server: each is refused by name, and nothing is written."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import pytest
import requests

from cardiolabel.records.layout import StudiesLayout

from .conftest import (
    APP,
    ROOT,
    WEIGHTS,
    Server,
    make_studies,
    needs_weights,
    running,
    start_server_command,
    write_still,
)

STILL = "phantom01_4CH_ED"
UPLOAD_MB, IMAGE_MB = 13, 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its own copy of the app and its own temporary folder, and low limits."""
    home = tmp_path_factory.mktemp("doors")
    (home / "tmp").mkdir()
    app = home / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("logs", "__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_MAX_UPLOAD_MB", str(UPLOAD_MB))
        patch.setenv("CARDIOLABEL_MAX_IMAGE_MB", str(IMAGE_MB))
        patch.setenv("TMPDIR", str(home / "tmp"))
        studies = make_studies(home / "studies")
        with running(start_server_command(app, studies), studies) as server:
            yield server


@pytest.fixture
def unchanged(server: Server) -> Iterator[None]:
    """Whatever is asked, no file is written, within the server's folders or beside them."""
    before = listing(server)
    yield
    deadline = time.monotonic() + 30  # the file of an answer goes once the answer is sent
    while listing(server) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert listing(server) == before


def listing(server: Server) -> dict[str, int]:
    """Files and their sizes around the studies; without logs, the database and the font cache of matplotlib.

    Logs and the database may always grow, and the scoring process writes the cache when it starts.
    """
    home = server.studies.parent
    skipped = (
        home / "home" / ".local" / "state",
        home / "home" / ".cache" / "matplotlib",
        home / "studies" / ".cardiolabel",
        server.log,
    )
    return {
        str(path.relative_to(home)): path.stat().st_size
        for path in sorted(home.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(each) for each in skipped)
    }


def ask(
    server: Server,
    method: str,
    target: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> tuple[int, Any]:
    """Send a request exactly as written, which `requests` does not."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.request(method, target, body, headers or {}, **options)
        response = connection.getresponse()
        content = response.read()
        assert response.headers.get_content_type() == "application/json", (response.status, content[:300])
        return response.status, json.loads(content)
    finally:
        connection.close()


def refusal(answer: tuple[int, Any], status: int, code: str) -> str:
    got, body = answer
    assert (got, body["code"]) == (status, code), body
    assert body["message"] and "Traceback" not in body["message"]
    return str(body["message"])


def upload(
    server: Server, method: str, target: str, field: str, name: str, content: bytes
) -> tuple[int, Any]:
    files = {field: (name, content)}
    response = server.request(method, target, files=files)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


def still(server: Server) -> bytes:
    return (server.studies / f"{STILL}.nii.gz").read_bytes()


PATHS = [
    "..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "%252e%252e%252fx",
    "%25252e%25252e%25252fx",
    "..%5Cx",
    "a%00b",
    "..",
    "%2e%2e",
    "a%0Ab",
    "x" * 300,
]


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name[:20])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/datastore/image?image="),
        ("GET", f"/datastore/label?label={STILL}&tag="),
        ("HEAD", "/datastore/image?image="),
        ("DELETE", "/datastore/image?id="),
        ("POST", "/infer/camus?session_id="),
        ("GET", "/session/"),
        ("DELETE", "/session/"),
        ("GET", "/model/"),
        ("DELETE", "/model/"),
        ("GET", "/cardiac/patients/"),
        ("POST", "/train/"),
        ("POST", "/activelearning/"),
        ("GET", "/static/"),
        ("GET", "/ohif/"),
    ],
)
def test_names_that_lead_elsewhere(
    server: Server, unchanged: None, method: str, target: str, name: str
) -> None:
    if method == "HEAD":
        assert server.request("HEAD", target + name).status_code == 400
    else:
        refusal(ask(server, method, target + name), 400, "bad_name")


@pytest.mark.parametrize("target", ["/static/../../main.py", "/model/../../../etc/passwd", "/ohif/..\\..\\x"])
def test_addresses_that_climb(server: Server, unchanged: None, target: str) -> None:
    refusal(ask(server, "GET", target), 400, "bad_name")


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/batch/infer/camus", {"images": ["../x"]}),
        ("/batch/infer/camus", {"images": [STILL, "/etc/passwd"]}),
        ("/batch/infer/camus", {"images": [STILL], "label_tag": "../../x"}),
        ("/batch/infer/camus?run_sync=true", {"images": [STILL], "label_tag": "a/b"}),
        ("/train/camus", {"model": "../x"}),
        ("/train/", {"camus": {"image": "..\\x"}}),
        ("/scoring/dice", {"params": {"deep": [{"tag": "%2e%2e%2fx"}]}}),
        ("/activelearning/first", {"image": "/etc/passwd"}),
        ("/infer/wsi/camus", {"params": {"image": "/etc/passwd"}}),
    ],
)
def test_names_in_json_that_lead_elsewhere(
    server: Server, unchanged: None, target: str, body: dict[str, Any]
) -> None:
    answer = ask(server, "POST", target, json.dumps(body), {"Content-Type": "application/json"})
    refusal(answer, 400, "bad_name")


@pytest.mark.parametrize("params", [{"label_tag": "../x", "save_label": True}, {"image": "/etc/passwd"}])
def test_names_in_params_of_a_form_that_lead_elsewhere(
    server: Server, unchanged: None, params: dict[str, Any]
) -> None:
    response = server.post(f"/infer/camus?image={STILL}", data={"params": json.dumps(params)})
    refusal((response.status_code, response.json()), 400, "bad_name")
    response = server.post("/infer/camus", files={"params": (None, json.dumps(params))})
    refusal((response.status_code, response.json()), 400, "bad_name")


@pytest.mark.parametrize("name", ["..", "a/..", "..\\..", "a\0b.nii.gz", "a\x1bb.nii.gz", "x" * 300 + ".nii"])
@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("PUT", "/session/", "files"),
        ("POST", "/infer/camus", "file"),
        ("PUT", f"/datastore/label?image={STILL}", "label"),
        ("PUT", "/datastore/image?image=new", "file"),
        ("PUT", "/datastore/image", "file"),
        ("PUT", "/model/camus", "file"),
    ],
)
def test_names_of_uploaded_files_that_no_file_has(
    server: Server, unchanged: None, method: str, target: str, field: str, name: str
) -> None:
    refusal(upload(server, method, target, field, name, still(server)), 400, "bad_name")


@pytest.mark.parametrize(
    "name",
    [
        "/home/me/scan_4CH.nii.gz",
        "../images/scan_4CH.nii.gz",
        "a/../../scan_4CH.nii.gz",
        "C:\\Users\\me\\scan_4CH.nii.gz",
        "..\\scan_4CH.nii.gz",
    ],
)
def test_a_clients_own_path_is_no_path_of_the_server(server: Server, name: str) -> None:
    _, body = upload(server, "PUT", "/session/", "files", name, still(server))
    assert body["session_info"]["image"] == "scan_4CH.nii.gz"
    assert str(server.studies.parent) not in json.dumps(body)
    assert server.request("DELETE", f"/session/{body['session_id']}").status_code == 200


@pytest.mark.parametrize("session", ["nothing", "1", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{6ba7b810}"])
def test_sessions_that_are_none(server: Server, unchanged: None, session: str) -> None:
    refusal(ask(server, "GET", f"/session/{session}"), 404, "unknown_session")
    refusal(ask(server, "DELETE", f"/session/{session}"), 404, "unknown_session")
    refusal(ask(server, "POST", f"/infer/camus?session_id={session}"), 404, "unknown_session")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b"\xff\xfe\x00",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_json_that_is_none(server: Server, unchanged: None, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refusal(ask(server, "POST", "/activelearning/first", body, headers), 422, "bad_params")
    response = server.post(f"/infer/camus?image={STILL}", files={"params": (None, body)})
    refusal((response.status_code, response.json()), 422, "bad_params")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"no parts"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"),
        ("multipart/form-data; boundary=" + "x" * 300, b""),
    ],
)
def test_multipart_that_is_none(server: Server, unchanged: None, content_type: str, body: bytes) -> None:
    status, answer = ask(server, "PUT", "/session/", body, {"Content-Type": content_type})
    assert status in (400, 422)
    assert answer["code"] == "bad_request"


def test_an_upload_that_is_too_large(server: Server, unchanged: None) -> None:
    content = os.urandom((UPLOAD_MB + 1) * 1024**2)
    message = refusal(upload(server, "PUT", "/session/", "files", "a.nii.gz", content), 413, "too_large")
    assert f"{UPLOAD_MB} MB" in message and "CARDIOLABEL_MAX_UPLOAD_MB" in message


def test_an_upload_that_does_not_say_how_large_it_is(server: Server, unchanged: None) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.nii.gz"\r\n\r\n'
        for _ in range(UPLOAD_MB + 1):
            yield bytes(1024**2)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = requests.put(f"{server.url}/session/", data=pieces(), headers=headers, timeout=60)
    refusal((response.status_code, response.json()), 413, "too_large")


def test_a_plain_body_has_a_smaller_limit(server: Server, unchanged: None) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"a": "' + b"x" * 9 * 1024**2 + b'"}'
    refusal(ask(server, "POST", "/activelearning/first", body, headers), 413, "too_large")
    chunked = ask(server, "POST", "/activelearning/first", iter([body]), headers, encode_chunked=True)
    refusal(chunked, 413, "too_large")


def test_a_client_that_asks_first_is_told_before_it_sends(server: Server, unchanged: None) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Expect": "100-continue"}
    headers["Content-Length"] = str(10 * 1024**3)
    refusal(ask(server, "PUT", "/session/", None, headers), 413, "too_large")


def bomb(server: Server) -> bytes:
    """A small image with 200 MB behind it."""
    return gzip.compress(gzip.decompress(still(server)) + bytes(200 * 1024**2))


def declared_bomb(server: Server) -> bytes:
    """An image that is larger than the limit."""
    image = nib.Nifti1Image(np.zeros((6000, 6000), np.uint8), np.eye(4))
    return gzip.compress(image.to_bytes())


@pytest.mark.parametrize(
    ("make", "status", "code"), [(bomb, 422, "unusable_image"), (declared_bomb, 413, "too_large")]
)
def test_gzip_bombs(
    server: Server, unchanged: None, make: Callable[[Server], bytes], status: int, code: str
) -> None:
    content = make(server)
    for method, target, field in (
        ("PUT", "/session/", "files"),
        ("POST", "/infer/camus", "file"),
        ("PUT", f"/datastore/label?image={STILL}", "label"),
        ("PUT", "/datastore/image?image=bomb", "file"),
    ):
        answer = upload(server, method, target, field, "a.nii.gz", content)
        refusal(answer, status, code)


def test_a_mask_whose_pixels_are_another_file_of_the_server(server: Server, unchanged: None) -> None:
    head = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 2 2\nencoding: raw\ndata file: /etc/passwd\n\n"
    answer = upload(server, "PUT", f"/datastore/label?image={STILL}", "label", "a.nrrd", head.encode())
    assert "another file" in refusal(answer, 422, "unreadable_image")


def zipped(*members: tuple[str, bytes], mode: int = 0) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def tarred(name: str, content: bytes, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(content) if size is None else size
        info.linkname = "/etc/passwd"
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def long_name_tar() -> bytes:
    """A name of 1 GB, as a tar archive may have it."""
    head = tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 1024**3
    return gzip.compress(head.tobuf(tarfile.GNU_FORMAT) + bytes(1024**2))


ARCHIVES: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "zip that climbs": (lambda image: zipped(("../../evil.nii.gz", image)), 400, "bad_name"),
    "zip that climbs backwards": (lambda image: zipped(("..\\evil.nii.gz", image)), 400, "bad_name"),
    "zip with an absolute name": (lambda image: zipped(("/etc/evil.nii.gz", image)), 400, "bad_name"),
    "zip with a drive": (lambda image: zipped(("C:/evil.nii.gz", image)), 400, "bad_name"),
    "zip with a link": (lambda image: zipped(("a.nii.gz", image), mode=0o120777), 422, "bad_archive"),
    "zip bomb": (lambda _: zipped(("a.nii", bytes(64 * 1024**2))), 422, "bad_archive"),
    "zip of many": (
        lambda image: zipped(*((f"{number}.txt", b"") for number in range(300)), ("a.nii.gz", image)),
        422,
        "bad_archive",
    ),
    "zip of two": (lambda image: zipped(("a.nii.gz", image), ("b/c.nii.gz", image)), 422, "not_one_image"),
    "zip of the same twice": (
        lambda image: zipped(("a.nii.gz", image), ("b/a.nii.gz", image)),
        422,
        "bad_archive",
    ),
    "zip of none": (lambda _: zipped(("a.txt", b"x")), 422, "not_one_image"),
    "zip that is cut": (lambda image: zipped(("a.nii.gz", image))[:-30], 422, "bad_archive"),
    "tar that climbs": (lambda image: tarred("../../evil.nii.gz", image), 400, "bad_name"),
    "tar with an absolute name": (lambda image: tarred("/etc/evil.nii.gz", image), 400, "bad_name"),
    "tar with a link": (lambda _: tarred("a.nii.gz", b"", tarfile.SYMTYPE), 422, "bad_archive"),
    "tar with a hard link": (lambda _: tarred("a.nii.gz", b"", tarfile.LNKTYPE), 422, "bad_archive"),
    "tar with a device": (lambda _: tarred("a.nii.gz", b"", tarfile.CHRTYPE), 422, "bad_archive"),
    "tar bomb": (lambda _: tarred("a.nii", bytes(64 * 1024**2)), 422, "bad_archive"),
    "tar with a long name": (lambda _: long_name_tar(), 422, "bad_archive"),
    "tar that is cut": (lambda image: tarred("a.nii.gz", image)[:-30], 422, "bad_archive"),
    "no archive": (lambda _: b"not an archive", 422, "bad_archive"),
    "nothing": (lambda _: b"", 422, "bad_archive"),
    "broken image": (lambda _: zipped(("a.nii.gz", b"no image")), 422, "unreadable_image"),
    "bomb within": (
        lambda image: zipped(("a.nii.gz", gzip.compress(gzip.decompress(image) + bytes(64 * 1024**2)))),
        422,
        "unusable_image",
    ),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_dangerous_archives_are_refused(server: Server, unchanged: None, kind: str) -> None:
    make, status, code = ARCHIVES[kind]
    answer = upload(server, "PUT", "/session/?uncompress=true", "files", "a.zip", make(still(server)))
    refusal(answer, status, code)


@pytest.mark.parametrize(
    "pack",
    [
        lambda image: zipped(("deep/a.nii.gz", image), ("x.txt", b"")),
        lambda image: tarred("./deep/a.nii.gz", image),
    ],
    ids=["zip", "tar.gz"],
)
def test_an_archive_with_one_image_becomes_a_session(server: Server, pack: Callable[[bytes], bytes]) -> None:
    status, body = upload(server, "PUT", "/session/?uncompress=true", "files", "a", pack(still(server)))
    assert status == 200, body
    session = body["session_id"]
    assert server.get(f"/session/{session}").json()["image"] == "a.nii.gz"
    assert server.get(f"/session/{session}?image=true").content == still(server)
    assert server.request("DELETE", f"/session/{session}").status_code == 200
    assert server.get(f"/session/{session}").status_code == 404


@pytest.mark.parametrize("count", [2, 3])
def test_a_session_is_one_image(server: Server, unchanged: None, count: int) -> None:
    files = [("files", (f"{number}.nii.gz", still(server))) for number in range(count)]
    response = server.put("/session/", files=files)
    refusal((response.status_code, response.json()), 422, "not_one_image")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "", "[::2]"])
def test_other_names_of_this_machine(server: Server, unchanged: None, host: str) -> None:
    refusal(ask(server, "GET", "/info/", headers={"Host": host}), 403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]", "[::1]:8000", "LOCALHOST"])
def test_this_machines_own_names(server: Server, host: str) -> None:
    assert ask(server, "GET", "/info/", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("client", ["10.1.2.3", "2001:db8::1", "203.0.113.9, 10.0.0.1", "nobody"])
def test_other_machines_without_login(server: Server, unchanged: None, client: str) -> None:
    answer = ask(server, "GET", "/info/", headers={"X-Forwarded-For": client})
    message = refusal(answer, 403, "login_required")
    assert "CARDIOLABEL_OPEN" in message and "MONAI_LABEL_AUTH_ENABLE" in message


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://[", "https://127.0.0.1.evil.example"]
)
def test_pages_of_other_origins(server: Server, unchanged: None, origin: str) -> None:
    answer = ask(server, "POST", "/activelearning/first", headers={"Origin": origin})
    refusal(answer, 403, "foreign_origin")


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/proxy/dicom/wado/studies", 404, "no_dicomweb"),
        ("POST", "/proxy/dicom/x", 404, "no_dicomweb"),
        ("GET", "/proxy/dicom/", 404, "no_dicomweb"),
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/static/nothing", 404, "not_found"),
        ("PATCH", "/info/", 405, "method_not_allowed"),
        ("GET", "/logs/?lines=0", 422, "bad_request"),
        ("GET", "/logs/?lines=10001", 422, "bad_request"),
        ("GET", "/datastore/dataset?limit_cases=0", 422, "bad_request"),
        ("GET", "/model/nothing", 404, "unknown_model"),
        ("GET", "/model/info/nothing", 404, "unknown_model"),
        ("DELETE", "/model/nothing", 404, "unknown_model"),
        ("DELETE", "/model/camus", 409, "model_in_use"),
        ("POST", "/train/nothing", 404, "unknown_model"),
        ("POST", "/batch/infer/nothing", 404, "unknown_model"),
        ("POST", "/scoring/nothing", 404, "unknown_method"),
        ("GET", "/scoring/", 404, "no_task"),
        ("POST", "/infer/wsi_v2/camus", 404, "unknown_model"),
    ],
)
def test_what_is_not_there(
    server: Server, unchanged: None, method: str, target: str, status: int, code: str
) -> None:
    refusal(ask(server, method, target), status, code)


def test_the_log_is_plain_text_of_bounded_length(server: Server) -> None:
    response = server.get("/logs/?lines=5")
    assert response.headers["content-type"].startswith("text/plain")
    assert 0 < len(response.text.splitlines()) <= 5


def test_without_a_gpu(server: Server, unchanged: None) -> None:
    if shutil.which("nvidia-smi"):
        assert server.get("/logs/gpu").ok
    else:
        refusal(ask(server, "GET", "/logs/gpu"), 404, "no_gpu")


def test_reloading_keeps_serving(server: Server, unchanged: None) -> None:
    assert ask(server, "POST", "/reload") == (200, {})
    assert server.get("/info/").ok


def test_answers_do_not_tell_other_sites_where_they_came_from(server: Server) -> None:
    headers = server.get("/cardiac/patients").headers
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickled",)


def card() -> dict[str, Any]:
    return dict(json.loads(WEIGHTS.with_suffix(".json").read_text()))


MODELS: dict[str, Callable[[], bytes]] = {
    "no zip": lambda: b"weights",
    "pickle": lambda: pickle.dumps(Malicious()),
    "zip of a pickle": lambda: zipped(
        ("camus.pt", pickle.dumps(Malicious())), ("camus.json", json.dumps(card()).encode())
    ),
    "pickle by another name": lambda: zipped(
        ("camus.safetensors", pickle.dumps(Malicious())), ("camus.json", json.dumps(card()).encode())
    ),
    "no card": lambda: zipped(("camus.safetensors", WEIGHTS.read_bytes())),
    "card that is none": lambda: zipped(("camus.safetensors", WEIGHTS.read_bytes()), ("camus.json", b"[1]")),
    "endless card": lambda: zipped(("camus.safetensors", b""), ("camus.json", b"[" * 10**6)),
    "another model's card": lambda: with_card(name="sunnybrook"),
    "another checksum": lambda: with_card(sha256="0" * 64),
    "another network": lambda: with_card(network="transformer"),
    "another recipe": lambda: with_card(recipe="nothing"),
    "a network of terabytes": lambda: with_card(arguments={"out_channels": 10**11}),
    "a network that is none": lambda: with_card(arguments={"widths": "x"}),
    "climbs": lambda: zipped(("../camus.safetensors", b""), ("camus.json", b"{}")),
}


def with_card(**changes: Any) -> bytes:
    return zipped(
        ("camus.safetensors", WEIGHTS.read_bytes()),
        ("camus.json", json.dumps({**card(), **changes}).encode()),
    )


@needs_weights
@pytest.mark.parametrize("kind", MODELS)
def test_dangerous_models_are_refused(server: Server, unchanged: None, kind: str) -> None:
    status, body = upload(server, "PUT", "/model/camus", "file", "camus.zip", MODELS[kind]())
    expected = {"climbs": (400, "bad_name"), "no zip": (422, "bad_archive"), "pickle": (422, "bad_archive")}
    assert (status, body["code"]) == expected.get(kind, (422, "unusable_model")), body
    assert server.post(f"/infer/camus?image={STILL}&output=json").ok


@needs_weights
def test_a_model_comes_back_as_it_was_taken(server: Server) -> None:
    before = server.get("/model/info/camus").json()
    content = server.get("/model/camus").content
    status, body = upload(server, "PUT", "/model/camus", "file", "camus.zip", content)
    assert status == 200, body
    assert body["checksum"] == before["checksum"]
    (result,) = [each for each in server.get("/cardiac/models").json() if each["name"] == "camus"]
    assert [(each["number"], each["served"]) for each in result["versions"]] == [(1, True), (0, False)]
    assert result["versions"][0]["note"]["why"] == "uploaded"
    assert server.post(f"/infer/camus?image={STILL}&output=json").ok


@needs_weights
def test_a_model_is_rolled_back(server: Server) -> None:
    status, body = upload(server, "PUT", "/model/camus", "file", "camus.zip", with_card(version="other"))
    assert (status, body["version"]) == (200, "other")
    params = server.post(f"/infer/camus?image={STILL}&output=json").json()
    assert params["model"]["version"] == "other"
    body = server.post("/cardiac/models/camus/rollback?version=0").json()
    assert body["card"]["version"] == card()["version"]
    assert [each["number"] for each in body["versions"] if each["served"]] == [0]
    params = server.post(f"/infer/camus?image={STILL}&output=json").json()
    assert params["model"]["version"] == card()["version"]
    refusal(ask(server, "POST", "/cardiac/models/camus/rollback"), 422, "unusable_input")
    refusal(ask(server, "POST", "/cardiac/models/camus/rollback?version=99"), 422, "unusable_input")
    refusal(ask(server, "POST", "/cardiac/models/nobody/rollback"), 404, "unknown_model")


@needs_weights
def test_a_model_that_is_not_served_can_be_deleted(server: Server) -> None:
    shipped, published = server.studies.parent / "app" / "model", StudiesLayout(server.studies).models
    version = published / "versions" / "old" / "1"
    version.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        shutil.copy(shipped / f"camus{suffix}", version / f"old{suffix}")
    (version.parent / "served").write_text("1")
    assert server.request("DELETE", "/model/old").status_code == 200
    assert not version.parent.exists()


@needs_weights
def test_a_model_that_ships_is_not_deleted(server: Server) -> None:
    folder = server.studies.parent / "app" / "model"
    for suffix in (".safetensors", ".json"):
        shutil.copy(folder / f"camus{suffix}", folder / f"old{suffix}")
    refusal(ask(server, "DELETE", "/model/old"), 409, "shipped_model")
    assert len(list(folder.glob("old*"))) == 2


def test_the_datasets_file_is_not_left_behind(server: Server) -> None:
    refusal(ask(server, "GET", "/datastore/dataset"), 404, "no_labels")
    truth = (server.studies / "truth" / f"{STILL}.nii.gz").read_bytes()
    assert upload(server, "PUT", f"/datastore/label?image={STILL}", "label", "a.nii.gz", truth)[0] == 200
    content = server.get("/datastore/dataset?limit_cases=1").content
    assert f"image/{STILL}.nii.gz" in zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert not list((server.studies.parent / "tmp").glob("*.zip"))


def test_a_full_disk(tmp_path: Path) -> None:
    """Stood in for by a limit on the size of files."""
    (tmp_path / "tmp").mkdir()
    studies = make_studies(tmp_path / "studies")
    command = ["bash", "-c", 'ulimit -f 1500; exec "$@"', "server", *start_server_command(APP, studies)]
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 1600), np.uint8)
    content = write_still(tmp_path / "large.nii.gz", pixels).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path / "tmp"))
        with running(command, studies) as server:
            before = listing(server)
            for method, target, field in (
                ("PUT", "/session/", "files"),
                ("PUT", "/datastore/image?image=large", "file"),
                ("PUT", f"/datastore/label?image={STILL}", "label"),
                ("POST", "/infer/camus", "file"),
            ):
                answer = upload(server, method, target, field, "large.nii.gz", content)
                assert "nothing was stored" in refusal(answer, 507, "disk_full")
            assert listing(server) == before
            assert server.get("/info/").ok


CALLERS = """
import os
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from lib.server import errors
from lib.security import environment, guard

api = FastAPI(middleware=[Middleware(errors.Failures), Middleware(guard.Guard)])
api.get("/x")(lambda: {})

def ask(address, host, **settings):
    environment.environment.cache_clear()
    os.environ.update(settings)
    client = TestClient(api, base_url=f"http://{host}", client=(address, 1))
    print("ANSWER", client.get("/x").status_code)
    for name in settings:
        del os.environ[name]

ask("127.0.0.1", "localhost")
ask("::1", "[::1]:8000")
ask("::ffff:127.0.0.1", "127.0.0.1")
ask("10.1.2.3", "localhost")
ask("127.0.0.1", "echo.hospital.example")
for name in ("X-Real-IP", "Forwarded", "X-Forwarded-For"):
    client = TestClient(api, base_url="http://localhost", client=("::1", 1))
    print("ANSWER", client.get("/x", headers={name: "10.1.2.3"}).status_code)
ask("127.0.0.1", "echo.hospital.example:8000", CARDIOLABEL_HOSTS="a.example, Echo.Hospital.Example")
ask("10.1.2.3", "echo.hospital.example", CARDIOLABEL_HOSTS="echo.hospital.example")
ask("10.1.2.3", "echo.hospital.example", CARDIOLABEL_OPEN="true")
"""


def test_who_is_answered_without_login_is_the_administrators_choice() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(APP), str(ROOT / "lib")))}
    command = [sys.executable, "-c", CALLERS]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=APP, check=True)
    answers = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers == ["200"] * 3 + ["403"] * 5 + ["200", "403", "200"]


def test_weights_are_only_loaded_without_running_code() -> None:
    for folder in ("lib", "apps", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import pickle" not in text and "joblib" not in text, path
            for call in text.split("torch.load(")[1:]:
                assert "weights_only=True" in call.partition(")")[0], path
