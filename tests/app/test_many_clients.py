"""Fifty clients at once: each is answered, and nobody who only looks waits for those who compute."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cardiolabel.datasets.phantom import write_sample

from .conftest import APP, Server, needs_weights, running, start_server_command

CLIENTS, PATIENTS = 50, 12
INFO_S = 3.0
"""Far above what it takes, as other tests may run beside this one, and far below waiting for all clients."""

pytestmark = needs_weights


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = tmp_path_factory.mktemp("clients") / "studies"
    write_sample(studies, patients=PATIENTS, seed=3)
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def ask(server: Server, number: int) -> requests.Response:
    """What one of the clients wants; every kind of request is sent by several."""
    patient = f"phantom{number % PATIENTS + 1:02d}"
    image = f"{patient}_4CH_ED"
    kinds = (
        lambda: server.post(f"/infer/camus?image={image}", data={"params": "{}"}),
        lambda: server.get(f"/cardiac/patients/{patient}"),
        lambda: server.get(f"/cardiac/patients/{patient}/figure.png"),
        lambda: server.get("/cardiac/worklist"),
        lambda: server.post("/activelearning/stratified", json={"client_id": f"annotator{number}"}),
    )
    return kinds[number % len(kinds)]()


@pytest.mark.long
def test_fifty_clients_at_once_are_all_answered(server: Server) -> None:
    waits_s: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            begun_s = time.monotonic()
            assert server.get("/info/").ok
            waits_s.append(time.monotonic() - begun_s)

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        looking = pool.submit(look)
        answers = list(pool.map(lambda number: ask(server, number), range(CLIENTS)))
        ended.set()
        looking.result()
    assert [answer.status_code for answer in answers] == CLIENTS * [200]
    leased = [
        answer.json()["id"] for answer in answers if answer.request.path_url.startswith("/activelearning")
    ]
    assert len(set(leased)) == len(leased) == CLIENTS // 5
    assert max(waits_s) < INFO_S, sorted(waits_s)[-5:]
