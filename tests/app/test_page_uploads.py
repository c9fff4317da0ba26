"""A patient's files from a person's disk to an EF, in every kind that scanners export; and gone again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.records import manifest

from .browser import Watched, needs_chromium, opened
from .conftest import APP, Server, needs_weights, running, start_server_command
from .test_page import ef_pct

pytestmark = [
    needs_chromium,
    needs_weights,
    # Playwright leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DATA = Path(__file__).parents[3] / "shared" / "data"
CAMUS, CINE = (
    DATA / "camus" / "database_nifti" / "patient0001",
    DATA / "us_dicom" / "color3d_jpeg_baseline.dcm",
)
CONVERTED_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = tmp_path_factory.mktemp("uploads") / "studies"
    studies.mkdir()
    with running(start_server_command(APP, studies), studies) as server:
        yield server


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scanned")
    for kind in (SampleFormat.DICOM, SampleFormat.MP4):
        write_sample(folder / kind, patients=1, seed=2, kind=kind)
    return folder


def upload(tab: Watched, server: Server, files: list[Path], patient: str, *, consent: bool = False) -> None:
    page = tab.page
    page.goto(f"{server.url}/upload")
    page.set_input_files("input[type=file]", [str(file) for file in files])
    page.fill("input[placeholder=pseudonym]", patient)
    if consent:
        page.check("input[type=checkbox]")
    page.click("button:has-text('Upload')")
    page.wait_for_selector(f"text=Open {patient}", timeout=1000 * CONVERTED_S)


def shown_ef_pct(tab: Watched, patient: str) -> int:
    tab.page.click(f"text=Open {patient}")
    tab.page.wait_for_selector("#ef", timeout=1000 * CONVERTED_S)
    return ef_pct(tab)


def true_ef_pct(folder: Path) -> float:
    header, row = (folder / "truth.csv").read_text().splitlines()[:2]
    return float(dict(zip(header.split(","), row.split(","), strict=True))["ef_pct"])


def test_ultrasound_dicom_cines(tab: Watched, server: Server, scanned: Path) -> None:
    files = sorted((scanned / "dicom" / "DICOM" / "phantom01").glob("*.dcm"))
    assert len(files) == 2
    upload(tab, server, files, "scan1")
    assert abs(shown_ef_pct(tab, "scan1") - true_ef_pct(scanned / "dicom")) <= 5
    assert tab.page.evaluate("cardiolabelStudy.viewers.map((viewer) => viewer.opened.view)") == ["A4C", "A2C"]


def test_a_short_axis_series(tab: Watched, server: Server, scanned: Path) -> None:
    files = sorted((scanned / "dicom" / "DICOM" / "phantom01" / "SAX").glob("*.dcm"))
    upload(tab, server, files, "mr1")
    assert 20 < shown_ef_pct(tab, "mr1") < 80
    assert tab.page.locator(".slices").count() == 2


def test_videos_calibrated_by_two_clicks(tab: Watched, server: Server, scanned: Path) -> None:
    page = tab.page
    upload(tab, server, sorted((scanned / "mp4").glob("*.mp4")), "clip1")
    for left in (1, 0):
        page.click("text=From the depth ruler >> nth=0")
        canvas = page.locator("dialog canvas")
        canvas.click(position={"x": 100, "y": 50})
        canvas.click(position={"x": 100, "y": 250})
        page.fill("dialog input", "58")
        page.click("dialog >> text=Use")
        tab.until(f"document.querySelectorAll('td button').length === {left}")
    assert abs(shown_ef_pct(tab, "clip1") - true_ef_pct(scanned / "mp4")) <= 6


@pytest.mark.skipif(not CAMUS.is_dir(), reason="needs CAMUS in ../shared/data")
def test_a_camus_patient(tab: Watched, server: Server) -> None:
    files = sorted(CAMUS.glob("*_E[DS].nii.gz"))
    upload(tab, server, files, "camus1")
    info = dict(line.split(": ") for line in (CAMUS / "Info_2CH.cfg").read_text().splitlines())
    assert abs(shown_ef_pct(tab, "camus1") - float(info["EF"])) <= 15
    assert tab.page.locator(".viewer").count() == 4


@pytest.mark.long
@pytest.mark.skipif(not CINE.is_file(), reason="needs the ultrasound DICOM files in ../shared/data")
def test_a_real_colour_cine(tab: Watched, server: Server) -> None:
    upload(tab, server, [CINE], "real1")
    assert 20 < shown_ef_pct(tab, "real1") < 80
    assert tab.page.evaluate("cardiolabelStudy.active.opened.frames") == 120


def test_consent_is_revoked_and_a_patient_deleted_on_the_disk(
    browser: Any, server: Server, scanned: Path
) -> None:
    with opened(browser) as tab:
        page = tab.page
        files = sorted((scanned / "dicom" / "DICOM" / "phantom01").glob("*.dcm"))[:1]
        upload(tab, server, files, "leaver", consent=True)
        shown_ef_pct(tab, "leaver")
        page.keyboard.press("Tab")
        tab.until("cardiolabelStudy.visible.every((viewer) => viewer.frames.ready === viewer.opened.frames)")
        page.evaluate("cardiolabelStudy.active.smooth()")  # unsaved work, which the browser keeps
        assert page.evaluate("Object.keys(localStorage).some((key) => key.includes('leaver'))")
        page.click("text=Revoke")
        page.wait_for_selector("text=refused; not used for training")
        assert [row.training_consent for row in manifest.read(server.studies) if row.patient == "leaver"] == [
            False
        ]
        page.click("text=Delete this patient for good")
        button = page.locator("button:text-is('Delete for good')")
        assert button.is_disabled()
        page.fill("#confirmed", "leaver")
        button.click()
        page.wait_for_selector("text=leaver is deleted")
        assert "These still tell" not in tab.text("[role=alertdialog]")
        assert not page.evaluate("Object.keys(localStorage).some((key) => key.includes('leaver'))")
        page.click("text=To the worklist")
        page.wait_for_selector("table, p")
    for root in (server.studies, server.studies.parent / "home"):
        for path in root.rglob("*"):
            assert "leaver" not in str(path)
            assert not path.is_file() or b"leaver" not in path.read_bytes(), path
