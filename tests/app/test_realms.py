"""Realms that hang, move or change their keys, and passwords that are guessed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from .conftest import APP, ROOT, Server
from .test_login import ANNOTATOR, USER, Realm, _Answers, send, server_with_login

SOON_S = 0.5


class _Moody(_Answers):
    """A realm of Auth0's kind: nothing at its own address; while it is silent it answers nobody."""

    server: MoodyRealm

    def do_GET(self) -> None:  # noqa: N802  # http.server calls it so
        self.server.awake.wait()
        if self.path.endswith("/realms/monailabel"):
            self._send(404, {"error": "not found"})
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802  # the same
        self.server.awake.wait()
        super().do_POST()


class MoodyRealm(Realm):
    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = _Moody
        self.style = "jwks"
        self.awake = threading.Event()
        self.awake.set()

    def handle_error(self, *_: Any) -> None:
        """Whoever asked has given up waiting."""
        assert isinstance(sys.exception(), ConnectionError)


@contextmanager
def silence(realm: MoodyRealm) -> Iterator[None]:
    realm.awake.clear()
    try:
        yield
    finally:
        realm.awake.set()


@pytest.fixture(scope="module")
def realm() -> Iterator[MoodyRealm]:
    realm = MoodyRealm()
    thread = threading.Thread(target=realm.serve_forever)
    thread.start()
    try:
        yield realm
    finally:
        realm.awake.set()
        realm.shutdown()
        thread.join()
        realm.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, realm: MoodyRealm) -> Iterator[Server]:
    with server_with_login(tmp_path_factory.mktemp("realms"), realm.uri) as server:
        yield server


def log_in(server: Server, name: str, password: str) -> requests.Response:
    return server.post("/auth/token", data={"username": name, "password": password})


def test_a_realm_with_nothing_at_its_own_address_is_found_by_discovery(
    server: Server, realm: MoodyRealm
) -> None:
    assert send(server, "GET", "/info/", realm.token(USER)).status_code == 200
    assert log_in(server, "ada", "right").status_code == 200


def test_a_hanging_realm_does_not_block_valid_tokens(server: Server, realm: MoodyRealm) -> None:
    good = realm.token(USER)
    assert send(server, "GET", "/info/", good).status_code == 200
    with silence(realm), ThreadPoolExecutor(80) as pool:
        logins = [pool.submit(log_in, server, f"user{index}", "x") for index in range(60)]
        time.sleep(0.3)
        for _ in range(10):
            since = time.monotonic()
            assert send(server, "GET", "/info/", good).status_code == 200
            assert time.monotonic() - since < SOON_S
        answers = [login.result() for login in logins]
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)


@pytest.mark.parametrize("kid", ["unknown", "x" * 9000])
def test_unknown_keys_do_not_block_valid_tokens(server: Server, realm: MoodyRealm, kid: str) -> None:
    good = realm.token(USER)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    strange = jwt.encode({"exp": time.time() + 300}, stranger, algorithm="RS256", headers={"kid": kid})
    with silence(realm), ThreadPoolExecutor(60) as pool:
        others = [pool.submit(send, server, "GET", "/info/", strange) for _ in range(60)]
        for _ in range(10):
            since = time.monotonic()
            assert send(server, "GET", "/info/", good).status_code == 200
            assert time.monotonic() - since < SOON_S
        assert {other.result().status_code for other in others} <= {401, 503}


@pytest.mark.parametrize("part", ["[" * 9000, "{" * 9000, '{"alg": "RS256", "kid": []}', '{"kid": 9}'])
def test_headers_of_tokens_that_are_no_json_of_ours(server: Server, part: str) -> None:
    header = jwt.utils.base64url_encode(part.encode()).decode()
    assert send(server, "GET", "/info/", f"{header}.e30.x").status_code == 401


def test_guessed_passwords_wait_longer_and_longer(server: Server) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda number: log_in(server, "mallory", str(number)), range(60)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 20  # a handful are on their way when the limit is reached
    late = log_in(server, " Mallory", "right")
    assert (late.status_code, late.json()["code"]) == (429, "too_many_attempts")
    assert int(late.headers["Retry-After"]) >= 1
    assert log_in(server, "ada", "right").status_code == 200  # nobody else waits


def test_user_names_and_passwords_have_a_length(server: Server) -> None:
    assert log_in(server, "a" * 300, "x").status_code == 422
    assert log_in(server, "ada", "x" * 2000).status_code == 422


def test_fifty_logins_at_once(server: Server) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: log_in(server, "ada", "right"), range(50)))
    assert {answer.status_code for answer in answers} == {200}


def test_fifty_clients_at_once(server: Server, realm: MoodyRealm) -> None:
    token = realm.token(ANNOTATOR)
    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(lambda _: send(server, "GET", "/cardiac/patients", token), range(200))
        assert {answer.status_code for answer in answers} == {200}


KEYS = """
import asyncio, json, time
from lib.security import realm as realms

published, asked = {"old": 1}, []

def keys(uri):
    asked.append(uri)
    if published is None:
        raise ValueError("the realm answered 500")
    return dict(published)

realms.realm_answers.keys = keys

async def main():
    global published
    answers = []
    realm = realms.Realm("http://realm/")
    answers.append([await realm.key("old"), await realm.key("new"), len(asked)])
    published = {"old": 1, "new": 2}
    realm._fetched_at -= realms.AGAIN_S  # so much later
    answers.append([await realm.key("new"), len(asked)])
    realm._fetched_at -= realms.KEPT_S
    published = None
    answers.append([await realm.key("old"), await realm.key("new")])
    await asyncio.sleep(0.1)
    answers.append(len(asked))
    realm._failed_at -= realms.FAILED_S
    published = {"new": 3}
    answers.append(await realm.key("new"))
    await asyncio.sleep(0.1)
    answers.append([await realm.key("new"), await realm.key("old"), len(asked)])
    print("ANSWERS" + json.dumps(answers))

asyncio.run(main())
"""


def test_keys_serve_on_while_the_realm_is_asked_for_newer_ones() -> None:
    answers = _in_the_app(KEYS)
    assert answers == [[1, None, 1], [2, 2], [1, 2], 3, 2, [3, None, 4]]


def _in_the_app(code: str) -> Any:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(APP), str(ROOT / "lib")))}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=APP, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.partition("ANSWERS")[2])
