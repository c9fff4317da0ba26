"""Workers of a cluster, for the length of a block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cardiolabel.inference.engines.choose import ENGINE_VARIABLE
from cardiolabel.inference.engines.openvino_engine import CACHE_VARIABLE
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pipeline.cluster.connection import connect, imported_ray
from cardiolabel.pipeline.cluster.crew import Crew
from cardiolabel.pipeline.cluster.worker import Worker
from cardiolabel.pipeline.workers import Workers

_PASSED_ON = (ENGINE_VARIABLE, CACHE_VARIABLE)


@contextmanager
def cluster(
    where: str, *, model: str, weights: ModelFolders | Path, workers: int | None
) -> Iterator[Workers]:
    """Yield workers for `infer_folder`, which end with the block, as does a Ray that was started for it.

    Parameters
    ----------
    where : str
        ``local``, or the address of a running cluster: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``.
    model : str
        As `load`; must be the predictor that `infer_folder` is given.
    weights : ModelFolders or Path
        Folders of weights, which all machines see.
    workers : int, optional
        How many, of one core each; by default as many as there are.

    Raises
    ------
    ClusterError
        Ray is not installed, or there is none at that address. Inside the block: a worker does not see
        the shared folders, would not compute the same numbers, or is killed by the same patients
        again and again.
    """
    ray = imported_ray()
    connect(ray, where, workers)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        hired = ray.remote(num_cpus=1, max_restarts=0)(Worker)
        crew = Crew(ray, lambda: hired.remote(model, ModelFolders.of(weights).absolute(), environment), count)
        with closing(crew):
            yield crew.infer
    finally:
        ray.shutdown()
