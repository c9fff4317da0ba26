"""Every import is declared, and what only the server needs stays out of the library's own requirements."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "dicomanonymizer": "dicom-anonymizer",
    "dicomweb_client": "dicomweb-client",
    "fhir": "fhir.resources",
    "jwt": "pyjwt",
    "skimage": "scikit-image",
    "python_multipart": "python-multipart",
    "pydantic_settings": "pydantic-settings",
}
"""Names of packages on PyPI that differ from what is imported."""


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


CORE = declared(PROJECT["dependencies"])
EXTRAS = {
    name: declared(listed) for name, listed in PROJECT["optional-dependencies"].items() if name != "dev"
}


def imported(path: Path, *, at_import: bool) -> set[str]:
    """Packages that a file imports anywhere, or already when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_import else list(ast.walk(tree))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    packages = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"cardiolabel", "lib"}
    return {DISTRIBUTIONS.get(package, package).lower() for package in packages}


LIBRARY = sorted((ROOT / "lib" / "cardiolabel").rglob("*.py"))
APP = sorted((ROOT / "apps" / "cardiac_echo").rglob("*.py"))
SERVER_ONLY = {"annotator.py", "datastore.py", "dicomweb.py", "monailabel_command.py"}
"""Modules that are imported only where a server is."""


def test_the_library_imports_only_what_is_declared() -> None:
    everything = set.union(*(imported(path, at_import=False) for path in LIBRARY))
    assert {"torch", "monailabel"} <= everything <= CORE.union(*EXTRAS.values())


def test_the_app_imports_only_what_the_server_extra_brings() -> None:
    everything = set.union(*(imported(path, at_import=False) for path in APP))
    assert "fastapi" in everything and everything <= CORE | EXTRAS["server"]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_of_the_library_are_imported_without_extras(path: Path) -> None:
    assert path.name in SERVER_ONLY or imported(path, at_import=True) <= CORE


def test_the_library_does_not_require_monai_label() -> None:
    assert "monailabel" not in CORE and "fastapi" not in CORE


def test_development_needs_every_extra() -> None:
    (everything,) = [
        line for line in PROJECT["optional-dependencies"]["dev"] if line.startswith("cardiolabel[")
    ]
    assert set(everything.removeprefix("cardiolabel[").removesuffix("]").split(",")) == set(EXTRAS)
