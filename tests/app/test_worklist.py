"""The worklist of a real server: scored beside it, sorted, and handed out by what corrections are worth."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cardiolabel.active_learning.selection import STRATEGIES
from cardiolabel.io import nifti

from .conftest import APP, Server, make_studies, needs_weights, running, start_server_command, true_masks

pytestmark = needs_weights

PATIENCE_S = 120


def studies_of(folder: Path) -> Path:
    """Phantoms under another dataset's name, but for the last patient."""
    made = make_studies(folder)
    listed = made / "manifest.csv"
    lines = listed.read_text().splitlines()
    listed.write_text(
        "\n".join(line.replace(",phantom,", ",clinic,", 1) if "01" in line[:9] else line for line in lines)
    )
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = studies_of(tmp_path_factory.mktemp("worklist") / "studies")
    with running([*start_server_command(APP, studies), "--conf", "models", "camus"], studies) as server:
        yield server


def rows(server: Server, **params: Any) -> list[dict[str, Any]]:
    """The worklist once it is up to date."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        text = server.get("/cardiac/worklist", params=params).json()
        if all(row["up_to_date"] for row in text["rows"]):
            return list(text["rows"])
        time.sleep(0.5)
    pytest.fail(f"not scored after {PATIENCE_S} s: {text['scoring']}")


def ask(server: Server, strategy: str, who: str, **more: Any) -> Any:
    return server.post(f"/activelearning/{strategy}", json={"client_id": who, **more})


def test_every_image_has_its_ef_with_an_interval(server: Server) -> None:
    result = rows(server)
    assert {row["image"] for row in result} == {
        path.name.removesuffix(".nii.gz") for path in server.studies.glob("*.nii.gz")
    }
    for row in result:
        assert row["ef_low_pct"] < row["ef_pct"] < row["ef_high_pct"]
        assert row["entropy"] > 0
        assert row["model"]["name"] == "camus"
    assert sum(row["share"] or 0 for row in result if row["patient"] == "phantom01") == pytest.approx(
        1, abs=0.01
    )


def test_phantoms_are_flagged_and_listed_last(server: Server) -> None:
    flags = [row["flags"] for row in rows(server)]
    assert flags == sorted(flags, key=bool)
    assert {row["patient"] for row in rows(server) if row["flags"] == ["phantom"]} == {"phantom02"}


def test_it_is_sorted_as_asked(server: Server) -> None:
    result = [row["entropy"] for row in rows(server, sort="entropy", descending=False) if not row["flags"]]
    assert result == sorted(result)
    assert len(rows(server, limit=2)) == 2
    assert server.get("/cardiac/worklist", params={"sort": "path"}).status_code == 422


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_says_why(server: Server, strategy: str) -> None:
    text = ask(server, strategy, f"ann-{strategy}").json()
    try:
        assert text["why"]
        assert text["patient"] == "phantom01" or strategy == "random"  # phantom02 is flagged
    finally:
        server.request("DELETE", f"/cardiac/leases/{text['id']}", params={"client_id": f"ann-{strategy}"})


def test_a_seed_that_is_no_number_is_refused(server: Server) -> None:
    answer = ask(server, "hybrid", "ann", seed="x")
    assert answer.status_code == 422
    assert "expected a whole number" in answer.text


def test_a_correction_narrows_the_interval(server: Server) -> None:
    before = {row["image"]: row for row in rows(server)}
    image = max(
        (row for row in before.values() if row["patient"] == "phantom01"), key=lambda row: row["share"] or 0
    )
    path = server.studies.parent / "corrected.nii.gz"
    grid = nifti.read(server.studies / f"{image['image']}.nii.gz").grid
    nifti.write_mask_like(true_masks(server.studies, image["image"]), path, grid=grid)
    with path.open("rb") as label:
        server.put(
            "/datastore/label", params={"image": image["image"], "tag": "final"}, files={"label": label}
        )
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        after = {row["image"]: row for row in rows(server)}[image["image"]]
        if after["label"] == "final":
            break
    assert after["share"] is None
    assert after["ef_spread_pct"] < image["ef_spread_pct"]
    assert after["ef_high_pct"] - after["ef_low_pct"] < image["ef_high_pct"] - image["ef_low_pct"]


def test_scoring_can_be_left_out_and_ends_with_its_server(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    command = start_server_command(APP, studies)
    with running([*command, "--conf", "scoring", "off"], studies) as server:
        assert server.get("/cardiac/worklist").json()["scoring"] == {
            "wanted": "off",
            "running": False,
            "failed": False,
        }
        assert ask(server, "ef_uncertainty", "ann").json()["why"] == "at random, not scored yet"
    with running(command, studies) as server:
        (scoring,) = waited_for_children(server)
        os.kill(server.process.pid, signal.SIGKILL)
        assert is_gone(scoring)


def is_gone(process: psutil.Process) -> bool:
    """Whether it ends; where nobody collects orphans, a zombie has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def waited_for_children(server: Server) -> list[psutil.Process]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        result = [
            each
            for each in psutil.Process(server.process.pid).children()
            if "score" in " ".join(each.cmdline())
        ]
        if result:
            return result
        time.sleep(0.05)
    pytest.fail("no scoring was started")
