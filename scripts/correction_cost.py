"""Counts the drags that turn the model's endocardium into the reference's, on the page in headless Chromium.

python scripts/correction_cost.py STUDIES --out DIR

STUDIES has reference masks in ``labels/final``. Its images are copied to a server without them, so that the
page shows predictions. One drag after the other moves the point that is worth most onto the reference's
contour, until the Dice of the spline and the reference reaches the goal.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Phase, Record, View
from cardiolabel.geometry.polygon import fill_polygon
from cardiolabel.io import nifti
from cardiolabel.measurements.outlines import trace_outlines
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout

GOAL, MOST_DRAGS = 0.97, 20
PORT = 8790


def main() -> None:
    """Measure, and write ``drags.csv``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--split", default="VAL", help="part of the official split that the model never saw")
    options = parser.parse_args()
    records = [
        record
        for record in manifest.read(options.studies)
        if (record.view, record.split) == (View.A4C, options.split) and record.phase is not Phase.CINE
    ][: options.images]
    if not records:
        sys.exit(f"no A4C still of {options.split} in {options.studies}")
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        studies.mkdir()
        for record in records:
            shutil.copy(record.path, studies / record.path.name)
        server = subprocess.Popen(  # noqa: S603  the package's own command
            [
                sys.executable,
                "-m",
                "cardiolabel",
                "serve",
                str(studies),
                "--port",
                str(PORT),
                "--scoring",
                "off",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            rows = _measured(records, StudiesLayout(options.studies))
        finally:
            server.terminate()
            server.wait()
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "drags.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    drags = [row["drags"] for row in rows if row["reached"]]
    print(  # noqa: T201
        f"{len(drags)} of {len(rows)} reach {GOAL}; drags: median {np.median(drags):g}, most {max(drags)}"
    )


def _measured(records: list[Record], layout: StudiesLayout) -> list[dict[str, Any]]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for _ in range(120):
            try:
                page.goto(f"http://127.0.0.1:{PORT}/")
                break
            except Exception:  # noqa: BLE001  the server starts
                time.sleep(1)
        rows = []
        for record in records:
            reference = nifti.read_mask(layout.label(record.image_id))[0] == CAMUS_LABELS.value("lv_cavity")
            rows.append({"image": record.image_id, **_corrected(page, record, reference)})
            print(rows[-1])  # noqa: T201
        return rows


def _corrected(page: Any, record: Record, reference: NDArray[np.bool_]) -> dict[str, Any]:
    page.goto(f"http://127.0.0.1:{PORT}/study?patient={record.patient}&image={record.image_id}")
    page.wait_for_selector("#ef")
    page.wait_for_timeout(300)
    (outline,) = trace_outlines(reference.astype(np.uint8), CAMUS_LABELS)["lv_cavity"][:1]
    border = _densely(outline[:, ::-1])
    begun = time.perf_counter()
    first = last = _dice(page, reference)
    drags = 0
    while last < GOAL and drags < MOST_DRAGS:
        index, target = _worst_point(page, border)
        _drag(page, index, target)
        drags += 1
        last = _dice(page, reference)
    shown = re.search(r"EF (\d+)", page.text_content("#ef") or "")
    return {
        "dice_before": round(first, 4),
        "dice_after": round(last, 4),
        "drags": drags,
        "reached": last >= GOAL,
        "script_s": round(time.perf_counter() - begun, 1),
        "ef_pct": int(shown[1]) if shown else None,
    }


def _densely(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    ends = np.roll(outline, -1, axis=0)
    shares = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    return np.asarray((outline + shares * (ends - outline)).reshape(-1, 2))


_ACTIVE = "cardiolabelStudy.active"
_SHAPE = f"{_ACTIVE}.edits.shape(0)"


def _dice(page: Any, reference: NDArray[np.bool_]) -> float:
    polygon = page.evaluate(f"{_ACTIVE}.polygon('lv_cavity')")
    drawn = fill_polygon(np.array(polygon)[:, ::-1], reference.shape)
    return 2 * float((drawn & reference).sum()) / float(drawn.sum() + reference.sum())


def _worst_point(page: Any, border: NDArray[np.float64]) -> tuple[int, list[float]]:
    """Return the point farthest from the reference, and the nearest place on it; hinges count double."""
    points = np.array(page.evaluate(f"{_SHAPE}.curves.lv_cavity.points"))
    away = np.linalg.norm(points[:, None] - border[None], axis=2)
    distance = away.min(axis=1)
    distance[[0, -1]] *= 2
    index = int(distance.argmax())
    target: list[float] = border[int(away[index].argmin())].tolist()
    return index, target


def _drag(page: Any, index: int, target: list[float]) -> None:
    box = page.locator(f'.viewer.active circle[data-index="{index}"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    to = page.evaluate(f"{_ACTIVE}.toScreen({target})")
    here = page.evaluate(f"{_ACTIVE}.toScreen({_SHAPE}.curves.lv_cavity.points[{index}])")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + to[0] - here[0], y + to[1] - here[1], steps=4)
    page.mouse.up()


if __name__ == "__main__":
    main()
