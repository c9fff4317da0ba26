"""Commands in locales other than UTF-8, and names of files that are not UTF-8."""

from __future__ import annotations

import io
import json
import locale
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cardiolabel.datasets.phantom import make_study
from cardiolabel.datasets.prepare import prepare
from cardiolabel.domain import Spacing
from cardiolabel.io import nifti
from cardiolabel.pipeline.measure_folder import measure_folder
from cardiolabel.records.file_names import record_from_name
from cardiolabel.store.datastore_v2 import image_info
from cardiolabel.system import text_encoding
from cardiolabel.system.text_encoding import UTF8_VARIABLE, encode_output, use_utf8

from ..inference.models import save_tiny_model

UTF8 = {"LC_ALL": "C.UTF-8", UTF8_VARIABLE: "0"}
C = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", UTF8_VARIABLE: "0"}
SPACING = Spacing(row_mm=1.0, col_mm=1.15)
TABLES = [f"{name}.{kind}" for name in ("frames", "measurements", "patients") for kind in ("csv", "parquet")]
MANIFEST = """image_id,patient,view,phase,dataset,path
a4c-ed,Łukasz 田中,A4C,ED,folder,Bilder/gewählt 1.nii.gz
a4c-es,Łukasz 田中,A4C,ES,folder,Bilder/gewählt 2.nii.gz
"""


def run(settings: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """The command as a user of a locale starts it; names of files are bytes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    done = subprocess.run(
        [sys.executable, "-m", "cardiolabel", *(os.fsencode(str(part)) for part in arguments)],
        env={**environment, **settings},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


def write_images(folder: Path, name: Callable[[str], str]) -> None:
    """A patient's A4C stills with their reference masks in ``labels/final``, as files of certain names."""
    for image in make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False).images:
        if "4CH" in image.image_id:
            path = folder / name(image.image_id.removeprefix("p_"))
            path.parent.mkdir(parents=True, exist_ok=True)
            nifti.write_clip(image.clip, path)
            nifti.write_mask(image.masks, path.parent / f"{path.name[:-7]}_gt.nii.gz", spacing=SPACING)


def tables(out: Path) -> dict[str, str]:
    assert sorted(path.name for path in out.iterdir()) == TABLES
    return {name: (out / name).read_text(encoding="utf-8") for name in TABLES if name.endswith(".csv")}


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        pytest.param("Müller ру́с", "Müller ру́с", id="UTF-8"),
        pytest.param(os.fsdecode(b"M\xfcller"), "Müller", id="Latin-1"),
        pytest.param("田中", "田中", id="Japanese", marks=pytest.mark.long),
    ],
)
def test_a_folder_is_prepared_and_measured_alike_in_every_locale(
    name: str, patient: str, tmp_path: Path
) -> None:
    source = tmp_path / f"von {name}"
    write_images(source, lambda image: f"{name}_{image}.nii.gz")
    studies, out, usual = (tmp_path / f"{what} {name}" for what in ("c", "aus c", "aus utf-8"))
    prepared = run(C, "prepare", "folder", source, studies)
    assert (prepared.returncode, prepared.stderr) == (0, b"")
    measured = run(C, "measure", studies, "--out", out)
    assert (measured.returncode, measured.stderr) == (0, b"")
    assert measured.stdout.endswith(b"tables in " + os.fsencode(out) + b"\n")
    prepare("folder", source, tmp_path / "utf-8")
    measure_folder(tmp_path / "utf-8", "final", out=usual, on_progress=lambda *_: None)
    assert tables(out) == tables(usual)
    rows = tables(out)["patients.csv"].splitlines()[1:]
    assert rows and all(row.startswith(f"{patient},") for row in rows)
    assert any(row.split(",")[6] for row in rows), "no EF"


def test_paths_of_a_manifest_are_understood_in_the_c_locale(tmp_path: Path) -> None:
    write_images(tmp_path / "Bilder", lambda image: f"gewählt {1 if image.endswith('ED') else 2}.nii.gz")
    for number, phase in ((1, "ed"), (2, "es")):
        mask = tmp_path / "labels" / "final" / f"a4c-{phase}.nii.gz"
        mask.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / "Bilder" / f"gewählt {number}_gt.nii.gz", mask)
    (tmp_path / "manifest.csv").write_text(MANIFEST, encoding="utf-8")
    done = run(C, "measure", tmp_path, "--out", tmp_path / "Ergebnisse für alle")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\nŁukasz 田中," in tables(tmp_path / "Ergebnisse für alle")["patients.csv"]


def test_masks_pictures_and_page_are_written_in_the_c_locale(tmp_path: Path) -> None:
    weights, out = tmp_path / "Gewichte é", tmp_path / os.fsdecode(b"pr\xe9dit")
    weights.mkdir()
    save_tiny_model(weights)
    studies = tmp_path / os.fsdecode(b"\xe9tudes")
    write_images(studies, lambda image: f"Émile_{image}.nii.gz")
    for mask in studies.glob("*_gt.nii.gz"):
        mask.unlink()
    done = run(
        C, "infer", studies, "--model", "tiny", "--weights", weights, "--out", out, "--overlays", "--html"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((out / "labels").iterdir())) == len(list((out / "overlays").iterdir())) == 2
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "Émile" in page and "études" in page


@pytest.mark.parametrize("settings", [C, UTF8], ids=["C", "UTF-8"])
@pytest.mark.parametrize("name", ["nirgendwo ü", os.fsdecode(b"nirgendwo \xfc")])
def test_a_refusal_is_one_line_with_the_name_as_it_came(
    settings: dict[str, str], name: str, tmp_path: Path
) -> None:
    done = run(settings, "serve", tmp_path / name)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(b"cardiolabel: " + os.fsencode(tmp_path / name) + b": ")


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "encoding", "written"),
    [
        (Terminal(), "ISO-8859-1", b"Gr\xf6\xdfe \\u2013 \xfc"),
        (Terminal(), "ANSI_X3.4-1968", "Größe – ".encode() + b"\xfc"),
        (Terminal(), "UTF-8", "Größe – ".encode() + b"\xfc"),
        (io.BytesIO(), "ISO-8859-1", "Größe – ".encode() + b"\xfc"),
    ],
    ids=["Latin-1", "C", "UTF-8", "a pipe"],
)
def test_a_terminal_gets_its_encoding_and_a_pipe_utf8(
    stream: io.BytesIO, encoding: str, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(locale, "getencoding", lambda: encoding)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding="ascii"))
    encode_output()
    print("Größe – \udcfc", end="", flush=True)  # noqa: T201  what is tested
    assert stream.getvalue() == written


def test_a_process_starts_again_once_and_not_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[list[str]] = []
    monkeypatch.setattr(text_encoding.os, "execv", lambda _, command: starts.append(command))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "cardiolabel", "measure", "\udce4"])
    monkeypatch.setenv(UTF8_VARIABLE, "0")
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "utf-8")
    use_utf8()
    assert starts == []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    use_utf8()
    use_utf8()
    assert starts == [[sys.executable, "-m", "cardiolabel", "measure", "\udce4"]]
    assert os.environ[UTF8_VARIABLE] == "1"


def test_a_server_needs_a_path_that_its_answers_can_hold(tmp_path: Path) -> None:
    studies = tmp_path / os.fsdecode(b"\xe9tudes")
    studies.mkdir()
    done = run(UTF8, "serve", studies)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert b"tudes: its path is not UTF-8" in done.stderr


def test_what_a_server_says_of_an_image_is_utf8() -> None:
    record = record_from_name(Path(os.fsdecode(b"M\xfcller_4CH_ED.nii.gz")))
    assert json.dumps(image_info(record), ensure_ascii=False).encode() == (
        '{"name": "Müller_4CH_ED.nii.gz", "patient": "Müller", "view": "A4C", "phase": "ED"}'.encode()
    )
