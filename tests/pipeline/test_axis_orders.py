"""The same voxels in files of any order of axes: the same volumes, and a Dice of 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.domain import Method
from cardiolabel.evaluation.evaluate import evaluate
from cardiolabel.io import nifti
from cardiolabel.preprocessing.recipes import SAX
from cardiolabel.studies.studies import Studies
from cardiolabel.training import samples

from ..axis_orders import ORDERS, Order, reordered, save

STACK_MM = np.array([[1.5, 0, 0, -40], [0, 1.5, 0, 25], [0, 0, 8.0, 7], [0, 0, 0, 1.0]])
STILL_MM = np.diag([-1.0, -0.8, 1.0, 1.0])
orders = st.sampled_from(ORDERS)


def stack(radius: float) -> NDArray[np.uint8]:
    """Rings ``(x, y, z)`` that shrink and drift from base to apex, with ACDC's values."""
    x, y = np.ogrid[:46, :40]
    slices = []
    for z in range(6):
        away = np.hypot(x - 22 - z / 2, y - 19 + z / 2)
        inner = radius - 1.4 * z
        slices.append(np.where(away <= inner, 3, np.where(away <= inner + 4, 2, 0)))
    return np.stack(slices, axis=-1).astype(np.uint8)


def still(length: float, width: float) -> NDArray[np.uint8]:
    """Half an ellipse in a wall, above an atrium, ``(x, y, 1)`` with CAMUS's values."""
    x, y = np.arange(110)[:, None] - 52.0, np.arange(130)[None] * 0.8 - 70.0
    mask = np.zeros((110, 130), np.uint8)
    mask[((x / (width + 7)) ** 2 + (y / (length + 7)) ** 2 <= 1) & (y <= 0)] = 2
    mask[((x / width) ** 2 + (y / length) ** 2 <= 1) & (y <= 0)] = 1
    mask[((x / width) ** 2 + (y / 22) ** 2 <= 1) & (y > 0)] = 3
    return mask[..., None]


def lay_out(folder: Path, view: str, image: Order, mask: Order, *, labels: str = "labels/final") -> None:
    masks = (stack(15), stack(11)) if view == "SAX" else (still(60, 20), still(50, 15))
    affine = STACK_MM if view == "SAX" else STILL_MM
    for phase, voxels in zip(("ED", "ES"), masks, strict=True):
        name = f"p_{view}_{phase}.nii.gz"
        save(*reordered(voxels * 60, affine, image), folder / name)
        save(*reordered(voxels, affine, mask), folder / labels / name)


def volumes(folder: Path, method: Method) -> tuple[float | None, ...]:
    study = Studies(folder).measure("p", predict=False).study
    row = next(row for row in study.rows if row.method is method)
    assert not row.reason
    return row.edv_ml, row.esv_ml, row.ef_pct


@pytest.mark.parametrize(
    ("view", "method"), [("SAX", Method.SLICE_SUMMATION), ("4CH", Method.SINGLE_PLANE_A4C)]
)
@given(image=orders, mask=orders)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_volumes_stay_the_same(tmp_path: Path, view: str, method: Method, image: Order, mask: Order) -> None:
    lay_out(tmp_path / "usual", view, ORDERS[0], ORDERS[0])
    lay_out(tmp_path / "turned", view, image, mask)
    usual, turned = (volumes(tmp_path / folder, method) for folder in ("usual", "turned"))
    # A rotated pixel grid gives the same area, and the discs of an apical view to a fraction of a pixel.
    assert turned == pytest.approx(usual, rel=1e-9 if view == "SAX" else 5e-3)


@pytest.mark.parametrize("view", ["SAX", "4CH"])
@pytest.mark.parametrize("order", [((1, 0, 2), (1, -1, 1)), ((2, 1, 0), (1, 1, -1))])
def test_masks_of_another_order_overlap_wholly(tmp_path: Path, view: str, order: Order) -> None:
    lay_out(tmp_path, view, ORDERS[0], ORDERS[5])
    lay_out(tmp_path, view, ORDERS[0], order, labels="predicted")
    dices = [row.score.dice for row in evaluate(tmp_path / "predicted", tmp_path).scores]
    assert dices and dices == [1.0] * len(dices)


def test_a_stack_is_trained_on_as_it_lies(tmp_path: Path) -> None:
    of_order = {}
    for name, order in (("usual", ORDERS[0]), ("turned", ((2, 0, 1), (1, -1, 1)))):
        folder = tmp_path / name
        lay_out(folder, "SAX", ORDERS[0], order)
        of_order[name] = samples.load(
            Studies(folder).records(), folder / "labels" / "final", recipe=SAX, cache=tmp_path / name
        )
    np.testing.assert_array_equal(of_order["usual"].classes, of_order["turned"].classes)


def test_slices_along_another_axis_are_found(tmp_path: Path) -> None:
    path = save(*reordered(stack(15), STACK_MM, ((2, 0, 1), (1, 1, 1))), tmp_path / "a.nii.gz")
    grid = nifti.read(path).grid
    assert grid.frames_shape == (6, 40, 46)
    assert grid.slice_spacing_mm == pytest.approx(8.0)
