"""Benchmark of cines: frames per second of each engine, a folder of them, and a biplane study from file to
EF.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Clip, Phase, Record, Spacing
from cardiolabel.experiments.bench.batches import infer_s
from cardiolabel.experiments.bench.figures import Found, Progress, Target
from cardiolabel.experiments.bench.network import forward_s, in_turns
from cardiolabel.inference.engines.choose import ENGINE_VARIABLE
from cardiolabel.inference.engines.openvino_engine import is_installed
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.measurements.study import measure_study
from cardiolabel.records import manifest
from cardiolabel.records.layout import file_of
from cardiolabel.reporting.result import best_ef
from cardiolabel.studies.predicted import masked_image

_FRAMES, _STUDIES, _ROUNDS = 50, 3, 5
_SHAPE, _SPACING = (384, 468), Spacing(row_mm=0.39, col_mm=0.415)


def bench_cines(model: str, *, weights: Path, home: Path, on_progress: Progress) -> list[Found]:
    """Time phantom cines of 50 frames in A4C and A2C; parameters as `bench_http`."""
    records = _make(home / "cines")
    chosen = os.environ.get(ENGINE_VARIABLE, "auto")
    engines = {name: _load(name, model, weights) for name in ("torch", "openvino") if _is_here(name)}
    predictor = _load(chosen, model, weights)
    clips = [read_image(record.path).clip for record in records]
    frames = np.concatenate([predictor.prepare(clip).frames for clip in clips[:2]])
    figures = []
    on_progress(0, 4, "cines: engines")
    alone = frames[:1]
    for engine in engines.values():
        forward_s(engine.engine, frames[:16])
        forward_s(engine.engine, alone)
    singles = in_turns(8 * _ROUNDS, [_forward(engine, alone) for engine in engines.values()])
    many = in_turns(_ROUNDS, [_forward(engine, frames) for engine in engines.values()])
    whole = in_turns(_ROUNDS, [_predicting(engine, clips[0]) for engine in engines.values()])
    for (name, engine), single_s, many_s, whole_s in zip(engines.items(), singles, many, whole, strict=True):
        part = f"engine {engine.engine.name}"
        figures += [
            Found(part, "bare network, one frame", 1e3 * single_s, "ms"),
            Found(part, "bare network, cine", len(frames) / many_s, "frames/s"),
            Found(part, "cine to clean masks", _FRAMES / whole_s, "frames/s"),
        ]
        if name != "torch":
            ratio = many[0] / many_s
            figures += [
                Found(part, "over torch, one frame", singles[0] / single_s, "x", Target(least=3)),
                Found(part, "over torch, cine", ratio, "x", Target(least=3)),
            ]
    on_progress(1, 4, "cines: one study")
    pair = records[:2]
    net_s, study_s = in_turns(_ROUNDS, [_forward(predictor, frames), lambda: _study_s(pair, predictor)])
    on_progress(2, 4, "cines: a folder")
    all_frames = np.concatenate([frames] * _STUDIES)
    all_s, folder_s = in_turns(
        _ROUNDS, [_forward(predictor, all_frames), lambda: infer_s(home / "cines", predictor)]
    )
    on_progress(4, 4, "cines")
    over = "over its bare network"
    return [
        *figures,
        Found("cine study, 2x50 frames", "file to EF", study_s, "s"),
        Found("cine study, 2x50 frames", over, study_s / net_s, "x", Target(most=1.5)),
        Found("batch, cines", "cardiolabel infer", len(all_frames) / folder_s, "frames/s"),
        Found("batch, cines", over, all_s / folder_s, "x", Target(least=0.7)),
    ]


def _make(folder: Path) -> list[Record]:
    records = []
    for number in range(_STUDIES):
        study = make_study(
            f"cine{number}", seed=number, frames=_FRAMES, frame_rate_hz=50, shape=_SHAPE, spacing=_SPACING
        )
        for image in study.images:
            if image.phase is Phase.CINE:
                path = file_of(folder, image.image_id)
                nifti.write_clip(image.clip, path)
                name = (image.image_id, study.truth.patient, image.view, image.phase, "phantom", path)
                records.append(Record(*name, frame_rate_hz=image.clip.frame_rate_hz))
    manifest.write(records, folder)
    return records


def _is_here(engine: str) -> bool:
    return engine != "openvino" or is_installed()


@contextmanager
def _engine(name: str) -> Iterator[None]:
    before = os.environ.get(ENGINE_VARIABLE)
    os.environ[ENGINE_VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENGINE_VARIABLE]
        else:
            os.environ[ENGINE_VARIABLE] = before


def _load(engine: str, model: str, weights: Path) -> Predictor:
    with _engine(engine):
        return Predictor.load(model, weights)


def _forward(predictor: Predictor, frames: NDArray[np.float32]) -> Callable[[], float]:
    return lambda: forward_s(predictor.engine, frames)


def _predicting(predictor: Predictor, clip: Clip) -> Callable[[], float]:
    def work() -> float:
        start_s = time.perf_counter()
        predictor.predict(clip)
        return time.perf_counter() - start_s

    return work


def _study_s(records: list[Record], predictor: Predictor) -> float:
    start_s = time.perf_counter()
    images = []
    for record in records:
        image = read_image(record.path)
        masks = predictor.predict(image.clip)
        images.append(masked_image(record, masks, image.grid, predictor.labels))
    best_ef(measure_study(images))
    return time.perf_counter() - start_s
