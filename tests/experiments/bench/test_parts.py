"""Parts of the benchmark, small: each measures what it says it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.experiments.bench import network
from cardiolabel.experiments.bench.datastore import bench_datastore


def test_work_is_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(network.time, "sleep", lambda seconds: order.append("pause"))

    def work(name: str, seconds: list[float]) -> float:
        order.append(name)
        return seconds.pop(0)

    first, second = [1.0, 9.0, 2.0], [5.0, 4.0, 6.0]
    assert network.in_turns(3, [lambda: work("a", first), lambda: work("b", second)]) == [2.0, 5.0]
    assert order == ["pause", "a", "pause", "b"] * 3


def test_the_datastore_is_timed_beside_monai_labels(tmp_path: Path) -> None:
    result = {each.name: each.value for each in bench_datastore(home=tmp_path, sizes=(10, 40))}
    assert result.keys() == {
        *(f"save a label, {count} images" for count in (10, 40)),
        *(f"stock: save a label, {count} images" for count in (10, 40)),
        *(f"hand out the next image, {count} images" for count in (10, 40)),
        "save, 40 images over 10",
        "hand out, 40 images over 10",
    }
    assert all(value > 0 for value in result.values())
    saved = result["save a label, 40 images"] / result["save a label, 10 images"]
    assert result["save, 40 images over 10"] == pytest.approx(saved)
    assert len(list((tmp_path / "ours-40" / "labels" / "final").iterdir())) == 40
    assert len(list((tmp_path / "stock-10" / "labels" / "final").glob("*.nii.gz"))) == 5


def test_measuring_is_timed_and_written_as_json(tmp_path: Path) -> None:
    expected = ["bench", "--parts", "measuring", "--repeats", "3", "--json", str(tmp_path / "bench.json")]
    done = CliRunner().invoke(app, expected)
    assert done.exit_code == 0, done.output
    text = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert text["found"][0]["name"] == "numpy.load of the mask"
    assert len(text["found"]) == 4 and all(each["value"] > 0 for each in text["found"])
    assert text["conditions"]["model"]["name"] == "camus" and text["conditions"]["cores"] > 0
    assert "| numpy.load of the mask |" in done.stdout
