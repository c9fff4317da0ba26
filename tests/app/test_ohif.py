"""OHIF as an annotator uses it: Chromium, a real PACS, every outside address blocked."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread

from cardiolabel.accounts.accounts import AccountRole, Accounts
from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.domain import View
from cardiolabel.io import nifti
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.pacs.dicomweb import Pacs
from cardiolabel.pacs.mirror import mirror_of
from cardiolabel.pacs.stored import store_folder

from ..pacs.orthanc import Orthanc, needs_orthanc
from . import conftest
from .browser import Watched, needs_chromium, opened
from .conftest import APP, ROOT, Server, needs_weights, running, start_server_command
from .test_login import wait_until_ready
from .test_people import PASSWORD

OHIF = ROOT / ".venv" / "share" / "cardiolabel" / "ohif"
US_DICOM = ROOT.parent / "shared" / "data" / "us_dicom"

pytestmark = [
    needs_orthanc,
    needs_weights,
    pytest.mark.skipif(not (OHIF / "index.html").is_file(), reason="needs OHIF: bash scripts/ohif"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OPEN_S = 90.0
YELLOW = (230, 180, 30)


@dataclass(frozen=True)
class Known:
    """A study of the PACS, and its images by view and phase."""

    study: str
    patient: str
    images: dict[str, str]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Cines of both views and a short-axis series of a phantom, and the stills of another."""
    home = tmp_path_factory.mktemp("pacs")
    write_sample(home / "sample", patients=1, seed=2, kind=SampleFormat.DICOM)
    write_sample(home / "stills", patients=1, seed=3)
    for view, name in ((View.A4C, "4CH"), (View.A2C, "2CH")):
        clip = nifti.read(home / "stills" / f"phantom01_{name}_ED.nii.gz").clip
        path = home / "sample" / "DICOM" / "stills" / f"{name}.dcm"
        write_ultrasound(clip, path, Identity("still"), view=view, number=1 + (view is View.A2C))
    orthanc = Orthanc(home / "orthanc").start()
    try:
        store_folder(home / "sample" / "DICOM", orthanc.url)
        yield orthanc
    finally:
        orthanc.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_STATE", str(home / "state"))
        patch.setenv("CARDIOLABEL_OHIF", str(OHIF))
        command = start_server_command(APP, home / "unused")
        command[command.index(str(home / "unused"))] = pacs.url
        with running(command, home / "unused", warm=False) as server:
            yield server


@pytest.fixture
def tab(browser: Any) -> Iterator[Watched]:
    with opened(browser, size=(1440, 900)) as watched:
        yield watched
        # Chromium notes every answer above 399, of which a conflict is one that was asked for.
        assert not [line for line in watched.problems if "409" not in line]


def known(server: Server, *names: str, headers: dict[str, str] | None = None) -> Known:
    """The study that has images of these views and phases."""
    for each in server.get("/cardiac/dicom/studies", headers=headers).json()["studies"]:
        answer = server.get(f"/cardiac/dicom/studies/{each['study']}", headers=headers).json()
        images = {f"{image['view']} {image['phase']}": image["image"] for image in answer["images"]}
        stills = {
            f"{image['view']} still": image["image"]
            for image in answer["images"]
            if len(image["pictures"]) == 1
        }
        if set(names) <= {*images, *stills} and bool(stills) == any("still" in name for name in names):
            return Known(each["study"], each["patient"], images | stills)
    raise AssertionError(names)


def show(tab: Watched, server: Server, patient: str) -> None:
    """Open a study from the worklist, and wait for masks and numbers."""
    tab.page.goto(server.url)
    tab.page.click(f'a[aria-label="{patient} in OHIF"]')
    ready = "Boolean(window.cardiolabelMasks?.images.size > 1 && window.cardiolabelMasks.shown)"
    tab.until(ready, at_most_s=OPEN_S)
    tab.until("!cardiolabelMasks.changes.isRunning")
    tab.page.wait_for_timeout(1500)


def ef_pct(tab: Watched) -> float:
    return float(
        tab.page.evaluate(
            "(cardiolabelMasks.shown.patient.find((row) => row.ef_pct !== null) ?? {ef_pct: -1}).ef_pct"
        )
    )


def paint(tab: Watched, viewport: int = 0, *, at: tuple[float, float] = (0.5, 0.5)) -> None:
    """Draw a stroke of OHIF's own brush over a viewport."""
    box = tab.page.locator('[data-cy="viewport-pane"]').nth(viewport).bounding_box()
    x, y = box["x"] + box["width"] * at[0], box["y"] + box["height"] * at[1]
    tab.page.mouse.click(box["x"] + 20, box["y"] + box["height"] * 0.8)
    if not tab.page.evaluate(
        """[...document.querySelectorAll('[data-cy="Brush"]')].some((e) => e.dataset.active === "true")"""
    ):
        tab.page.click('[data-cy="Brush-btn"]')
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x - 40, y + 10, steps=10)
    tab.page.mouse.up()
    tab.until("cardiolabelMasks.dirty.length > 0")
    tab.page.wait_for_timeout(500)
    tab.until("!cardiolabelMasks.changes.isRunning")


def submit(tab: Watched) -> None:
    tab.page.click("#submit")
    tab.until("!cardiolabelMasks.isSaving", at_most_s=60)
    tab.page.wait_for_timeout(300)


def labelmap(server: Server, image: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.get(f"/cardiac/images/{image}/labelmap").json()
    return answer


def wait_for_mask(tab: Watched, viewport: int) -> None:
    """Wait until the outline of a cavity is seen in a viewport."""
    box = tab.page.locator('[data-cy="viewport-pane"]').nth(viewport).bounding_box()
    end_s = time.monotonic() + 30
    while True:
        picture = np.asarray(Image.open(io.BytesIO(tab.page.screenshot(clip=box))).convert("RGB"))
        if (np.abs(picture.astype(int) - YELLOW).max(axis=2) < 40).sum() > 100:
            return
        if time.monotonic() > end_s:
            raise AssertionError("no mask is seen")
        tab.page.wait_for_timeout(300)


@needs_chromium
@pytest.mark.parametrize(
    "names", [("A4C cine", "A2C cine"), ("SAX ED", "SAX ES"), ("A4C still", "A2C still")], ids=lambda n: n[0]
)
def test_open_predict_paint_and_submit(tab: Watched, server: Server, names: tuple[str, str]) -> None:
    study = known(server, *names)
    image, other = study.images[names[0]], study.images[names[1]]
    show(tab, server, study.patient)
    panes = tab.page.locator('[data-cy="viewport-pane"]')
    assert panes.count() == 2  # the views lie side by side
    for k in range(2):
        wait_for_mask(tab, k)
    before, before_other = labelmap(server, image), labelmap(server, other)
    ef_before = ef_pct(tab)
    paint(tab, at=(0.46, 0.56))
    unsaved = ef_pct(tab)
    has_ef = ef_before >= 0
    assert (unsaved != ef_before) == has_ef
    submit(tab)
    after = labelmap(server, image)
    differing = [k for k, (a, b) in enumerate(zip(before["frames"], after["frames"], strict=True)) if a != b]
    assert len(differing) == 1 and after["source"] == "final" and after["version"] == 1
    assert labelmap(server, other)["frames"] == before_other["frames"]
    measured = server.get(f"/cardiac/patients/{study.patient}").json()["patient"]
    efs = [row["ef_pct"] for row in measured if row["ef_pct"] is not None]
    assert bool(efs) == has_ef and (not efs or unsaved in efs)
    (version,) = server.get(f"/cardiac/labels/{image}/versions").json()
    assert version["info"]["edit"]["changed_px"] > 0
    # The model's masks come back by Predict, and are a version of their own when submitted.
    tab.page.click("#predict")
    tab.page.wait_for_selector("text=predicted in")
    assert abs(ef_pct(tab) - ef_before) < 0.1
    submit(tab)
    assert labelmap(server, image)["frames"] == before["frames"]
    tab.page.click("text=Worklist")
    tab.page.wait_for_selector(f"text={study.patient}")


@needs_chromium
def test_who_saved_meanwhile_is_told_and_both_masks_are_kept(tab: Watched, server: Server) -> None:
    study = known(server, "A4C cine", "A2C cine")
    image = study.images["A2C cine"]
    show(tab, server, study.patient)
    tab.page.evaluate("cardiolabelMasks.refresh = async () => {}")  # this page does not hear of the other
    paint(tab, viewport=1, at=(0.35, 0.6))
    base = labelmap(server, image)
    theirs = {"frames": {"3": []}, "base_version": base["version"], "client_id": "ben", "allow_empty": True}
    other = server.request("PUT", f"/cardiac/images/{image}/labelmap", json=theirs)
    assert other.status_code == 200, other.text
    submit(tab)
    dialog = tab.page.locator('[role="alertdialog"]')
    assert "A2C cine" in str(dialog.text_content())
    dialog.locator("text=Mine").click()
    tab.until("!cardiolabelMasks.isSaving && !cardiolabelMasks.conflict")
    versions = server.get(f"/cardiac/labels/{image}/versions").json()
    assert len(versions) >= 2 and versions[-1]["current"] and labelmap(server, image)["frames"][3]
    assert any(version["author"] == "ben" for version in versions)


def test_painted_masks_are_measured_and_checked(server: Server) -> None:
    study = known(server, "A4C cine", "A2C cine")
    image = study.images["A4C cine"]
    stored = labelmap(server, image)
    whole = {"images": [{"image": image, "painted": {"0": stored["frames"][0]}}]}
    same = server.request("POST", "/cardiac/measure", json=whole).json()
    assert [row["frame"] for row in same["frames"]] == [0]
    nothing = {"images": [{"image": image, "painted": {"0": []}}]}
    assert server.request("POST", "/cardiac/measure", json=nothing).json()["areas"][image][0] is None
    for runs, words in (
        ([1, 0, 10], "beyond the ultrasound region"),
        ([9, stored["cols"] * 200, 5], "unknown label values"),
        ([1, stored["rows"] * stored["cols"], 5], "do not fit"),
    ):
        refused = server.request("PUT", f"/cardiac/images/{image}/labelmap", json={"frames": {"0": runs}})
        assert refused.status_code == 422 and words in refused.json()["message"]
    on_image = server.get(f"/cardiac/images/{image}/labelmap", params={"on": "image"}).json()
    assert on_image["rows"] < stored["rows"]  # the picture has margins
    own = {"images": [{"image": image, "painted": {"0": on_image["frames"][0]}, "on": "image"}]}
    assert server.request("POST", "/cardiac/measure", json=own).json()["frames"] == same["frames"]
    refused = server.request("PUT", f"/cardiac/images/{image}/labelmap", json={"frames": {"99": []}})
    assert refused.status_code == 422 and "no frame 99" in refused.json()["message"]


def test_results_are_downloaded_and_stored_in_the_pacs_once(server: Server, pacs: Orthanc) -> None:
    study = known(server, "SAX ED", "SAX ES")
    answer = server.get(f"/cardiac/patients/{study.patient}/dicom.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    kinds = {str(dcmread(archive.open(name)).Modality) for name in archive.namelist()}
    assert kinds == {"SR", "SEG", "OT"}
    before = pacs.count()
    first = server.post(f"/cardiac/patients/{study.patient}/dicom").json()
    assert pacs.count() == before + len(first["objects"]) and len(first["objects"]) == 4
    assert server.post(f"/cardiac/patients/{study.patient}/dicom").json() == first
    assert pacs.count() == before + len(first["objects"])
    stored = {each.sop_uid for each in Pacs(pacs.url).instances()}
    assert not stored & {each["sop_instance_uid"] for each in first["objects"]}  # the images are as before


@needs_chromium
def test_a_stored_report_is_shown_with_its_contours(tab: Watched, server: Server) -> None:
    study = known(server, "SAX ED", "SAX ES")
    server.post(f"/cardiac/patients/{study.patient}/dicom")
    show(tab, server, study.patient)
    tab.page.click('[data-cy="seriesList-btn"]')
    report = tab.page.locator('[data-cy="study-browser-thumbnail-no-image"]', has_text="LV measurements")
    report.first.dblclick()
    tab.page.wait_for_selector('[data-cy="viewport-pane"] svg >> text=/Area: [0-9.]+ cm2/')


def test_the_images_are_those_of_this_servers_studies(server: Server, pacs: Orthanc) -> None:
    study = known(server, "A4C cine", "A2C cine").study
    found = server.get("/dicom-web/studies", params={"StudyInstanceUID": study}).json()
    assert [row["0020000D"]["Value"][0] for row in found] == [study]
    assert server.get("/dicom-web/studies/1.2.3/metadata").status_code == 404
    assert server.get("/dicom-web/instances").status_code == 404
    assert server.request("POST", "/dicom-web/studies", data=b"x").status_code == 405
    assert server.get("/cardiac/dicom/studies/1.2.3").json()["code"] == "unknown_study"
    pacs.kill()
    try:
        answer = server.get(f"/dicom-web/studies/{study}/metadata")
        assert answer.status_code == 502 and "does not answer" in answer.json()["message"]
        assert server.post(f"/cardiac/patients/{known(server, 'SAX ED').patient}/dicom").status_code == 502
    finally:
        pacs.start()
    assert server.get(f"/dicom-web/studies/{study}/metadata").status_code == 200


def test_a_study_that_is_deleted_on_the_pacs_can_still_be_submitted(server: Server, pacs: Orthanc) -> None:
    study = known(server, "A4C still", "A2C still")
    image = study.images["A4C still"]
    before = labelmap(server, image)
    root = pacs.url.removesuffix("/dicom-web")
    query = {"Level": "Study", "Query": {"StudyInstanceUID": study.study}}
    (found,) = requests.post(f"{root}/tools/find", json=query, timeout=30).json()
    requests.delete(f"{root}/studies/{found}", timeout=30).raise_for_status()
    assert server.get(f"/dicom-web/studies/{study.study}/metadata").status_code == 404
    saved = server.request(
        "PUT",
        f"/cardiac/images/{image}/labelmap",
        json={"frames": {"0": before["frames"][0]}, "base_version": before["version"]},
    )
    assert saved.status_code == 200 and labelmap(server, image)["frames"] == before["frames"]


def test_what_the_viewer_may_load(server: Server) -> None:
    page = server.get("/ohif/cardiology?StudyInstanceUIDs=1.2")
    policy = page.headers["Content-Security-Policy"]
    assert "http" not in policy and "unsafe-eval" not in server.get("/").headers["Content-Security-Policy"]
    assert re.search(r"script-src [^;]*'sha256-", policy) and "'unsafe-inline'" not in policy.split(";")[1]
    assert not re.search(r"(src|href)=\"(?!/ohif/|data:)", page.text)
    for missing in ("/ohif/ort/ort.wasm", "/ohif/sw.js", "/ohif/google.js", "/ohif/nothing.js"):
        assert server.get(missing).status_code == 404
    bundle = re.search(r'src="(/ohif/app\.bundle\.[0-9a-f]+\.js)"', page.text)
    assert bundle and '__webpack_require__.p = "/ohif/"' in server.get(bundle[1]).text
    assert "immutable" in server.get(bundle[1]).headers["Cache-Control"]


@needs_chromium
@pytest.mark.skipif(not US_DICOM.is_dir(), reason="needs the real ultrasound DICOM of ../shared/data")
def test_a_scanners_cine_is_painted_where_it_is_shown(tab: Watched, server: Server, pacs: Orthanc) -> None:
    """A cine of a real scanner, of which the model sees the ultrasound region only."""
    dataset = dcmread(US_DICOM / "color3d_jpeg_baseline.dcm")
    Pacs(pacs.url).store([dataset])
    server.post("/reload")
    end_s = time.monotonic() + 120
    address = f"/cardiac/dicom/studies/{dataset.StudyInstanceUID}"
    while (answer := server.get(address)).status_code == 404 and time.monotonic() < end_s:
        time.sleep(1)
    study = answer.json()
    (image,) = (each["image"] for each in study["images"])
    before = labelmap(server, image)
    assert (len(before["frames"]), before["rows"], before["cols"]) == (120, 480, 640)
    tab.page.goto(server.url)
    tab.page.click(f'a[aria-label="{study["patient"]} in OHIF"]')
    tab.until("Boolean(window.cardiolabelMasks?.images.size && cardiolabelMasks.shown)", at_most_s=OPEN_S)
    wait_for_mask(tab, 0)
    paint(tab, at=(0.45, 0.5))
    submit(tab)
    after = labelmap(server, image)
    differing = [k for k, (a, b) in enumerate(zip(before["frames"], after["frames"], strict=True)) if a != b]
    assert len(differing) == 1 and after["version"] == 1


@needs_chromium
@pytest.mark.long
def test_with_login_a_reader_sees_and_a_reviewer_stores(
    browser: Any, pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """OHIF leads strangers to the login and back; what a role may not do is refused with a sentence."""
    home = tmp_path_factory.mktemp("login")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_STATE", str(home / "state"))
        patch.setenv("CARDIOLABEL_OHIF", str(OHIF))
        patch.setattr(conftest, "_wait_until_ready", wait_until_ready)
        mirror = mirror_of(pacs.url)
        mirror.fetch()
        accounts = Accounts(mirror.folder)
        for name, role in (
            ("ada", AccountRole.ADMINISTRATOR),
            ("rita", AccountRole.REVIEWER),
            ("uma", AccountRole.READER),
        ):
            accounts.add(name, role, PASSWORD)
        command = start_server_command(APP, home / "unused")
        command[command.index(str(home / "unused"))] = pacs.url
        with running(command, home / "unused", warm=False) as server, opened(browser) as tab:
            rita = requests.post(
                f"{server.url}/auth/token", data={"username": "rita", "password": PASSWORD}, timeout=30
            ).json()["access_token"]
            headers = {"Authorization": f"Bearer {rita}"}
            study = known(server, "SAX ED", "SAX ES", headers=headers)
            assert server.get(f"/dicom-web/studies/{study.study}/metadata").status_code == 401
            tab.page.goto(f"{server.url}/ohif/cardiology?StudyInstanceUIDs={study.study}")
            tab.page.fill('input[name="username"]', "uma")
            tab.page.fill('input[name="password"]', PASSWORD)
            tab.page.keyboard.press("Enter")
            tab.page.wait_for_url("**/ohif/cardiology?*")
            tab.until(
                "Boolean(window.cardiolabelMasks?.images.size > 1 && cardiolabelMasks.shown)",
                at_most_s=OPEN_S,
            )
            paint(tab, at=(0.46, 0.56))
            submit(tab)
            assert "role" in tab.text(".cardiolabel #messages") and tab.page.evaluate(
                "cardiolabelMasks.dirty.length"
            )
            address = f"/cardiac/patients/{study.patient}/dicom"
            assert server.post(address, headers=headers).status_code == 200
