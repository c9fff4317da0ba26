"""Benchmark of one still over HTTP, beside MONAI Label's own parts and the bare network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.experiments import servers
from cardiolabel.experiments.bench.figures import Found, Progress, Target
from cardiolabel.experiments.bench.network import forward_s, in_turns
from cardiolabel.inference.engines.torch_engine import TorchEngine
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.images import read_image
from cardiolabel.networks.weights import load_model

_WARM = 4
OURS, STOCK = "cardiac_echo", "stock"
"""Folders of the apps; the stock model has its folder's name."""


def bench_http(
    records: Sequence[Record],
    model: str,
    *,
    apps: Path,
    weights: Path,
    home: Path,
    on_progress: Progress,
) -> list[Found]:
    """Predict each still once, in turns, by this package's server, by the stock app and by the network alone.

    Parameters
    ----------
    records : sequence of Record
        Stills of one studies folder without labels; whole patients, since an answer has the patient's EF.
    model : str
    apps : Path
        Folder of this package's server app and of the stock one.
    weights : Path
        Folder of the model.
    home : Path
        For logs and copies.
    on_progress : callable

    Raises
    ------
    DatasetError
        Too few stills.
    ServerError
        A server does not start or does not answer.
    """
    if len(records) <= _WARM:
        raise DatasetError(f"{len(records)} stills are too few; at least {_WARM + 1} are needed")
    ours = Predictor.load(model, weights)
    network, _ = load_model(model, weights)
    theirs = TorchEngine(network)
    studies = records[0].path.parent
    taken: dict[str, list[float]] = {name: [] for name in ("net", "stock net", "ours", "again", "stock")}
    started = time.perf_counter()
    with servers.running(apps / OURS, studies, conf=servers.quiet(model), home=home / "ours") as server:
        server.infer(model, records[0].image_id)
        start_s = time.perf_counter() - started
        conf = {"model": model, "weights": str(weights.resolve())}
        stock = servers.running(
            apps / STOCK, studies, conf=conf, home=home / "stock", module=servers.MONAI_LABEL
        )
        started = time.perf_counter()
        with stock as other:
            other.infer(STOCK, records[0].image_id)
            stock_start_s = time.perf_counter() - started
            for done, record in enumerate(records, start=1):
                frames = ours.prepare(read_image(record.path).clip).frames
                works = (
                    partial(forward_s, ours.engine, frames),
                    partial(forward_s, theirs, frames),
                    partial(_answer_s, server, model, record),
                    partial(_answer_s, server, model, record),
                    partial(_answer_s, other, STOCK, record),
                )
                once = in_turns(1, works)
                on_progress(done, len(records), "HTTP")
                if done > _WARM:
                    for times, seconds in zip(taken.values(), once, strict=True):
                        times.append(seconds)
    mean = {name: 1e3 * statistics.mean(times) for name, times in taken.items()}
    rest, stock_rest = mean["ours"] - mean["net"], mean["stock"] - mean["stock net"]
    part = "HTTP, one still"
    return [
        Found(part, "answer, mean over whole patients", mean["ours"], "ms"),
        Found(part, f"bare network, {ours.engine.name}", mean["net"], "ms"),
        Found(part, "all that is not the network", rest, "ms", Target(most=10)),
        Found(part, "answer that is known already", mean["again"], "ms"),
        Found(part, "stock app: answer", mean["stock"], "ms"),
        Found(part, f"stock app: bare network, {theirs.name}", mean["stock net"], "ms"),
        Found(part, "stock app: all that is not the network", stock_rest, "ms"),
        Found(part, "not the network, ours over stock's", rest / stock_rest, "x", Target(most=1 / 3)),
        Found(part, "stock's answer over ours", mean["stock"] / mean["ours"], "x"),
        Found("server", "start to first prediction", start_s, "s", Target(most=8)),
        Found("server", "stock app: start to first prediction", stock_start_s, "s"),
    ]


def _answer_s(server: servers.Server, model: str, record: Record) -> float:
    start_s = time.perf_counter()
    server.infer(model, record.image_id)
    return time.perf_counter() - start_s
