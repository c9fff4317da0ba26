"""Benchmark of a folder of stills, from files to tables, beside MONAI Label's batch inference and the bare
network.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cardiolabel.domain import Record
from cardiolabel.experiments import servers
from cardiolabel.experiments.bench.figures import Found, Progress, Target
from cardiolabel.experiments.bench.http import OURS, STOCK
from cardiolabel.experiments.bench.network import forward_s, in_turns
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.images import read_image
from cardiolabel.pipeline.infer_folder import infer_folder
from cardiolabel.records.layout import LABELS, SUFFIX, id_of

_ROUNDS = 3


def bench_batches(
    records: Sequence[Record], model: str, *, apps: Path, weights: Path, home: Path, on_progress: Progress
) -> list[Found]:
    """Measure images per second of the command line, of ``/batch/infer`` here and in the stock app, and of
    the network.

    Parameters and errors as `bench_http`; the folder holds these stills only.
    """
    predictor = Predictor.load(model, weights)
    studies = records[0].path.parent
    frames = np.concatenate([predictor.prepare(read_image(record.path).clip).frames for record in records])
    forward_s(predictor.engine, frames[:32])
    on_progress(0, 4, "batch: command line")
    net_s, ours_s = in_turns(
        _ROUNDS, [lambda: forward_s(predictor.engine, frames), lambda: infer_s(studies, predictor)]
    )
    on_progress(1, 4, "batch: this server")
    server_s = _served_s(apps / OURS, studies, model, servers.quiet(model), home / "ours")
    on_progress(2, 4, "batch: stock server")
    conf = {"model": model, "weights": str(weights.resolve())}
    stock_s = _served_s(apps / STOCK, studies, STOCK, conf, home / "stock")
    on_progress(4, 4, "batch")
    part, count = "batch, stills", len(records)
    return [
        Found(part, "cardiolabel infer, file to tables", count / ours_s, "images/s"),
        Found(part, f"bare network, {predictor.engine.name}", count / net_s, "images/s"),
        Found(part, "cardiolabel infer over the bare network", net_s / ours_s, "x", Target(least=0.5)),
        Found(part, "/batch/infer, masks stored", count / server_s, "images/s"),
        Found(part, "stock /batch/infer", count / stock_s, "images/s"),
        Found(part, "cardiolabel infer over stock", stock_s / ours_s, "x", Target(least=8)),
        Found(part, "/batch/infer over stock", stock_s / server_s, "x"),
    ]


def infer_s(studies: Path, predictor: Predictor) -> float:
    """Time `infer_folder` into a new folder, in seconds."""
    with tempfile.TemporaryDirectory() as out:
        start_s = time.perf_counter()
        infer_folder(studies, predictor, out=Path(out), resume=False, on_progress=lambda done, total: None)
        return time.perf_counter() - start_s


def _served_s(app: Path, studies: Path, model: str, conf: Mapping[str, str], home: Path) -> float:
    """Time one batch on a server that has answered before, in seconds; on a copy, as its labels are
    stored.
    """
    own = home / "studies"
    shutil.copytree(studies, own, ignore=shutil.ignore_patterns(LABELS, ".*"))
    module = servers.MONAI_LABEL if app.name == STOCK else servers.LEAN
    with servers.running(app, own, conf=conf, home=home, module=module) as server:
        server.infer(model, id_of(next(own.glob(f"*{SUFFIX}"))))
        start_s = time.perf_counter()
        server.batch_infer(model)
        return time.perf_counter() - start_s
