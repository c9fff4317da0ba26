"""Small studies folders with references, and predictions that differ from them in a known way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Clip, Phase, Record, Spacing, Stack, View
from cardiolabel.io import nifti
from cardiolabel.records import manifest

Masks = NDArray[np.uint8]
Change = Callable[[Record, Masks], Masks]

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
SPLITS = ("TRAIN", "TRAIN", "VAL", "VAL", "TEST")
QUALITIES = ("Good", "Poor", "Medium", "Good", None)


def write_echo(folder: Path, *, patients: int = 5) -> Path:
    """Phantoms ``p1`` to ``p5``: stills of both views at ED and ES, ``labels/final``."""
    records = []
    for number in range(patients):
        study = make_study(f"p{number + 1}", seed=number, shape=(140, 150), spacing=SPACING, cine=False)
        for image in study.images:
            path = folder / f"{image.image_id}.nii.gz"
            nifti.write_clip(image.clip, path)
            nifti.write_mask(image.masks, folder / "labels" / "final" / path.name, spacing=SPACING)
            records.append(
                Record(
                    image.image_id,
                    f"p{number + 1}",
                    image.view,
                    image.phase,
                    "phantom",
                    path,
                    image_quality=QUALITIES[number],
                    split=SPLITS[number],
                )
            )
    manifest.write(records, folder)
    return folder


def write_cines(folder: Path, *, spacing: Spacing | None) -> Path:
    """Phantoms ``p1`` to ``p3``: A4C cines of which ED and ES are labelled, and the cavity alone."""
    records = []
    for number in range(3):
        study = make_study(
            f"p{number + 1}", seed=number, shape=(140, 150), spacing=SPACING, frames=16, cine=True
        )
        image = next(image for image in study.images if image.view is View.A4C and image.phase is Phase.CINE)
        path = folder / f"{image.image_id}.nii.gz"
        nifti.write_clip(Clip(image.clip.pixels, spacing), path)
        assert image.ed_frame and image.es_frame
        masks = np.zeros_like(image.masks)
        for frame in (image.ed_frame - 1, image.es_frame - 1):
            masks[frame] = image.masks[frame] == 1
        nifti.write_mask(masks, folder / "labels" / "final" / path.name, spacing=spacing)
        records.append(
            Record(
                image.image_id,
                f"p{number + 1}",
                View.A4C,
                Phase.CINE,
                "echonet",
                path,
                ed_frame=image.ed_frame,
                es_frame=image.es_frame,
            )
        )
    manifest.write(records, folder)
    return folder


def write_stacks(folder: Path, *, dataset: str, wall_at_es: bool) -> Path:
    """Four patients: rings at ED and smaller ones at ES, 3 cavity and 2 myocardium."""
    records = []
    rows, cols = np.mgrid[:64, :60]
    away_mm = np.hypot((rows - 32) * 1.4, (cols - 30) * 1.2)
    for number in range(4):
        for phase, widest_mm in ((Phase.ED, 24.0 + number), (Phase.ES, 17.0 + 2 * number)):
            masks = np.zeros((7, 64, 60), np.uint8)
            for mask, radius_mm in zip(masks[:6], np.linspace(widest_mm, 6, 6), strict=True):
                if phase is Phase.ED or wall_at_es:
                    mask[away_mm <= radius_mm + 8] = 2
                mask[away_mm <= radius_mm] = 3
            record = Record(
                f"s{number}_SAX_{phase}",
                f"s{number}",
                View.SAX,
                phase,
                dataset,
                folder / f"s{number}_SAX_{phase}.nii.gz",
            )
            folder.mkdir(exist_ok=True, parents=True)
            nifti.write_stack(Stack(masks.astype(np.int16) * 50, Spacing(1.4, 1.2), 8.0), record.path)
            target = folder / "labels" / "final" / record.path.name
            nifti.write_mask_like(masks, target, grid=nifti.read(record.path).grid)
            records.append(record)
    manifest.write(records, folder)
    return folder


def predict(folder: Path, target: Path, change: Change = lambda _, masks: masks) -> Path:
    """The references, changed, as masks in another folder."""
    for record in manifest.read(folder):
        masks = nifti.read_mask(folder / "labels" / "final" / record.path.name)
        grid = nifti.read(record.path).grid
        nifti.write_mask_like(change(record, masks.copy()), target / record.path.name, grid=grid)
    return target


def tighter(masks: Masks, pixels: int, *, cavity: int = 1, wall: int = 2) -> Masks:
    """A cavity drawn further inside, but for its lower half; what it loses is myocardium."""
    inside = np.stack([binary_erosion(mask == cavity, iterations=pixels) for mask in masks])
    for mask, stored in zip(masks, inside, strict=True):
        rows = np.flatnonzero((mask == cavity).any(axis=1))
        if rows.size:
            stored[(rows[0] + rows[-1]) // 2 :] = (mask == cavity)[(rows[0] + rows[-1]) // 2 :]
    return np.where((masks == cavity) & ~inside, wall, masks).astype(np.uint8)


def tighter_at_es(record: Record, masks: Masks) -> Masks:
    """By 1 to 3 pixels, depending on the patient, at ES only: the EF is predicted too high."""
    return tighter(masks, 1 + int(record.patient[-1]) % 3) if record.phase is Phase.ES else masks
