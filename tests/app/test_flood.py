"""No request stops the server: what has no end, comes too slowly, too often, or is larger than it looks."""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from .conftest import APP, ROOT, Server, make_studies, running, start_server_command

ATTACK = ROOT / "scripts" / "attack.py"
HOST = b"Host: localhost\r\n"
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.nii.gz"\r\n\r\n\r\n'


@pytest.fixture(scope="module", params=["cardiolabel.system.lean_start", "monailabel.main"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started as ``cardiolabel serve`` does, and in MONAI Label's own way."""
    studies = make_studies(tmp_path_factory.mktemp("flood") / "studies")
    with running(start_server_command(APP, studies, module=request.param), studies) as server:
        yield server


def ask(server: Server, *pieces: bytes, wait_s: float = 10.0) -> bytes:
    """Everything that comes back until the server closes the connection or says nothing more."""
    host, port = server.url.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while received := connection.recv(65536):
                answer += received
        except (TimeoutError, ConnectionError):
            pass
    return answer


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def body_of(kind: str, body: bytes, *, method: str = "POST", path: str = "/activelearning/first") -> bytes:
    lines = f"{method} {path} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return lines.encode() + HOST + b"Connection: close\r\n\r\n" + body


def in_the_app(code: str) -> Any:
    """What code of the app's own prints behind ANSWERS, as JSON."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(APP), str(ROOT / "lib")))}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=APP, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.partition("ANSWERS")[2])


HEADS = {
    "a value without an end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000, 431),
    "a name without an end": (b"GET / HTTP/1.1\r\n" + b"a" * 400_000, 431),
    "too many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 101 + b"\r\n", 431),
    "too long headers": (b"GET / HTTP/1.1\r\n" + HOST + b"a: %s\r\n" % (b"b" * 9000) * 9 + b"\r\n", 431),
    "an address without an end": (b"GET /" + b"a" * 400_000, 414),
    "a long address": (b"GET /?" + b"a" * 8200 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00" + b"\xff" * 100, 400),
    "another version": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_have_a_size(server: Server, kind: str) -> None:
    head, status = HEADS[kind]
    assert refusal(ask(server, head))[0] == status


def test_what_follows_a_body_in_chunks_has_a_size_as_well(server: Server) -> None:
    head = b"POST /train/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    for rest in (b"0\r\nx: " + b"a" * 900_000, b"0\r\n" + b"a: b\r\n" * 99_000, b"1;" + b"a" * 900_000):
        assert b"HTTP/1.1 200" not in ask(server, head + rest)
    assert refusal(ask(server, head + b"1\r\n \r\n" * 20_000, wait_s=5))[0] == 400


def test_requests_on_one_connection_are_answered_in_turn_up_to_a_number(server: Server) -> None:
    each = b"GET /info/ HTTP/1.1\r\n" + HOST + b"\r\n"
    last = each.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert ask(server, each * 4 + last).count(b"HTTP/1.1 200") == 5
    assert ask(server, each * 5000).count(b"HTTP/1.1 200") < 20


def test_a_client_that_leaves_amid_its_requests_is_no_failure_of_the_server(server: Server) -> None:
    before = server.log.read_text().count("RuntimeError")
    for _ in range(20):
        host, port = server.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        with connection, suppress(ConnectionError):  # the server closes it as well
            connection.sendall((b"GET /info/ HTTP/1.1\r\n" + HOST + b"\r\n") * 5000)
            connection.recv(4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.get("/info/").ok
    assert server.log.read_text().count("RuntimeError") == before


def test_nothing_but_http_is_spoken(server: Server) -> None:
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    answer = ask(server, b"GET /info/ HTTP/1.1\r\n" + HOST + upgrade, wait_s=3)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nserver:" not in answer.lower()


BODIES: dict[str, tuple[bytes, int]] = {
    "8 MB of brackets": (b"[" * 8 * 1024**2, 413),
    "brackets": (b"[" * 1024**2, 422),
    "nested objects": (b'{"a":' * 49_000, 422),
    "just too deep": (b"[" * 60 + b"]" * 60, 422),
    "many values": (b"[" + b"[],{}," * 200_000 + b"0]", 422),
    "many small values": (b"[" + b"0," * 900_000 + b"0]", 422),
    "a number of a million digits": (b'{"a":' + b"9" * 1024**2 + b"}", 422),
    "many fields": (json.dumps({f"k{number}": number for number in range(5000)}).encode(), 422),
    "many wrong values": (json.dumps([{}] * 16_000).encode(), 422),
    "UTF-16": (("[" * 300_000).encode("utf-16"), 422),
}


@pytest.mark.parametrize("kind", BODIES)
def test_json_is_counted_before_it_is_read(server: Server, kind: str) -> None:
    body, status = BODIES[kind]
    since = time.monotonic()
    answer = ask(server, body_of("application/json", body))
    assert refusal(answer)[0] == status
    assert len(answer) < 5000
    assert time.monotonic() - since < 5
    field = (
        b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n' + body[:900_000] + b"\r\n--x--\r\n"
    )
    answer = ask(server, body_of(FORM, field, path="/infer/camus?image=phantom01_4CH_ED"))
    assert refusal(answer)[0] in (400, 422)


def test_forms_have_few_parts_and_fields(server: Server) -> None:
    answer = ask(server, body_of(FORM, PART * 40 + b"--x--\r\n", method="PUT", path="/session/"))
    assert refusal(answer) == (400, "bad_request")
    answer = ask(server, body_of(FORM, PART * 32 + b"--x--\r\n", method="PUT", path="/session/"))
    assert refusal(answer) == (422, "not_one_image")
    fields = b"&".join(b"a%d=1" % number for number in range(300))
    assert refusal(ask(server, body_of("application/x-www-form-urlencoded", fields)))[0] == 400
    address = b"GET /info/?" + b"a&" * 101 + b" HTTP/1.1\r\nConnection: close\r\n"
    assert refusal(ask(server, address + HOST + b"\r\n"))[0] == 400


def test_an_answer_to_a_wrong_request_is_short(server: Server) -> None:
    body = json.dumps({"images": [{}] * 16_000}).encode()
    answer = ask(server, body_of("application/json", body, path="/batch/infer/camus"))
    assert refusal(answer)[0] == 422
    assert len(answer) < 5000


def test_compressed_bodies_are_not_read(server: Server) -> None:
    body = gzip.compress(b"{}")
    request = body_of("application/json", body).replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)
    assert refusal(ask(server, request)) == (415, "unsupported_encoding")


@pytest.mark.long
def test_a_flood_of_everything_stops_no_good_client(server: Server) -> None:
    pid = str(server.process.pid)
    command = [sys.executable, str(ATTACK), server.url, "--pid", pid, "--seconds", "6"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["failures"] == 0
    assert report["median_s"] < 0.25 and report["slowest_s"] < 3, report  # other tests run beside it
    assert report["memory_mb"]["at_most"] < 1500, report
    assert report["descriptors"]["at_most"] > 500, report  # the attack was one
    assert report["descriptors"]["after"] <= report["descriptors"]["before"] + 3, report


BUDGET = """
import json
from starlette.exceptions import HTTPException
from lib.security.budget import Budget

budget, answers = Budget(6400), []
with budget.share() as large, budget.share() as second, budget.share() as small:
    large.grow_to(4000)
    large.grow_to(3000)
    second.grow_to(700)
    try:
        second.grow_to(900)
    except HTTPException as error:
        answers.append([error.status_code, "Retry-After" in error.headers])
    small.grow_to(100)
    answers.append(budget.taken_bytes)
answers.append(budget.taken_bytes)
print("ANSWERS" + json.dumps(answers))
"""


def test_large_uploads_leave_room_for_small_ones_and_give_theirs_back() -> None:
    assert in_the_app(BUDGET) == [[503, True], 4800, 0]


LIMITS = """
import asyncio, json
from lib.security import connections as limits

limits.HEAD_S, limits.WINDOW_S, limits.LINGER_S, limits.YOUNG_S, limits.SWEEP_S = 0.2, 0.2, 0.1, 0.0, 0.05

class Client:
    def __init__(self, address="127.0.0.1"):
        self.address, self.end, self.arrived, self.unsent, self.held_back = address, None, 0, 0, False
    def body_bytes(self):
        return self.arrived
    def unsent_bytes(self):
        return self.unsent
    def is_held_back(self):
        return self.held_back
    def refuse(self, status, code, message):
        self.end = status
    def abort(self):
        self.end = self.end or "aborted"

async def main():
    answers = {}
    watch = limits.Connections(3, per_address=2)
    clients = [Client() for _ in range(4)]
    for client in clients:
        watch.add(client)
    answers["oldest makes room"] = [client.end for client in clients]
    busy = [Client() for _ in range(4)]
    for client in busy:
        watch.add(client)
        watch.wait_for_nothing(client)
    answers["nobody to make room"] = [client.end for client in busy]
    watch = limits.Connections(30, per_address=2, proxies="10.9.0.0/16")
    strangers, proxied = ([Client(address) for _ in range(3)] for address in ("10.1.2.3", "10.9.1.1"))
    for client in strangers + proxied:
        watch.add(client)
    answers["of one address"] = [client.end for client in strangers + proxied]
    watch = limits.Connections(30, per_address=2)
    silent, slow, fast, held_back, unread = (Client() for _ in range(5))
    for client in (silent, slow, fast, held_back, unread):
        watch.add(client)
    for client in (slow, fast, held_back):
        watch.wait_for_body(client)
    held_back.held_back, unread.unsent = True, 900_000
    watch.wait_for_nothing(unread)
    watch.wait_until_sent(unread)
    for _ in range(12):
        fast.arrived += 100_000
        slow.arrived += 1
        unread.unsent -= 1
        await asyncio.sleep(0.05)
    answers["slow"] = [client.end for client in (silent, slow, fast, held_back, unread)]
    answers["open"] = len(watch.open)
    print("ANSWERS" + json.dumps(answers))

asyncio.run(main())
"""


def test_the_longest_idle_connection_makes_room_and_slow_ones_are_closed() -> None:
    assert in_the_app(LIMITS) == {
        "oldest makes room": ["aborted", None, None, None],
        "nobody to make room": [None, None, None, 503],
        "of one address": ["aborted", None, None, None, None, None],
        "slow": [408, 408, None, None, "aborted"],
        "open": 2,
    }
