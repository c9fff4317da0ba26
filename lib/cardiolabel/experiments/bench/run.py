"""The benchmark: all parts, or some."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Phase, Record, Spacing
from cardiolabel.errors import DatasetError
from cardiolabel.experiments.bench.batches import bench_batches
from cardiolabel.experiments.bench.cines import bench_cines
from cardiolabel.experiments.bench.figures import Found, Progress
from cardiolabel.experiments.bench.http import bench_http
from cardiolabel.experiments.bench.measuring import bench_measuring
from cardiolabel.io import nifti
from cardiolabel.networks.weights import read_weights
from cardiolabel.records import manifest
from cardiolabel.records.layout import file_of

PARTS = ("http", "batch", "cines", "measuring", "datastore")

_PHANTOMS = 12
_SHAPE, _SPACING = (384, 468), Spacing(row_mm=0.39, col_mm=0.415)


@dataclass(frozen=True)
class Setting:
    """Setting of a benchmark: a model of ``weights`` on at most ``images`` stills of ``studies`` (None:
    phantoms).
    """

    model: str
    weights: Path
    apps: Path
    studies: Path | None = None
    images: int = 200
    repeats: int = 200


def run_bench(parts: Sequence[str], setting: Setting, *, on_progress: Progress) -> list[Found]:
    """Run parts of the benchmark, each by itself.

    Parameters
    ----------
    parts : sequence of str
        Of `PARTS`.
    setting : Setting
    on_progress : callable
        Told steps of a part done, in all, and what is being done.

    Raises
    ------
    DatasetError
        An unknown part, or no stills in ``studies``.
    MissingWeightsError, CorruptWeightsError
        There is no such model.
    ServerError
        A server does not start or does not answer.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise DatasetError(f"no part {unknown[0]!r} of the benchmark; there are: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="cardiolabel-bench-") as folder:
        home = Path(folder)
        works: dict[str, Callable[[], list[Found]]] = {
            "http": lambda: bench_http(
                _stills(setting, home / "http"),
                setting.model,
                apps=setting.apps,
                weights=setting.weights,
                home=home / "servers",
                on_progress=on_progress,
            ),
            "batch": lambda: bench_batches(
                _stills(setting, home / "batch"),
                setting.model,
                apps=setting.apps,
                weights=setting.weights,
                home=home / "batches",
                on_progress=on_progress,
            ),
            "cines": lambda: bench_cines(
                setting.model, weights=setting.weights, home=home, on_progress=on_progress
            ),
            "measuring": lambda: bench_measuring(setting.repeats, on_progress=on_progress),
            "datastore": lambda: _datastore(home / "datastore", on_progress),
        }
        return [figure for part in parts for figure in works[part]()]


def conditions(setting: Setting) -> dict[str, Any]:
    """Return the conditions of the values, JSON-safe."""
    _, card = read_weights(setting.model, setting.weights)
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "monai", "monailabel")},
        "model": {"name": card.name, "version": card.version, "sha256": card.sha256},
        "stills": str(setting.studies) if setting.studies else "phantoms",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _stills(setting: Setting, folder: Path) -> list[Record]:
    """Make a studies folder of stills without labels: copies, or phantoms."""
    folder.mkdir()
    if setting.studies is None:
        records = _phantoms(folder)
    else:
        stills = [record for record in manifest.scan(setting.studies) if record.phase is not Phase.CINE]
        records = [_copied(record, folder) for record in stills[: setting.images]]
    if not records:
        raise DatasetError(f"{setting.studies}: no stills to time")
    manifest.write(records, folder)
    return records


def _copied(record: Record, folder: Path) -> Record:
    return replace(record, path=Path(shutil.copy(record.path, folder / record.path.name)))


def _phantoms(folder: Path) -> list[Record]:
    records = []
    for seed in range(_PHANTOMS):
        study = make_study(f"p{seed}", seed=seed, shape=_SHAPE, spacing=_SPACING, cine=False)
        for image in study.images:
            path = file_of(folder, image.image_id)
            nifti.write_clip(image.clip, path)
            records.append(Record(image.image_id, f"p{seed}", image.view, image.phase, "phantom", path))
    return records


def _datastore(home: Path, on_progress: Progress) -> list[Found]:
    from cardiolabel.experiments.bench.datastore import (
        bench_datastore,  # imports the server, which takes seconds
    )

    return bench_datastore(home=home, on_progress=on_progress)
