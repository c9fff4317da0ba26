"""The benchmark against real servers; its yardstick is a MONAI Label app that predicts, not a straw man."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Record, Spacing
from cardiolabel.experiments import servers
from cardiolabel.experiments.bench.batches import bench_batches
from cardiolabel.experiments.bench.http import bench_http
from cardiolabel.io import nifti
from cardiolabel.records import manifest

from .conftest import APP, WEIGHTS, needs_weights

pytestmark = needs_weights

SPACING = Spacing(row_mm=0.47, col_mm=0.54)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Two phantoms on almost square fields, which MONAI's resizing stretches the least."""
    folder = tmp_path_factory.mktemp("bench") / "studies"
    records = []
    for seed in range(2):
        study = make_study(f"p{seed}", seed=seed, shape=(320, 360), spacing=SPACING, cine=False)
        for image in study.images:
            path = folder / f"{image.image_id}.nii.gz"
            nifti.write_clip(image.clip, path)
            nifti.write_mask(image.masks, folder.parent / "truth" / path.name, spacing=SPACING)
            records.append(Record(image.image_id, f"p{seed}", image.view, image.phase, "phantom", path))
    manifest.write(records, folder)
    return records


@pytest.mark.long
def test_the_stock_app_segments_as_the_network_does(records: list[Record], tmp_path: Path) -> None:
    conf = {"model": "camus", "weights": str(WEIGHTS.parent)}
    app = APP.parent / "stock"
    with servers.running(app, records[0].path.parent, conf=conf, home=tmp_path / "home") as server:
        answer = server.infer("stock", records[0].image_id)
        with pytest.raises(servers.ServerError, match=r"infer/none.*answered"):
            server.infer("none", records[0].image_id)
    begin = answer.index(b"\x1f\x8b")
    (tmp_path / "stock.nii.gz").write_bytes(re.split(rb"\r\n--", answer[begin:])[0])
    result = np.asarray(nib.load(tmp_path / "stock.nii.gz").dataobj)
    theirs = result.squeeze().T == 1  # MONAI Label writes (1, W, H)
    true = nifti.read_mask(records[0].path.parents[1] / "truth" / records[0].path.name)[0] == 1
    assert 2 * np.logical_and(theirs, true).sum() / (theirs.sum() + true.sum()) > 0.85


@pytest.mark.long
def test_http_and_batches_are_timed_beside_the_stock_app(records: list[Record], tmp_path: Path) -> None:
    inputs = {"apps": APP.parent, "weights": WEIGHTS.parent, "on_progress": lambda done, total, what: None}
    http = bench_http(records, "camus", home=tmp_path / "http", **inputs)
    batch = bench_batches(records, "camus", home=tmp_path / "batch", **inputs)
    values = {(each.part, each.name): each.value for each in (*http, *batch)}
    assert all(value > 0 for (part, _), value in values.items() if part != "HTTP, one still")
    answer = values["HTTP, one still", "answer, mean over whole patients"]
    again = values["HTTP, one still", "answer that is known already"]
    assert answer > 0 and again > 0
    assert values["HTTP, one still", "stock app: answer"] > 0
    assert len(list((tmp_path / "batch" / "stock" / "studies" / "labels" / "original").glob("*.nii.gz"))) == 8
    assert len(list((tmp_path / "batch" / "ours" / "studies" / "labels" / "original").glob("*.nii.gz"))) == 8


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "app").mkdir()
    with (
        pytest.raises(servers.ServerError, match="ended instead of starting"),
        servers.running(tmp_path / "app", tmp_path / "studies", conf={}, home=tmp_path / "home"),
    ):
        pass
