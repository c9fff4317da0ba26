"""Benchmark of measuring, beside reading the same file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, LabelSet, Spacing
from cardiolabel.experiments.bench.figures import Found, Progress
from cardiolabel.io import nifti
from cardiolabel.measurements.geometry import measure_geometry

_SIZE = 512
_SPACING = Spacing(row_mm=0.35, col_mm=0.35)


def bench_measuring(repeats: int, *, on_progress: Progress) -> list[Found]:
    """Time measuring one 512x512 mask, with and without wall and atrium, and reading it; medians in ms.

    Parameters
    ----------
    repeats : int
        How often each step is timed.
    on_progress : callable
        Told steps done, in all, and what is being done.
    """
    mask = _mask()
    cavity_only = LabelSet("cavity", (("lv_cavity", 1),))
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "mask.npy", Path(folder) / "mask.nii.gz"
        np.save(plain, mask)
        nifti.write_mask(mask[None], packed, spacing=_SPACING)
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("numpy.load of the mask", lambda: np.load(plain)),
            ("NIfTI read of the mask", lambda: nifti.read_mask(packed)),
            (
                "measure, annulus from wall and atrium",
                lambda: measure_geometry(mask, _SPACING, labels=CAMUS_LABELS),
            ),
            (
                "measure, annulus from shape",
                lambda: measure_geometry(mask, _SPACING, labels=cavity_only),
            ),
        )
        figures = []
        for done, (name, work) in enumerate(steps, start=1):
            figures.append(Found("measuring, 512x512", name, _median_ms(work, repeats), "ms"))
            on_progress(done, len(steps), "measuring")
        return figures


def _median_ms(work: Callable[[], object], repeats: int) -> float:
    work()
    taken = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - start_s))
    return float(np.median(taken))


def _mask() -> NDArray[np.uint8]:
    """Draw a half-ellipsoid cavity 85 mm long and 48 mm wide, a 9 mm wall, and an atrium below."""
    rows, cols = np.mgrid[:_SIZE, :_SIZE]
    along = (rows - 340) * _SPACING.row_mm
    across = (cols - 256) * _SPACING.col_mm
    mask = np.zeros((_SIZE, _SIZE), dtype=np.uint8)
    mask[((along / 94) ** 2 + (across / 33) ** 2 <= 1) & (along <= 0)] = 2
    mask[((along / 85) ** 2 + (across / 24) ** 2 <= 1) & (along <= 0)] = 1
    mask[(((along - 22) / 24) ** 2 + (across / 24) ** 2 <= 1) & (along > 0)] = 3
    return mask
