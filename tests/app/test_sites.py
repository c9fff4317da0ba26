"""What a browser may send for a page of another site, under which names, and what answers tell it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from .conftest import APP, ROOT, Server, make_studies, running, start_server_command

ALLOWED = "https://ohif.hospital.example"
NAME = "echo.hospital.example"
COSTLY = (
    "/info/",
    "/datastore/?output=all",
    "/datastore/dataset",
    "/datastore/image?image=phantom01_4CH_ED",
    "/cardiac/patients",
    "/cardiac/worklist",
    "/logs/",
    "/nothing",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In open mode, with names and a page of elsewhere that may use it."""
    studies = make_studies(tmp_path_factory.mktemp("sites") / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_OPEN", "true")
        patch.setenv("CARDIOLABEL_HOSTS", f"{NAME}, other.example:8443")
        patch.setenv("MONAI_LABEL_CORS_ORIGINS", f'["{ALLOWED}"]')
        with running(start_server_command(APP, studies), studies) as server:
            yield server


@pytest.mark.parametrize("path", COSTLY)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
def test_a_foreign_page_gets_nothing(server: Server, path: str, site: str, mode: str) -> None:
    answer = server.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("headers", [{"Referer": "http://evil.example/a"}, {"Referer": "http://["}])
def test_a_browser_without_sec_fetch_site_is_judged_by_its_referer(
    server: Server, headers: dict[str, str]
) -> None:
    assert server.get("/cardiac/patients", headers=headers).status_code == 403
    assert server.get("/cardiac/patients", headers={"Referer": f"{server.url}/"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_foreign_page_changes_nothing_without_an_origin_either(server: Server, method: str) -> None:
    answer = server.request(method, "/datastore/image?image=x", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/docs", "/ohif/", "/ohif/viewer"])
def test_a_link_from_anywhere_opens_a_page_though_in_no_frame(server: Server, path: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.get(path, headers=headers).status_code in (200, 404)
    assert server.get(path, headers={**headers, "Sec-Fetch-Dest": "iframe"}).status_code == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_pages_and_typed_addresses_are_answered(server: Server, site: str) -> None:
    assert server.get("/cardiac/patients", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_a_page_that_the_administrator_lists_may_use_the_server(server: Server) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": ALLOWED}
    answer = server.get("/cardiac/patients", headers=headers)
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == ALLOWED
    requested = {**headers, "Access-Control-Request-Method": "PUT"}
    assert server.request("OPTIONS", "/datastore/label", headers=requested).status_code == 200
    foreign = {**requested, "Origin": "https://evil.example"}
    assert "Access-Control-Allow-Origin" not in server.request("OPTIONS", "/info/", headers=foreign).headers


@pytest.mark.parametrize("host", ["evil.example", "", "echo.hospital.example.evil.example", "other.example"])
def test_listed_names_hold_in_open_mode_too(server: Server, host: str) -> None:
    answer = server.get("/info/", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_host"


@pytest.mark.parametrize("host", [NAME, NAME.upper(), f"{NAME}:8000", "other.example:8443", "localhost:1"])
def test_listed_names_are_answered(server: Server, host: str) -> None:
    assert server.get("/info/", headers={"Host": host, "X-Forwarded-For": "10.1.2.3"}).status_code == 200


@pytest.mark.parametrize("path", ["/info/", "/nothing", "/datastore/image?image=../x"])
def test_every_answer_of_data_says_that_nothing_runs_in_it(server: Server, path: str) -> None:
    headers = server.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    assert "server" not in headers


NAMES = """
import os
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.config import settings
from starlette.middleware import Middleware
from lib.server import errors
from lib.security import guard

settings.MONAI_LABEL_AUTH_ENABLE = True
api = FastAPI(middleware=[Middleware(errors.Failures), Middleware(guard.Guard)])
api.get("/x")(lambda: {})
for host in ("echo.example", "evil.example"):
    client = TestClient(api, base_url=f"http://{host}", client=("10.1.2.3", 1))
    print("ANSWER", client.get("/x").status_code)
"""


@pytest.mark.parametrize(("hosts", "answers"), [("echo.example", ["200", "403"]), ("", ["200", "200"])])
def test_listed_names_hold_with_login_too(hosts: str, answers: list[str]) -> None:
    path = os.pathsep.join((str(APP), str(ROOT / "lib")))
    env = {**os.environ, "PYTHONPATH": path, "CARDIOLABEL_HOSTS": hosts}
    command = [sys.executable, "-c", NAMES]
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=APP, check=True)
    assert [line.split()[1] for line in run.stdout.splitlines() if line.startswith("ANSWER")] == answers
