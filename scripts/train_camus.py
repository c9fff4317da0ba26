"""Train the shipped CAMUS model and write it with its card; run again to continue.

    python scripts/train_camus.py CAMUS --run RUN [--out apps/cardiac_echo/model] [--minutes 100]

CAMUS is the official NIfTI release (``database_nifti`` and ``database_split`` inside). Patients of
``subgroup_validation.txt`` are held back: the weights kept are the moving average at the end, so no
choice is made by looking at them, and the card's figures are of them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from cardiolabel.datasets import camus
from cardiolabel.datasets.prepare import prepare
from cardiolabel.domain import Convention, Method, Phase, Record
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.measurements.agreement import agreement, dice, structure_values
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, save_model
from cardiolabel.preprocessing.recipes import CAMUS
from cardiolabel.reporting.model_card import model_card_markdown
from cardiolabel.studies import Studies
from cardiolabel.training.fit import FitProgress, FitSettings, fit

VERSION = "1.0.0"
NETWORK, ARGUMENTS = "unet", {"out_channels": 1 + len(CAMUS.labels.values)}
NOTES = """
Dice is the mean over stills, measured at the images' own resolution on patients held back; the epicardium
is cavity and myocardium together. EF is biplane, in percentage points, predicted masks against the EF of
the reference masks, both measured by this project in the convention named. The patients held back took no
part in training or in choosing the weights. The run was planned for 85 minutes on two CPU cores
(`--minutes 85`) and continued once to 100 (`--minutes 100`); another machine gives other figures.

Intended for research on apical two- and four-chamber echo of adults. Not a medical device. Data: CAMUS,
Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516. Made by `python scripts/train_camus.py`.
"""
STRUCTURES = ("lv_cavity", "epicardium", "left_atrium")


def main() -> int:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("camus", type=Path, help="root of the CAMUS NIfTI release")
    parser.add_argument("--run", type=Path, required=True, help="folder for the checkpoint and cached arrays")
    parser.add_argument("--out", type=Path, default=Path("apps/cardiac_echo/model"))
    parser.add_argument("--minutes", type=float, default=100.0, help="training time")
    options = parser.parse_args()
    options.run.mkdir(parents=True, exist_ok=True)
    held_back = _patients(options.camus / "database_split" / "subgroup_validation.txt")
    training = _patients(options.camus / "database_split" / "subgroup_training.txt")
    settings = FitSettings(budget_minutes=options.minutes)
    torch.manual_seed(settings.seed)
    images, masks = _arrays(options.camus, training, options.run)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=1.0)

        def show(state: FitProgress) -> None:
            bar.update(task, completed=state.share, description=f"training, loss {state.loss:.3f}")

        network = fit(
            build(NETWORK, ARGUMENTS), images, masks=masks, settings=settings,
            checkpoint=options.run / "checkpoint.pt", on_progress=show,
        )  # fmt: skip
    card = ModelCard(
        name=CAMUS.name, version=VERSION, network=NETWORK, arguments=ARGUMENTS, recipe=CAMUS.name,
        trained_on=f"CAMUS, {len(training)} patients of the official training split, ED and ES, A2C and A4C",
        licence="CC BY-NC-SA 4.0, research only (inherited from CAMUS)", settings=asdict(settings),
    )  # fmt: skip
    save_model(network, card, folder=options.out)
    metrics = evaluate(Predictor.load(CAMUS.name, options.out), options.camus, held_back, options.run)
    final = save_model(network, replace(card, metrics=metrics), folder=options.out)
    (options.out / "README.md").write_text(model_card_markdown(final.as_dict()) + NOTES, encoding="utf-8")
    for name, value in metrics.items():
        Console().print(f"{name}: {value}")
    return 0


def evaluate(predictor: Predictor, root: Path, patients: set[str], run: Path) -> dict[str, object]:
    """Dice per structure and phase, and EF against the reference masks' own EF, same convention."""
    folder = run / "held_back"
    source = run / "held_back_source"
    source.mkdir(exist_ok=True)
    for patient in patients:
        link = source / patient
        if not link.exists():
            link.symlink_to((root / "database_nifti" / patient).resolve(), target_is_directory=True)
    prepare("camus", source, folder)
    references = Studies(folder, predictor=None)
    predicted = Studies(folder, predictor=predictor, label_folders={})
    found: dict[str, list[float]] = {}
    values = structure_values(predictor.labels)
    for record in references.records():
        ours = predicted.predict(record.image_id).masks
        theirs = nifti.read_mask(folder / "labels" / "final" / record.path.name)
        for name in STRUCTURES:
            found.setdefault(f"dice_{name}_{record.phase}", []).append(dice(ours, theirs, values[name]))
    metrics: dict[str, object] = {"patients": len(patients)}
    metrics |= {name: round(float(np.nanmean(dices)), 4) for name, dices in sorted(found.items())}
    for convention in Convention:
        pairs = np.array([
            (ours, theirs)
            for patient in references.patients()
            if (ours := _biplane_ef(predicted, patient, convention)) is not None
            and (theirs := _biplane_ef(references, patient, convention)) is not None
        ])  # fmt: skip
        found_ef = asdict(agreement(pairs[:, 0], pairs[:, 1]))
        metrics[f"biplane_ef_{convention}_pct"] = {
            key: None if value is None else round(value, 3) for key, value in found_ef.items()
        }
    return metrics


def _biplane_ef(studies: Studies, patient: str, convention: Convention) -> float | None:
    rows = studies.measure(patient).study.rows
    return next(row.ef_pct for row in rows if row.method is Method.BIPLANE and row.convention is convention)


def _patients(path: Path) -> set[str]:
    return set(path.read_text(encoding="utf-8").split())


def _arrays(root: Path, patients: set[str], run: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Network inputs (fp16) and targets of the stills of these patients, computed once per recipe."""
    key = hashlib.sha256(repr((CAMUS, sorted(patients))).encode()).hexdigest()[:12]
    cache = run / f"train-{key}.pt"
    if cache.exists():
        images, masks = torch.load(cache, weights_only=True)
        return images, masks
    inputs, targets = [], []
    for record in camus.records(root):
        if record.patient in patients and record.phase is not Phase.CINE:
            image, mask = _pair(record)
            inputs.append(image)
            targets.append(mask)
    torch.save((torch.cat(inputs), torch.cat(targets)), cache)
    return torch.cat(inputs), torch.cat(targets)


def _pair(record: Record) -> tuple[torch.Tensor, torch.Tensor]:
    reference = camus.reference_path(record)
    if reference is None:
        raise SystemExit(f"{record.image_id}: no reference mask; the CAMUS download is incomplete")
    clip = nifti.read(record.path).clip
    place = CAMUS.placement(clip)
    masks = CAMUS.masks(nifti.read_mask(reference), place)
    return torch.from_numpy(CAMUS.frames(clip, place)).half(), torch.from_numpy(masks)


if __name__ == "__main__":
    sys.exit(main())
