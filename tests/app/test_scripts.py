"""The page's scripts: types, rules, and vendored libraries that are what they say."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from cardiolabel.measurements.quality import Flag

from .conftest import APP, ROOT

WEB = APP / "web"
VENDOR = WEB / "static" / "vendor"
TOOLS = ROOT / ".venv" / "page" / "node_modules" / ".bin"
OWN = sorted(
    path for kind in ("js", "css", "html") for path in WEB.rglob(f"*.{kind}") if VENDOR not in path.parents
)
needs_tools = pytest.mark.skipif(
    not (TOOLS / "tsc").exists(), reason="needs TypeScript and ESLint, which scripts/test installs with npm"
)


def checked(tool: str, *arguments: str) -> None:
    run = subprocess.run([TOOLS / tool, *arguments], cwd=WEB, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@needs_tools
def test_types_are_right() -> None:
    checked("tsc", "-p", "tsconfig.json")


@needs_tools
def test_rules_are_kept() -> None:
    checked("eslint", "-c", "eslint.config.js", "--max-warnings", "0", "static/js")


def test_vendored_files_are_those_of_their_packages() -> None:
    listed = json.loads((VENDOR / "vendor.json").read_text())
    files = {path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".css")}
    assert files == {row["file"] for row in listed}
    for row in listed:
        assert hashlib.sha256((VENDOR / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert (VENDOR / "licences" / f"{row['package']}.txt").is_file() and row["version"]


def test_every_flag_is_said_in_words() -> None:
    flags = {str(flag) for flag in Flag}
    explained = (ROOT / "docs" / "explanation" / "ef-intervals.md").read_text(encoding="utf-8")
    flags |= set(re.findall(r"^\| `(\w+)` \|", explained, re.MULTILINE))
    words = (WEB / "static" / "js" / "words.js").read_text(encoding="utf-8")
    assert len(flags) > 20 and not {flag for flag in flags if f"  {flag}: " not in words}


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_page_names_another_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"'\s)]+", text)) <= {"http://www.w3.org/2000/svg"}
