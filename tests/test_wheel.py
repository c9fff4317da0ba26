"""The wheel works by itself: in an empty folder, with no clone near, and without changing its own files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "apps" / "cardiac_echo" / "model" / "camus.safetensors"
pytestmark = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"needs the shipped weights, {WEIGHTS.name}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the unpacked wheel."""
    home = tmp_path_factory.mktemp("wheel")
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = home.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(home / "site")
    return home / "site"


def run(site: Path, folder: Path, *arguments: str) -> str:
    """Run a command of the unpacked package in a folder of its own."""
    (folder / "home").mkdir(exist_ok=True)
    variables = {"HOME": str(folder / "home"), "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_app_the_recipes_and_the_weights_of_the_cards(site: Path) -> None:
    package = site / "cardiolabel"
    assert (package / "server_app" / "main.py").is_file() and (package / "server_app" / "lib").is_dir()
    web = ROOT / "apps" / "cardiac_echo" / "web"
    for folder in ("static", "templates"):
        files = {path.relative_to(web) for path in (web / folder).rglob("*") if path.is_file()}
        assert files and all((package / "server_app" / "web" / file).is_file() for file in files)
    recipes = {path.name for path in (ROOT / "lib/cardiolabel/training/recipes").glob("*.toml")}
    assert recipes == {path.name for path in (package / "training" / "recipes").glob("*.toml")}
    cards = sorted((package / "server_app" / "model").glob("*.json"))
    assert {card.stem for card in cards} == {"camus", "landmarks", "sunnybrook"}
    for card in cards:
        weights = card.with_suffix(".safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest() == json.loads(card.read_text())["sha256"]
    assert (package / "server_app" / "model" / "LICENSE.md").is_file() and (package / "py.typed").is_file()


def test_it_holds_nothing_that_a_server_or_python_wrote(site: Path) -> None:
    assert not list(site.rglob("__pycache__"))
    app = site / "cardiolabel" / "server_app"
    assert {path.name for path in app.iterdir()} == {"lib", "main.py", "model", "task.py", "web"}
    assert [path.name for path in (app / "model").iterdir() if path.is_dir()] == ["views"]
    card = json.loads((app / "model" / "views" / "view_head.json").read_text())
    weights = (app / "model" / "views" / "view_head.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]


def test_sample_and_infer_work_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    place = run(site, tmp_path, "-c", "import cardiolabel; print(cardiolabel.__file__)")
    assert Path(place.strip()).is_relative_to(site)
    run(site, tmp_path, "-m", "cardiolabel", "sample", "studies", "--quiet")
    run(site, tmp_path, "-m", "cardiolabel", "infer", "studies", "--out", "results", "--quiet")
    with (tmp_path / "results" / "patients.csv").open(encoding="utf-8") as table:
        efs = [row["ef_pct"] for row in csv.DictReader(table) if row["method"] == "biplane"]
    assert efs and all(efs)
    assert before == {path: path.stat().st_mtime_ns for path in site.rglob("*")}
