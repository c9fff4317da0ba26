"""Imports go one way, and the two folders named ``lib`` stay apart."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lib" / "cardiolabel"
LEVELS = (
    ("errors",),
    ("domain", "geometry", "system"),
    ("io", "measurements"),
    ("preprocessing",),
    ("records", "networks", "reporting"),
    ("accounts", "datasets", "inference", "store"),
    ("models", "uncertainty"),
    ("studies",),
    ("active_learning",),
    ("evaluation",),
    ("training", "pipeline"),
    ("dicom_results",),
    ("pacs",),
    ("experiments",),
    ("cli",),
    ("__main__",),
)
"""A module may import from its own room and from those of earlier levels."""

LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
NOT_IN_MEASUREMENTS = {"torch", "monai", "monailabel", "pydicom", "nibabel"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    package = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from cardiolabel import studies` names a room in its second half.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """Room of one of this package's modules; None for another package's."""
    parts = module.split(".")
    return parts[1] if parts[0] == "cardiolabel" and len(parts) > 1 else None


def own_room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_room_has_a_level() -> None:
    assert {own_room(path) for path in MODULES} <= LEVEL.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_the_left(path: Path) -> None:
    own = own_room(path)
    others = {other for module in imported(path) if (other := room(module)) and other != own}
    assert not {other for other in others if other not in LEVEL or LEVEL[other] >= LEVEL[own]}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_needs_itself_even_when_it_imports_late() -> None:
    """Imports within functions and those for types alone count as well."""
    modules = {name_of(path): path for path in MODULES}
    needs = {
        name: {
            known
            for module in imported(path)
            for known in (module, module.rpartition(".")[0])
            if known in modules and known != name
        }
        for name, path in modules.items()
    }
    left = dict(needs)
    while ready := [name for name, others in left.items() if not others & left.keys()]:
        for name in ready:
            del left[name]
    assert not left, f"these need each other: {sorted(left)}"


def test_measuring_needs_no_deep_learning_and_no_file_format() -> None:
    measuring = [path for path in MODULES if own_room(path) == "measurements"]
    result = {module.split(".")[0] for path in measuring for module in imported(path)}
    assert not result & NOT_IN_MEASUREMENTS
    assert "numpy" in result  # the test reads what it thinks it reads


READERS = re.compile(
    r"\b(nifti|metaimage|video|nrrd|dicom_cine)\.(read|read_grid|header_of|image_header)\("
    r"|from cardiolabel\.io\.(nifti|metaimage|video|nrrd|dicom_file) import [^\n]*\bread(_grid)?\b"
    r"|\b(nib|sitk|pydicom|av|itk|imageio|cv2)\.(load|read\w*|Read\w*|dcmread|open)\("
)
"""Calls of one format's reader."""


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((*MODULES, *(ROOT / "apps").rglob("*.py"))) if path.parent.name != "io"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_images_are_read_through_the_one_reader(path: Path) -> None:
    assert not READERS.search(path.read_text(encoding="utf-8"))


def test_the_search_for_readers_finds_those_of_the_formats() -> None:
    readers = [path for path in MODULES if READERS.search(path.read_text(encoding="utf-8"))]
    assert {path.name for path in readers} >= {"video.py", "dicom_file.py", "mask_files.py"}


def test_only_what_starts_or_asks_a_server_knows_monai_label() -> None:
    for path in MODULES:
        result = {module.split(".")[0] for module in imported(path)}
        allowed = {"monailabel"} if own_room(path) in {"cli", "experiments", "system"} else set()
        assert not (result & {"lib", "apps", "monailabel"}) - allowed, path


def test_the_source_root_is_no_package_and_the_apps_lib_is_one() -> None:
    assert not (ROOT / "lib" / "__init__.py").exists()
    packages = {path.name for path in (ROOT / "lib").iterdir() if path.is_dir() and not _made(path)}
    assert packages == {"cardiolabel"}
    assert (ROOT / "apps" / "cardiac_echo" / "lib" / "__init__.py").is_file()


def _made(path: Path) -> bool:
    return path.name.endswith(".egg-info") or path.name.startswith((".", "__"))


APP_MODULES = sorted((ROOT / "apps" / "cardiac_echo").rglob("*.py"))
LAYOUT = re.compile(r'/ "(labels|final|original|\.cardiolabel|manifest\.csv)"|\{[^{}"]*\}\.nii\.gz"')


@pytest.mark.parametrize(
    "path",
    [path for path in (*MODULES, *APP_MODULES) if path.name not in {"layout.py", "acdc.py"}],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_only_the_layout_knows_where_files_of_a_studies_folder_lie(path: Path) -> None:
    """ACDC's own files are named like these."""
    assert not LAYOUT.findall(path.read_text(encoding="utf-8"))


def test_the_search_for_paths_finds_what_the_layout_holds() -> None:
    assert LAYOUT.findall('folder / "labels" / "final"') and LAYOUT.findall('f"{record.image_id}.nii.gz"')
