"""Generated requests against everything that the server says it answers: none may break it.

``CARDIOLABEL_SCHEMA_EXAMPLES`` says how many requests of each kind are made for each operation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from .conftest import APP, Server, make_studies, running, start_server_command

EXAMPLES = int(os.environ.get("CARDIOLABEL_SCHEMA_EXAMPLES", "8"))
HONEST = {503, 507}
"""What a server may say of itself: something that it needs is missing, or its disk is full."""

KNOWN = {
    "image": "phantom02_4CH_ED",
    "label": "phantom02_4CH_ED",
    "id": "phantom02_2CH_ES",
    "tag": "final",
    "patient": "phantom02",
    "model": "camus",
    "strategy": "first",
    "version": "1",
}
"""Values that lead further into the server than made-up ones."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("schema")
    app = home / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("logs", "__pycache__"))
    studies = make_studies(home / "studies")
    with running(start_server_command(app, studies), studies) as server:
        with (studies / "truth" / f"{KNOWN['label']}.nii.gz").open("rb") as label:
            params = {"image": KNOWN["label"]}
            assert server.put("/datastore/label", params=params, files={"label": ("a.nii.gz", label)}).ok
        yield server


@pytest.mark.long
def test_nothing_that_is_asked_breaks_the_server(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [
        operation
        for result in schema.get_all_operations()
        if (operation := result.ok()).path != "/cardiac/events"  # does not end
    ]
    assert len(operations) > 40
    problems: dict[str, str] = {}
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _ask(server, operation, mode, problems)
    assert not problems, "\n".join(f"{request}: {answer}" for request, answer in problems.items())
    assert server.get("/info/").ok


def _ask(server: Server, operation: Any, mode: GenerationMode, problems: dict[str, str]) -> None:
    """Make requests to one operation and note what is wrong with the answers."""

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a list of problems is enough
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.integers(0, 2))
    def ask(case: Any, known: int) -> None:
        if known:
            for container in (case.path_parameters, case.query):
                if isinstance(container, dict):
                    container.update({key: KNOWN[key] for key in container if key in KNOWN})
        try:
            response = case.call(timeout=60)
        except (requests.RequestException, ValueError, UnicodeError):
            return  # no client could send it
        if fault := _fault(response):
            problems.setdefault(
                f"{operation.label} {response.status_code}", f"{fault}\n  {case.as_curl_command()}"
            )

    try:
        ask()
    except Unsatisfiable:
        pass  # an operation without parameters has no wrong ones


def _fault(response: Any) -> str | None:
    if response.status_code >= 500 and response.status_code not in HONEST:
        return f"broke: {response.text[:300]}"
    kind = response.headers.get("content-type", [""])
    kind = kind[0] if isinstance(kind, list) else kind
    if response.status_code >= 400 and response.request.method != "HEAD":
        if not kind.startswith("application/json"):
            return f"a failure that is {kind}: {response.text[:300]}"
        if not {"code", "message"} <= response.json().keys():
            return f"a failure without code and message: {response.text[:300]}"
    return None
