"""The pages as a person uses them, in Chromium with every outside address blocked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cardiolabel.datasets.phantom import make_study, write_sample
from cardiolabel.datasets.phantom_short_axis import short_axis
from cardiolabel.domain import Clip, Spacing
from cardiolabel.io import nifti
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout

from .browser import Watched, needs_chromium, opened
from .conftest import APP, ROOT, Server, make_studies, needs_weights, running, start_server_command

pytestmark = [
    needs_chromium,
    needs_weights,
    # Playwright leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

AXE = ROOT / ".venv" / "page" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("/", "/study?patient=phantom01", "/upload", "/models", "/agreement", "/people", "/help", "/login")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("page") / "studies")
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def study(tab: Watched, server: Server, patient: str, image: str = "") -> None:
    tab.page.goto(f"{server.url}/study?patient={patient}&image={image}")
    tab.page.wait_for_selector("#ef")
    tab.until("cardiolabelStudy.visible.every((viewer) => viewer.frames.ready === viewer.opened.frames)")


def ef_pct(tab: Watched) -> int:
    shown = re.search(r"EF (\d+) %", tab.text("#ef"))
    assert shown, tab.text("#ef")
    return int(shown[1])


def drag(tab: Watched, viewer: int, index: int, by: tuple[float, float]) -> None:
    """Drag a point of the chosen structure in one of the images."""
    box = tab.page.locator(".viewer").nth(viewer).locator(f'circle[data-index="{index}"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + by[0], y + by[1], steps=8)
    tab.page.mouse.up()
    settle(tab)


def settle(tab: Watched) -> None:
    tab.until("!cardiolabelStudy.newest.isRunning && !cardiolabelStudy.isSaving")


def test_from_the_address_to_the_first_ef(tab: Watched, server: Server) -> None:
    tab.page.goto(server.url)
    tab.page.click("text=phantom01")
    tab.page.wait_for_selector("#ef")
    assert 20 < ef_pct(tab) < 80
    assert tab.page.locator(".viewer").count() == 4
    assert "ml" in tab.text(".side") and "guideline" in tab.text(".side")


def test_a_dragged_hinge_point_changes_the_ef_and_submitting_stores_a_version(
    tab: Watched, server: Server
) -> None:
    study(tab, server, "phantom01")
    before = ef_pct(tab)
    tab.page.fill("#who input", "ada")
    drag(tab, 1, 0, (14, -40))
    assert ef_pct(tab) != before and "unsaved" in tab.text(".side")
    moved = ef_pct(tab)
    tab.page.reload()
    tab.page.wait_for_selector("#ef")
    tab.until("cardiolabelStudy.newest.times.length > 0")
    settle(tab)
    assert ef_pct(tab) == moved and "restored" in tab.text("#messages")
    tab.page.click("text=Submit")
    tab.page.wait_for_selector("text=version 1 is saved")
    settle(tab)
    assert ef_pct(tab) == moved
    (version,) = server.get("/cardiac/labels/phantom01_4CH_ES/versions").json()
    assert version["author"] == "ada" and version["info"]["edit"]["drags"] == 1
    tab.page.locator(".viewer").nth(1).click(position={"x": 5, "y": 300})
    tab.page.wait_for_selector("td:has-text('ada')")


def test_undo_and_redo_go_back_to_the_stored_mask_and_forth_again(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom02", "phantom02_4CH_ED")
    before = tab.text(".side table")
    drag(tab, 0, 3, (-12, 0))
    drag(tab, 0, 9, (16, 4))
    after = tab.text(".side table")
    assert after != before
    for _ in range(2):
        tab.page.keyboard.press("Control+z")
        settle(tab)
    assert tab.text(".side table") == before
    for _ in range(2):
        tab.page.keyboard.press("Control+Shift+z")
        settle(tab)
    assert tab.text(".side table") == after
    tab.page.click("text=Give up")


def test_every_tool_draws_and_the_keyboard_moves_points(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom02", "phantom02_4CH_ED")
    page = tab.page
    area = "cardiolabelStudy.measured(cardiolabelStudy.active, 0).lv_area_mm2"
    changed = []
    box = page.locator('.viewer.active circle[data-index="3"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for tool in "bue":
        page.keyboard.press(tool)
        page.mouse.move(x + 10, y)
        page.mouse.down()
        page.mouse.move(x - 15, y, steps=5)
        page.mouse.up()
        settle(tab)
        changed.append(page.evaluate(area))
    assert len(set(changed)) == 3 and changed[2] < changed[1]
    page.keyboard.press("s")
    page.keyboard.press("p")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    settle(tab)
    assert len(set([*changed, page.evaluate(area)])) == 4
    for _ in range(5):
        page.keyboard.press("Control+z")
    settle(tab)
    assert not page.evaluate("cardiolabelStudy.dirty.length")


def test_two_browsers_on_one_image_end_in_a_choice(browser: Any, server: Server) -> None:
    with opened(browser) as first, opened(browser) as other:
        for tab, name in ((first, "ada"), (other, "bob")):
            study(tab, server, "phantom02", "phantom02_2CH_ED")
            tab.page.fill("#who input", name)
        position = first.page.evaluate(
            "cardiolabelStudy.visible.findIndex((viewer) => viewer.opened.image === 'phantom02_2CH_ED')"
        )
        drag(first, position, 4, (-10, 0))
        drag(other, position, 8, (10, 0))
        first.page.click("text=Submit")
        first.page.wait_for_selector("text=version 1 is saved")
        other.page.wait_for_selector("text=somebody else saved version 1")
        other.page.click("text=Submit")
        other.page.wait_for_selector("text=Two masks of A2C ED")
        other.page.click("text=Mine")
        other.page.wait_for_selector("text=version 3 is saved")
        versions = server.get("/cardiac/labels/phantom02_2CH_ED/versions").json()
        assert [version["author"] for version in versions] == ["ada", "bob", "bob"]
        first.until("cardiolabelStudy.viewers.some((viewer) => viewer.opened.version === 3)")
        assert not first.problems


def test_a_lost_connection_loses_no_work(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom01", "phantom01_2CH_ED")
    tab.page.context.set_offline(True)
    drag(tab, 2, 4, (-9, 0))
    tab.page.wait_for_selector("text=The server cannot be reached: numbers")
    tab.page.click("text=Submit")
    tab.page.wait_for_selector("text=Not saved")
    tab.page.context.set_offline(False)
    tab.page.click("text=Submit")
    tab.page.wait_for_selector("text=is saved")
    assert len(server.get("/cardiac/labels/phantom01_2CH_ED/versions").json()) == 1
    tab.problems = [line for line in tab.problems if "ERR_INTERNET_DISCONNECTED" not in line]


def test_cines_play_in_step_and_the_curve_leads_to_a_frame(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom02", "phantom02_4CH_cine")
    page = tab.page
    tab.until("cardiolabelStudy.visible.every((viewer) => viewer.frames.ready === viewer.opened.frames)")
    page.keyboard.press("Space")
    tab.until("cardiolabelStudy.active.frame > 5")
    page.keyboard.press("Space")
    frames = page.evaluate("cardiolabelStudy.visible.map((viewer) => viewer.frame)")
    assert len(frames) == 2 and abs(frames[0] - frames[1]) <= 1
    box = page.locator(".u-over").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.evaluate("cardiolabelStudy.active.frame") in range(10, 15)
    page.keyboard.press("c")
    settle(tab)
    assert page.evaluate("cardiolabelStudy.active.edits.changed.size") == 1
    page.keyboard.press("Control+z")


def test_an_upload_shows_its_ef(tab: Watched, server: Server, tmp_path: Path) -> None:
    files = []
    for phase in ("ED", "ES"):
        image = StudiesLayout(server.studies).image(f"phantom02_4CH_{phase}")
        files.append(tmp_path / f"w_4CH_{phase}.png")
        Image.fromarray(np.asarray(nifti.read(image).clip.pixels[0])).save(files[-1])
    page = tab.page
    page.goto(f"{server.url}/upload")
    page.set_input_files("input[type=file]", [str(file) for file in files])
    page.fill("input[placeholder=pseudonym]", "walkin")
    page.check("input[type=checkbox]")
    page.click("button:has-text('Upload')")
    page.wait_for_selector("text=Open walkin", timeout=90_000)
    for left in (1, 0):
        page.click("text=From the depth ruler >> nth=0")
        canvas = page.locator("dialog canvas")
        canvas.click(position={"x": 100, "y": 50})
        canvas.click(position={"x": 100, "y": 250})
        page.fill("dialog input", "58")
        page.click("dialog >> text=Use")
        tab.until(f"document.querySelectorAll('td button').length === {left}")
    page.click("text=Open walkin")
    page.wait_for_selector("#ef")
    assert 20 < ef_pct(tab) < 80
    rows = [row for row in manifest.read(server.studies) if row.patient == "walkin"]
    assert (
        len(rows) == 2 and all(row.training_consent for row in rows) and all(row.mm_per_pixel for row in rows)
    )


@pytest.mark.long
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (820, 1180)])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_overflows_or_fails(browser: Any, server: Server, path: str, size: tuple[int, int]) -> None:
    for scheme in ("dark", "light"):
        with opened(browser, size=size, color_scheme=scheme) as tab:
            tab.page.goto(server.url + path)
            tab.page.wait_for_selector("#app:not([aria-busy]), .help main")
            tab.page.wait_for_load_state("load")
            width = tab.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], (path, size)
            assert not tab.problems


def test_the_page_is_small_and_asks_no_other_machine(tab: Watched, server: Server) -> None:
    sizes: dict[str, int] = {}

    def note(response: Any) -> None:
        if "/web/" in response.url:
            sizes[response.url] = int(response.headers["content-length"])
            assert response.headers["content-encoding"] == "gzip"

    tab.page.on("response", note)
    study(tab, server, "phantom01")
    assert 8 < len(sizes) and sum(sizes.values()) < 500_000
    policy = server.get("/").headers["Content-Security-Policy"]
    assert "unsafe" not in policy and "http" not in policy


def test_a_list_of_many_patients_paints_at_once(tab: Watched, server: Server) -> None:
    row = server.get("/cardiac/worklist").json()["rows"][0]
    rows = [{**row, "patient": f"many{number:05}", "image": f"i{number}"} for number in range(5000)]
    body = json.dumps({"rows": rows, "images": len(rows), "scoring": {"running": False}})
    tab.page.route(
        "**/cardiac/worklist*", lambda route: route.fulfill(body=body, content_type="application/json")
    )
    tab.page.goto(server.url)
    tab.page.wait_for_selector("text=5000 of 5000 patients")
    assert tab.page.locator("tbody tr").count() == 200
    tab.page.fill("input[type=search]", "many04999")
    assert tab.page.locator("tbody tr").count() == 1
    paint_ms = tab.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint_ms < 2000


@pytest.mark.long
@pytest.mark.skipif(not AXE.is_file(), reason="needs axe, which scripts/test installs with npm")
@pytest.mark.parametrize("path", [*PAGES, "/study?patient=phantom02&image=phantom02_4CH_cine"])
def test_axe_finds_nothing_serious(browser: Any, server: Server, path: str) -> None:
    for scheme in ("dark", "light"):
        with opened(browser, color_scheme=scheme) as tab:
            tab.page.goto(server.url + path)
            tab.page.wait_for_selector("#app:not([aria-busy]), .help main")
            tab.page.wait_for_timeout(500)
            tab.page.evaluate(AXE.read_text(encoding="utf-8"))
            found = tab.page.evaluate(
                "axe.run().then((result) => result.violations.map((rule) => [rule.id, rule.impact]))"
            )
            assert not [rule for rule, impact in found if impact in ("serious", "critical")], found


def test_redoc_shows_the_routes_without_another_machine(browser: Any, server: Server) -> None:
    with opened(browser) as tab:
        tab.page.goto(f"{server.url}/redoc")
        tab.page.wait_for_selector("text=One patient's volumes and EF", state="attached")
        # Its own logo is on another machine, and the page's policy does not let it ask there.
        assert all("cdn.redoc.ly" in problem and "blocked" in problem for problem in tab.problems)


def test_a_repeat_reading_is_blind_and_changes_nothing(browser: Any, server: Server) -> None:
    image = "phantom01_2CH_ES"
    with opened(browser) as tab:
        page = tab.page
        page.goto(f"{server.url}/")
        page.evaluate("localStorage.setItem('cardiolabel:annotator', 'ada')")
        study(tab, server, "phantom01", image)
        drag(tab, 3, 5, (14, 10))
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("text=version 1 is saved")
        versions = server.get(f"/cardiac/labels/{image}/versions").json()
        page.click("text=Read this patient again, blind")
        page.wait_for_selector("text=Repeat reading: reading 2")
        assert "EF" not in tab.text(".side").replace("EFs", "")
        tab.until("cardiolabelStudy.visible.every((viewer) => viewer.frames.ready === viewer.opened.frames)")
        assert page.evaluate("cardiolabelStudy.viewers.every((viewer) => viewer.opened.source === 'model')")
        page.click("text=Submit the reading")
        page.wait_for_url("**/agreement")
        page.wait_for_selector("h2:has-text('ada and ada (reading 2)')")
        assert not tab.problems
    later = server.get(f"/cardiac/labels/{image}/versions").json()
    assert [row["current"] for row in later] == [True, False]
    assert later[0] == versions[0] and later[1]["origin"] == "repeat"


def test_a_frame_is_made_ed_and_a_report_prints_on_one_page(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom02", "phantom02_2CH_cine")
    page = tab.page
    page.keyboard.press(".")
    frame = page.evaluate("cardiolabelStudy.active.frame")
    page.click("text=Set ED")
    page.wait_for_selector(f"text=Frame {frame + 1} is ED now")
    image = page.evaluate("cardiolabelStudy.active.opened.image")
    (row,) = (row for row in manifest.read(server.studies) if row.image_id == image)
    assert row.ed_frame == frame + 1 and row.es_frame
    assert server.get("/cardiac/patients/phantom02").json()["beats"][image][0]["ed_index"] == frame
    page.emulate_media(media="print")
    assert page.locator(".report").is_visible() and "phantom02" not in page.inner_text("main")
    assert page.pdf(format="A4").count(b"/Type /Page\n") == 1


def test_the_reference_of_all_routes_is_shown_without_another_machine(tab: Watched, server: Server) -> None:
    tab.page.goto(f"{server.url}/docs")
    tab.page.get_by_text("/cardiac/measure").first.wait_for()


def test_the_slices_of_a_stack_are_shown_in_step_and_drawn(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studies = tmp_path_factory.mktemp("stack") / "studies"
    studies.mkdir()
    series = short_axis(
        make_study("mr1", seed=3, shape=(256, 320), spacing=Spacing(0.58, 0.58), cine=False).heart, seed=(3,)
    )
    for phase, index in (("ED", 0), ("ES", series.es_phase)):
        nifti.write_stack(series.stacks[index], studies / f"mr1_SAX_{phase}.nii.gz")
    with running(start_server_command(APP, studies), studies) as server, opened(browser) as tab:
        study(tab, server, "mr1")
        before = tab.text(".side table")
        assert "slice summation" in tab.text(".side")
        box = tab.page.locator(".viewer").nth(0).bounding_box()
        tab.page.mouse.move(box["x"] + 40, box["y"] + 40)
        tab.page.mouse.wheel(0, 100)
        slices = tab.page.evaluate("cardiolabelStudy.visible.map((viewer) => viewer.frame)")
        assert slices[0] == slices[1] == series.stacks[0].pixels.shape[0] // 2 + 1
        tab.page.mouse.wheel(0, -100)
        tab.until("cardiolabelStudy.active.frame === " + str(slices[0] - 1))
        drag(tab, 0, 4, (12, 9))
        assert tab.text(".side table") != before
        tab.page.click("text=Submit")
        tab.page.wait_for_selector("text=version 1 is saved")

        pictures = tab.page.locator(".slices >> nth=0").locator("button")
        assert pictures.count() == series.stacks[0].pixels.shape[0]
        pictures.nth(3).click()
        assert tab.page.evaluate("cardiolabelStudy.visible.map((viewer) => viewer.frame)") == [3, 3]
        assert pictures.nth(3).get_attribute("aria-pressed") == "true"
        tab.page.click("text=Clear")
        settle(tab)
        assert "no cavity, though" in pictures.nth(3).get_attribute("title")
        drawn = "new Set(new Uint8Array(pixels)).size > 20"
        surface = """(() => {{ const {{gl}} = cardiolabelStudy.surface; cardiolabelStudy.surface.draw();
            const pixels = new Uint8Array(4 * gl.canvas.width * gl.canvas.height);
            gl.readPixels(0, 0, gl.canvas.width, gl.canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
            return {what}; }})()"""
        tab.until("cardiolabelStudy.surface.parts?.length === 2")
        assert tab.page.evaluate(surface.format(what=drawn))
        before = tab.page.evaluate(surface.format(what="pixels.join()"))
        tab.page.focus(".surface canvas")
        tab.page.keyboard.press("ArrowRight")
        assert tab.page.evaluate(surface.format(what="pixels.join()")) != before
        assert not tab.problems


def test_ed_is_dragged_along_the_curve(tab: Watched, server: Server) -> None:
    study(tab, server, "phantom02", "phantom02_4CH_cine")
    page, cine = tab.page, "phantom02_4CH_cine"
    (beat,) = page.evaluate(f"cardiolabelStudy.report.beats['{cine}']")
    place = """(frame) => { const {plot, curves: [curve]} = cardiolabelStudy.timeline.curve;
        const {left, top} = plot.over.getBoundingClientRect();
        const [x, y] = [plot.valToPos(curve.times[frame], 'x'), plot.valToPos(curve.areas[frame], 'y')];
        return [left + x, top + y]; }"""
    start, end = (page.evaluate(place, frame) for frame in (beat["es_index"], beat["es_index"] + 3))
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()
    tab.until(f"cardiolabelStudy.report.beats['{cine}'][0].es_index === {beat['es_index'] + 3}")
    assert page.evaluate("cardiolabelStudy.active.frame") == beat["es_index"] + 3
    (row,) = (row for row in manifest.read(server.studies) if row.image_id == cine)
    assert (row.ed_frame, row.es_frame) == (beat["ed_index"] + 1, beat["es_index"] + 4)
    found = {"ed_frame": None, "es_frame": None}
    assert server.put(f"/cardiac/images/{cine}/description", json=found).ok


def test_a_finger_drags_a_point(browser: Any, server: Server) -> None:
    with opened(browser, size=(820, 1180), has_touch=True) as tab:
        study(tab, server, "phantom01")
        before = tab.page.evaluate("cardiolabelStudy.active.edits.shape(0).curves.lv_cavity.points[4]")
        box = tab.page.locator(".viewer").nth(0).locator('circle[data-index="4"]').bounding_box()
        x, y = box["x"] + box["width"] / 2 + 6, box["y"] + box["height"] / 2  # a finger is not precise
        touch = tab.page.context.new_cdp_session(tab.page)

        def finger(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": place[0], "y": place[1]} for place in places]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        finger("touchStart", (x, y))
        for step in range(1, 6):
            finger("touchMove", (x - 4 * step, y))
        finger("touchEnd")
        settle(tab)
        after = tab.page.evaluate("cardiolabelStudy.active.edits.shape(0).curves.lv_cavity.points[4]")
        assert after[0] < before[0] - 5 and abs(after[1] - before[1]) < 3
        assert tab.page.evaluate("scrollY") == 0
        assert not tab.problems


@pytest.mark.long
def test_two_cines_of_100_frames_play_smoothly(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At half of the 50 pictures a second that a machine of its own shows, as tests share theirs."""
    studies = tmp_path_factory.mktemp("cines") / "studies"
    write_sample(studies, patients=2, seed=1)
    for view in ("2CH", "4CH"):
        image = studies / f"phantom02_{view}_cine.nii.gz"
        clip = nifti.read(image).clip
        frames = np.arange(100) % len(clip.pixels)
        scale = (512 / clip.pixels.shape[1], 512 / clip.pixels.shape[2])
        rows, cols = ((np.arange(512) / each).astype(int) for each in scale)
        pixels = clip.pixels[frames][:, rows][:, :, cols]
        nifti.write_clip(Clip(pixels, Spacing(0.3, 0.3), frame_rate_hz=50.0), image)
    with running(start_server_command(APP, studies), studies) as server, opened(browser) as tab:
        tab.page.goto(f"{server.url}/study?patient=phantom02&image=phantom02_4CH_cine")
        tab.page.wait_for_selector("#ef", timeout=180_000)
        ready = "cardiolabelStudy.visible.every((viewer) => viewer.frames.ready === 100)"
        tab.until(ready, at_most_s=120)
        tab.page.keyboard.press("Space")
        shown = """() => new Promise((resolve) => { let count = 0; const begun = performance.now();
            const tick = () => { count += 1; const passed = performance.now() - begun;
                if (passed < 4000) requestAnimationFrame(tick); else resolve(1000 * count / passed); };
            requestAnimationFrame(tick); })"""
        assert tab.page.evaluate(shown) > 25


def test_an_unreadable_image_is_left_out_with_its_reason(browser: Any, server: Server) -> None:
    broken = server.studies / "broken1_4CH_ED.nii.gz"
    whole = StudiesLayout(server.studies).image("phantom01_4CH_ES")
    (server.studies / "broken1_4CH_ES.nii.gz").write_bytes(whole.read_bytes())
    broken.write_bytes(whole.read_bytes()[:2000])
    with opened(browser) as tab:
        tab.page.goto(f"{server.url}/study?patient=broken1")
        tab.page.wait_for_selector("#ef")
        assert tab.page.locator(".viewer").count() == 1
        assert "broken1_4CH_ED" in tab.text("#messages") and "ends too early" in tab.text("#messages")
