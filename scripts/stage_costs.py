"""What each stage of `cardiolabel infer` costs on one core, in ms per frame and bytes per image.

Usage: taskset -c 0 python scripts/stage_costs.py STUDIES [MODEL], from the repository's root.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

import numpy as np

from cardiolabel.cli.options import MODELS
from cardiolabel.inference.engines.threads import limit_threads
from cardiolabel.inference.predictor import FRAMES_AT_ONCE
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.measurements.study import measure_study
from cardiolabel.models.models import load
from cardiolabel.records.layout import file_of
from cardiolabel.studies.predicted import masked_image
from cardiolabel.studies.studies import Studies

STAGES = ("read", "prepare", "network", "clean", "write", "measure")


def main(folder: Path, model: str) -> None:
    """Print the table."""
    limit_threads(1)
    predictor = load(model, MODELS)
    spent = dict.fromkeys(STAGES, 0.0)
    images = frames = read_bytes = written_bytes = 0
    masked = []

    def lap(stage: str) -> None:
        nonlocal since
        now = time.perf_counter()
        spent[stage] += now - since
        since = now

    with tempfile.TemporaryDirectory(dir=".") as elsewhere:
        for record in Studies(folder).records():
            since = time.perf_counter()
            image = read_image(record.path)
            lap("read")
            prepared = predictor.prepare(image.clip)
            lap("prepare")
            # A still alone costs what it costs among others: one frame at a time has the core.
            starts = range(0, len(prepared.frames), FRAMES_AT_ONCE)
            logits = [predictor.engine.logits(prepared.frames[at : at + FRAMES_AT_ONCE]) for at in starts]
            lap("network")
            masks = np.concatenate([predictor.masks(part, prepared.place) for part in logits])
            lap("clean")
            target = file_of(Path(elsewhere), record.image_id)
            nifti.write_mask_like(masks, target, grid=image.grid)
            lap("write")
            masked.append(masked_image(record, masks, image.grid, predictor.labels))
            images, frames = images + 1, frames + len(masks)
            read_bytes += record.path.stat().st_size
            written_bytes += target.stat().st_size
    since = time.perf_counter()
    for _, own in groupby(masked, lambda one: one.patient):
        measure_study(list(own))
    lap("measure")
    lines = [f"{stage:8} {1000 * spent[stage] / frames:7.2f} ms/frame" for stage in STAGES]
    lines.append(f"{'sum':8} {1000 * sum(spent.values()) / frames:7.2f} ms/frame")
    lines.append(f"{images} images, {frames} frames; {predictor.engine.name}")
    lines.append(f"{read_bytes // images} bytes read and {written_bytes // images} written per image")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "camus")
