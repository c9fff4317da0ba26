"""Masks of other programs, submitted to the server: by their place and their own names, or 422."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from cardiolabel.io import nifti

from ..axis_orders import ORDERS, reordered, save, seg_nrrd
from .conftest import APP, Server, running, start_server_command

STILL_MM = np.diag([-0.5, -0.5, 1.0, 1.0])
IMAGE = "p1_4CH_ED"
NAMES = ("lv_cavity", "myocardium", "left_atrium")


def heart() -> np.ndarray:
    """Half an ellipse in a wall, above an atrium, ``(x, y, 1)`` with CAMUS's values."""
    x, y = np.arange(200)[:, None] * 0.5 - 48.0, np.arange(240)[None] * 0.5 - 92.0
    mask = np.zeros((200, 240), np.uint8)
    mask[((x / 29) ** 2 + (y / 88) ** 2 <= 1) & (y <= 0)] = 2
    mask[((x / 21) ** 2 + (y / 80) ** 2 <= 1) & (y <= 0)] = 1
    mask[((x / 21) ** 2 + (y / 24) ** 2 <= 1) & (y > 0)] = 3
    return mask[..., None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = tmp_path_factory.mktemp("foreign") / "studies"
    save(heart() * 60, STILL_MM, studies / f"{IMAGE}.nii.gz")
    command = [*start_server_command(APP, studies), "--conf", "scoring", "off"]
    with running(command, studies) as started:
        yield started


def submit(server: Server, name: str, content: bytes, **params: Any) -> requests.Response:
    versions = server.get(f"/cardiac/labels/{IMAGE}/versions").json()
    params["base_version"] = max((version["version"] for version in versions), default=0)
    return server.put(
        f"/datastore/label?image={IMAGE}",
        data={"params": json.dumps(params)},
        files={"label": (name, content)},
    )


def stored(server: Server) -> np.ndarray:
    return nifti.read_mask(server.studies / "labels" / "final" / f"{IMAGE}.nii.gz")


@pytest.mark.parametrize("values", [(2, 3, 1), (3, 1, 2)])
def test_a_segmentations_header_wins_over_the_requests_list(server: Server, values: tuple[int, ...]) -> None:
    drawn = np.array([0, *values], np.uint8)[heart()]
    listed = [{"name": name, "idx": number} for number, name in enumerate(NAMES, start=1)]
    content = seg_nrrd(drawn, list(zip(NAMES, values, strict=True)))
    answer = submit(server, "Segmentation.seg.nrrd", content, label_info=listed)
    assert answer.status_code == 200, answer.text
    (frame,) = answer.json()["measurement"]["frames"]
    assert frame["lv_area_mm2"] == pytest.approx((heart() == 1).sum() * 0.25)
    np.testing.assert_array_equal(stored(server)[0].T, heart()[..., 0])


@pytest.mark.parametrize(
    ("segments", "named"),
    [
        ([("lv_cavity", 1), ("right_ventricle", 2), ("left_atrium", 3)], "right_ventricle"),
        ([("Segment_1", 1), ("myocardium", 2), ("left_atrium", 3)], "Segment_1"),
    ],
)
def test_a_name_that_the_view_does_not_have_is_told(
    server: Server, segments: list[tuple[str, int]], named: str
) -> None:
    answer = submit(server, "Segmentation.seg.nrrd", seg_nrrd(heart(), segments))
    assert answer.status_code == 422
    assert repr(named) in answer.json()["message"]


@pytest.mark.parametrize(
    "listed",
    [
        "lv_cavity",
        [{"name": "lv_cavity"}],
        [{"name": "lv_cavity", "idx": "one"}],
        [{"idx": 1}],
        [{"name": "lv_cavity", "idx": 1}, {"name": "myocardium", "idx": 1}],
    ],
)
def test_a_list_of_names_that_says_nothing_is_refused(server: Server, tmp_path: Path, listed: Any) -> None:
    path = save(heart(), STILL_MM, tmp_path / "m.nii.gz")
    answer = submit(server, path.name, path.read_bytes(), label_info=listed)
    assert answer.status_code == 422 and "label_info" in answer.json()["message"]


def test_numbers_of_a_list_of_names_may_be_text(server: Server, tmp_path: Path) -> None:
    path = save(np.array([0, 2, 3, 1], np.uint8)[heart()], STILL_MM, tmp_path / "m.nrrd")
    listed = [{"name": name, "idx": str(value)} for name, value in zip(NAMES, (2, 3, 1), strict=True)]
    assert submit(server, path.name, path.read_bytes(), label_info=listed).status_code == 200
    np.testing.assert_array_equal(stored(server)[0].T, heart()[..., 0])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("order", ORDERS[3::11])
def test_a_mask_in_another_order_of_axes_is_stored_in_its_images(
    server: Server, tmp_path: Path, suffix: str, order: Any
) -> None:
    path = save(*reordered(heart(), STILL_MM, order), tmp_path / f"m{suffix}")
    answer = submit(server, path.name, path.read_bytes())
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(stored(server)[0].T, heart()[..., 0])


def test_what_is_no_mask_of_this_image_is_refused_in_words(server: Server, tmp_path: Path) -> None:
    beside = STILL_MM.copy()
    beside[0, 3] = 12.0
    elsewhere = save(heart(), beside, tmp_path / "elsewhere.nii.gz")
    halves = save(heart() * np.float32(0.5), STILL_MM, tmp_path / "halves.nii.gz")
    plain = save(heart(), STILL_MM, tmp_path / "plain.nii").rename(tmp_path / "plain.nii.gz")
    for path, reason in (
        (elsewhere, "lies elsewhere than its image"),
        (halves, "must be whole numbers"),
        (plain, "rename it to plain.nii"),
    ):
        answer = submit(server, path.name, path.read_bytes())
        assert answer.status_code == 422
        assert reason in answer.json()["message"]


def test_values_a_rounding_error_beside_whole_numbers_are_taken(server: Server, tmp_path: Path) -> None:
    path = save(heart() * np.float32(0.9999999), STILL_MM, tmp_path / "m.nii.gz")
    assert submit(server, path.name, path.read_bytes()).status_code == 200
    np.testing.assert_array_equal(stored(server)[0].T, heart()[..., 0])
