"""Parts of the documentation that come from the code: commands, routes, the picture of the sample study."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
APP = ROOT / "apps" / "cardiac_echo"
PICTURE = "sample-data/measured.png"
"""Lies outside the documentation's folder, and is copied into its site."""

ROUTES = """
import json
from fastapi import FastAPI
from lib.api.install import routers
api = FastAPI()
for router in routers():
    api.include_router(router)
print(json.dumps(api.openapi()))
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the picture of the sample study."""
    files.append(File.generated(config, PICTURE, abs_src_path=str(ROOT / PICTURE)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what a page takes from the code, and mend paths that lead out of the documentation's folder."""
    markdown = markdown.replace(f"(../{PICTURE})", f"({PICTURE})")
    if "{{ command_line }}" in markdown:
        markdown = markdown.replace("{{ command_line }}", command_line())
    if "{{ rest }}" in markdown:
        markdown = markdown.replace("{{ rest }}", rest())
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take links between the files of the models out of the cards, which are pages of their own there."""
    return re.sub(r'<a href="(?:LICENSE|README)\.md">(.*?)</a>', r"\1", html)


def command_line() -> str:
    """Describe every command with its arguments and options."""
    from cardiolabel.cli import app

    return "\n".join(_command(typer.main.get_command(app), "cardiolabel"))


def _command(command: Any, name: str) -> list[str]:
    inner = getattr(command, "commands", None)
    if inner:
        return [line for word, each in inner.items() for line in _command(each, f"{name} {word}")]
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join((name, *(parameter.name.upper() for parameter in arguments), "[options]"))
    lines = [f"## {name}", "", command.help or "", "", "```sh", usage, "```", ""]
    rows = [_parameter(parameter) for parameter in command.params if not parameter.hidden]
    return [*lines, "| | default | |", "|---|---|---|", *rows, ""]


def _parameter(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    default = parameter.default
    shown = default if isinstance(default, (str, int, float, Path)) and not isinstance(default, bool) else ""
    if isinstance(shown, Path):
        shown = "the shipped models" if shown.is_relative_to(ROOT) else str(shown)
    code = ", ".join(f"`{name}`" for name in names)
    return f"| {code} | {'required' if parameter.required else shown} | {_cell(parameter.help or '')} |"


def rest() -> str:
    """Describe every route of the server."""
    paths = os.pathsep.join((str(ROOT / "lib"), str(APP)))
    printed = subprocess.run(
        [sys.executable, "-c", ROUTES],
        cwd=APP,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    routes: dict[str, list[str]] = {}
    for path, methods in sorted(json.loads(printed.splitlines()[-1])["paths"].items()):
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["Other"])[0]
            names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            query = ", ".join(f"`{name}`" for name in names if name != "token")
            row = f"| `{method.upper()} {path}` | {query} | {_cell(operation.get('summary', ''))} |"
            routes.setdefault(tag, []).append(row)
    lines: list[str] = []
    for tag, rows in sorted(routes.items()):
        lines += [f"## {tag}", "", "| route | query | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
