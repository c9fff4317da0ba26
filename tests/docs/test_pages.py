"""What README and pages say is what commands take, and every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cardiolabel.cli import app
from cardiolabel.inference.engines.choose import ENGINE_VARIABLE
from cardiolabel.records.manifest_row import COLUMNS
from cardiolabel.reporting.tables import FRAME_COLUMNS, PATIENT_COLUMNS, VALUE_COLUMNS
from cardiolabel.store.database import URL_VARIABLE
from cardiolabel.system.user_folders import CACHE_VARIABLE, STATE_VARIABLE

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?<![\w./-])cardiolabel ((?:[a-z-]+ ?)+)([^`\n#|]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z_-]*")
OF_OTHER_PROGRAMS = {"--durations", "--help", "--ssl_keyfile"}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(text: str) -> Iterator[tuple[Any, str]]:
    """Every command line of a page that begins with the name of a command, with the rest of that line."""
    for words, rest in COMMAND.findall(text):
        command: Any = typer.main.get_command(app)
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        if not hasattr(command, "commands"):
            yield command, words + rest


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_pages_show_commands() -> None:
    shown = {command.name for page in PAGES for command, _ in commands(page.read_text(encoding="utf-8"))}
    assert {"serve", "infer", "prepare", "retrain", "backup"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_option_on_a_page_exists(page: Path) -> None:
    for command, line in commands(page.read_text(encoding="utf-8")):
        unknown = set(OPTION.findall(line)) - options(command) - {"--help"}
        assert not unknown, f"cardiolabel {command.name} has no {unknown}: {line}"


def all_commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from all_commands(inner)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_option_named_by_itself_belongs_to_some_command(page: Path) -> None:
    existing = {
        option for command in all_commands(typer.main.get_command(app)) for option in options(command)
    }
    alone = set(re.findall(r"`(--[a-z][a-z_-]*)", page.read_text(encoding="utf-8")))
    assert not alone - existing - OF_OTHER_PROGRAMS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if ":" not in target]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_settings_page_lists_every_option_of_serve() -> None:
    serve = next(command for command, _ in commands("cardiolabel serve STUDIES"))
    assert not {name for name in options(serve) if name.startswith("--") and f"`{name}`" not in SETTINGS}


def test_the_settings_page_lists_every_variable() -> None:
    program = "from lib.security.environment import Environment; print(*Environment.model_fields)"
    path = os.pathsep.join((str(ROOT / "lib"), str(ROOT / "apps" / "cardiac_echo")))
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = {f"CARDIOLABEL_{field.upper()}" for field in printed.split()}
    assert "CARDIOLABEL_HOSTS" in variables
    for variable in variables | {ENGINE_VARIABLE, CACHE_VARIABLE, STATE_VARIABLE, URL_VARIABLE}:
        assert f"`{variable}`" in SETTINGS, variable


PYTHON = ROOT / "docs" / "tutorials" / "python.md"


def test_the_code_of_the_python_tutorial_runs(tmp_path: Path) -> None:
    """In one process, over the sample studies of the first tutorial, as a reader would type it."""
    if not (ROOT / "apps" / "cardiac_echo" / "model" / "camus.safetensors").exists():
        pytest.skip("the shipped weights of camus are not here")
    blocks = re.findall(r"```python\n(.*?)```", PYTHON.read_text(encoding="utf-8"), re.DOTALL)
    sample = [sys.executable, "-m", "cardiolabel", "sample", "studies", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    subprocess.run(sample, cwd=tmp_path, env=environment, check=True)
    code = [sys.executable, "-c", "\n".join(blocks)]
    printed = subprocess.run(
        code, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    shown = re.findall(r"```text\n(.*?)```", PYTHON.read_text(encoding="utf-8"), re.DOTALL)
    assert "".join(shown).splitlines() == printed[:1]
    assert re.fullmatch(r"biplane guideline \d+ \d+ \d+", printed[1])
    assert re.fullmatch(r"\(1, \d+, \d+\) Spacing\(.*\)", printed[2])


def test_the_tables_page_lists_every_column() -> None:
    page = (ROOT / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in (*FRAME_COLUMNS, *PATIENT_COLUMNS, *VALUE_COLUMNS, *COLUMNS)
        if f"`{name}`" not in page
    ]
    assert not missing


def test_the_glossary_says_each_term_once() -> None:
    page = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    terms = [term for row in re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE) for term in row.split(", ")]
    assert len(terms) == len(set(terms))
    assert {"EF interval", "lease", "test-time augmentation"} <= set(terms)


def test_the_readme_is_short_and_says_what_it_is_not() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 90
    assert "Not a medical device" in readme[:800]
