"""Models by name: read once and when asked for, each for its views."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import CorruptWeightsError, ImageContentError, InputError, MissingWeightsError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.models.models import SOURCES, Models, ModelSource, load
from cardiolabel.models.versions import Versions
from cardiolabel.networks.weights import read_card, write_card
from cardiolabel.preprocessing.recipes import RECIPES

from ..inference.models import save_tiny_model

ECHO = ("camus", "echonet")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny_model(folder, name="camus")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def of(folder: Path, *names: str) -> Models:
    return Models([SOURCES[name] for name in names], folder)


def record(view: View) -> Record:
    return Record("scan", "p", view, Phase.ED, "folder", Path("scan.nii.gz"))


def test_every_known_model_has_a_recipe_with_what_it_keeps() -> None:
    for name, source in SOURCES.items():
        assert name == source.name and source.recipe in RECIPES and source.labels.has("lv_cavity")
        assert set(source.keeps) <= RECIPES[source.recipe].labels.as_dict().keys()
        assert not source.shares or SOURCES[source.shares].recipe == source.recipe


def test_the_first_model_for_a_view_is_taken_unless_one_is_named(folder: Path) -> None:
    models = of(folder, "sunnybrook", *ECHO)
    assert models.names == ("sunnybrook", *ECHO)
    assert models.loaded_for(record(View.A4C)) is None
    assert models.for_record(record(View.A4C)).card.name == "camus"
    assert models.for_record(record(View.UNKNOWN), "echonet").card.name == "echonet"
    assert models.loaded_for(record(View.A4C)) is models.named("camus")
    assert models.named("echonet").labels == SOURCES["echonet"].labels
    assert models.named("echonet").card.sha256 == models.named("camus").card.sha256


def test_what_there_is_no_model_for(folder: Path) -> None:
    with pytest.raises(ImageContentError, match="no model is loaded"):
        Models().for_record(record(View.A4C))
    with pytest.raises(
        ImageContentError, match="no loaded model segments SAX images; loaded: camus, echonet"
    ):
        of(folder, *ECHO).for_record(record(View.SAX))
    with pytest.raises(ImageContentError, match="no loaded model segments images of an unknown view"):
        of(folder, "sunnybrook").for_record(record(View.UNKNOWN))
    with pytest.raises(ImageContentError, match="view SAX; scan is of view unknown; set it in manifest"):
        of(folder, "sunnybrook").for_record(record(View.UNKNOWN), "sunnybrook")
    with pytest.raises(InputError, match="no model 'other'; there are: camus, echonet"):
        of(folder, *ECHO).named("other")
    with pytest.raises(MissingWeightsError, match="no weights for model sunnybrook"):
        of(folder, "acdc").named("acdc")
    assert of(folder, *ECHO).loaded_for(record(View.SAX)) is None


def test_weights_of_another_recipe_are_refused(folder: Path) -> None:
    with pytest.raises(CorruptWeightsError, match=r"camus.json is of recipe camus, which .* model x is for"):
        Models([ModelSource("x", "sax", shares="camus")], folder).named("x")


@pytest.mark.parametrize("recipe", ["lv", "landmarks"])
def test_weights_of_any_recipe_that_gives_the_structures_will_do(folder: Path, recipe: str) -> None:
    save_tiny_model(folder, name="echonet", recipe=recipe)
    result = load("echonet", folder)
    assert result.recipe.name == recipe and result.labels.values == SOURCES["echonet"].labels.values


def test_weights_are_read_once_however_many_ask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, read, requested = of(folder, *ECHO), Predictor.load, []
    monkeypatch.setattr(Predictor, "load", lambda name, where: requested.append(name) or read(name, where))
    with ThreadPoolExecutor(4) as pool:
        result = set(pool.map(models.named, ECHO * 4))
    assert requested == ["camus"] and len(result) == 2


def test_a_reload_reads_what_is_loaded_and_fails_as_a_whole(folder: Path) -> None:
    models = of(folder, *ECHO, "sunnybrook")
    before = models.named("echonet")
    models.reload()
    after = models.named("echonet")
    assert after is not before and not models.is_loaded("camus")
    (folder / "camus.json").unlink()
    with pytest.raises(MissingWeightsError):
        models.reload()
    assert models.named("echonet") is after


def test_weights_of_its_own_come_before_those_that_it_shares(folder: Path) -> None:
    save_tiny_model(folder, name="echonet")
    result = load("echonet", folder)
    assert result.card.trained_on == "nothing" and SOURCES["echonet"].weights(folder) == "echonet"
    assert tuple(result.labels.as_dict()) == ("lv_cavity",)
    save_tiny_model(folder, name="mine")
    assert load("mine", folder).card.name == "mine"


def soon(holds: Callable[[], bool]) -> None:
    """Wait until what happens beside the work has happened."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_published_version_is_used_without_being_asked(folder: Path, tmp_path: Path) -> None:
    models = of(folder, *ECHO)
    before = models.named("camus")
    save_tiny_model(tmp_path, name="camus")
    write_card(replace(read_card("camus", tmp_path), version="new"), folder=tmp_path)
    Versions(folder).publish("camus", tmp_path, note={})
    soon(lambda: models.named("camus").card.version == "new")
    assert models.named("echonet").card.version == "new" and before.card.version == "0"
    assert load("camus", folder).card.version == "new"


def test_a_version_that_cannot_be_read_changes_nothing(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models, versions = of(folder, "camus"), Versions(folder)
    before = models.named("camus")
    save_tiny_model(tmp_path, name="camus")
    torn = versions.publish("camus", tmp_path, note={}).folder
    (torn / "camus.safetensors").write_bytes(b"torn")
    soon(lambda: models.named("camus") is before and "go on as they were" in caplog.text)
    text = len(caplog.records)
    for _ in range(5):
        assert models.named("camus") is before
    assert len(caplog.records) == text
    with pytest.raises(CorruptWeightsError, match="sha256"):
        models.reload()
    assert models.named("camus") is before
    versions.roll_back("camus")
    soon(lambda: models.named("camus") is not before)
