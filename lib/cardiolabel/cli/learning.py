"""Commands of active learning and EF intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import (
    MODELS,
    Existing,
    Out,
    Patients,
    Quiet,
    ShippedWeights,
    model_folders,
    numbers,
)
from cardiolabel.cli.terminal import bar, clear_errors, say
from cardiolabel.errors import DatasetError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.records.layout import FINAL, StudiesLayout
from cardiolabel.system.readable_text import readable_text


def calibrate(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    studies: Existing,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder whose card is changed; by default a new version is published for STUDIES."),
    ] = None,
    patients: Patients = None,
    quiet: Quiet = False,
) -> None:
    """Calibrate a model's EF intervals on patients that it never saw, and publish them on its card. Fits the
    subspace of their images as well, for the out-of-distribution check.
    """
    import tempfile

    from cardiolabel.evaluation.card import judge_card
    from cardiolabel.evaluation.ef_intervals import calibrate_card, coverage
    from cardiolabel.models.versions import Versions, copy_model
    from cardiolabel.records.patient_list import read_patient_list
    from cardiolabel.records.patient_split import HELD_BACK
    from cardiolabel.studies.studies import Studies
    from cardiolabel.uncertainty.calibration import LEAST_PATIENTS

    with clear_errors():
        references = Studies(studies, label_folders={FINAL: StudiesLayout(studies).final})
        chosen = set(read_patient_list(patients)) if patients else None
        records = [
            record
            for record in references.records()
            if (record.split in HELD_BACK if chosen is None else record.patient in chosen)
        ]
        versions = Versions(model_folders(studies, weights))
        served = versions.served(name)
        with tempfile.TemporaryDirectory() as temporary:
            draft = weights or copy_model(name, versions.folder(name), Path(temporary))
            with bar("predicting", quiet) as progress:
                observed = calibrate_card(name, draft, records, references, on_progress=progress)
            if max(map(len, observed.values()), default=0) < LEAST_PATIENTS:
                raise DatasetError(f"fewer than {LEAST_PATIENTS} patients with an EF to calibrate by")
            card = judge_card(name, draft, {})
            if weights is None:
                note = {"why": "calibrated", "instead_of": served}
                version = versions.publish(name, draft, note=note, instead_of=served)
                say(f"{name}: published as version {version.number}", quiet)
    for way, calibration in card.intervals.items():
        widths = f"{calibration['factor']:.2f} spreads, or {calibration['flat_pct']:.1f} points"
        line = f"{way}: {calibration['patients']} patients, {widths}"
        if len(observed[way]) >= 2 * LEAST_PATIENTS:
            held, width = coverage(list(observed[way].values()))
            line += f"; of other halves {held:.0%} held, mean width {width:.1f} points"
        say(line, quiet)


def simulate(
    recipe: Annotated[str, typer.Argument(help="Training recipe of every model.")],
    studies: Existing,
    out: Out,
    strategies: Annotated[str, typer.Option(help="Comma-separated; by default all.")] = "",
    budgets: Annotated[str, typer.Option(help="Labelled patients, comma-separated.")] = "20,40,80",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    images: Annotated[int, typer.Option(min=1, help="Training images from one budget to the next.")] = 4000,
    size_px: Annotated[int, typer.Option(min=32, help="Side of the network's input.")] = 128,
    scored: Annotated[
        int | None, typer.Option(min=1, help="Patients drawn to choose from by scores at each step.")
    ] = None,
    own_start: Annotated[
        bool, typer.Option("--own-start", help="Strategies choose their first patients too.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Simulate active learning on a labelled dataset; run again to continue: labels.csv, .md, .png."""
    from cardiolabel.experiments.simulation.files import write_simulation
    from cardiolabel.experiments.simulation.settings import Settings
    from cardiolabel.experiments.simulation.simulate import simulate as run

    with clear_errors():
        names = tuple(name.strip() for name in strategies.split(",") if name.strip())
        settings = Settings(
            names or Settings.strategies, numbers(budgets), numbers(seeds), images, size_px, scored, own_start
        )
        with bar("beginning", quiet) as progress:
            outcomes = run(recipe, studies, out=out, settings=settings, on_progress=progress)
        write_simulation(
            outcomes, out, about=settings.describe(recipe, readable_text(studies.resolve().name))
        )
    say(f"{len(outcomes)} models: {out / 'labels.md'}", quiet)


def score(
    studies: Existing,
    weights: ShippedWeights = MODELS,
    models: Annotated[str, typer.Option(help="Comma-separated, the preferred first.")] = "camus,sunnybrook",
    images: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    beside: Annotated[
        int | None,
        typer.Option(help="Id of a process to leave the cores to, and to end with, such as a server's."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Score the EF uncertainty of patients for the worklist; only changed patients are scored again."""
    import os

    from cardiolabel.active_learning.score_folder import score_folder
    from cardiolabel.experiments.servers import end_with_the_caller
    from cardiolabel.inference.engines.threads import leave_cores_to, limit_threads
    from cardiolabel.models.models import SOURCES, Models
    from cardiolabel.store.database import URL_VARIABLE
    from cardiolabel.store.store import Store
    from cardiolabel.studies.studies import Studies

    if beside:
        end_with_the_caller(beside)
        limit_threads(1)
    with clear_errors():
        names = [name.strip() for name in models.split(",") if name.strip()]
        if unknown := [name for name in names if name not in SOURCES]:
            raise DatasetError(f"no model {unknown[0]!r}; there are: {', '.join(SOURCES)}")
        loaded = Models((SOURCES[name] for name in names), ModelFolders.of_studies(studies, weights))
        folder = Studies(studies, models=loaded)
        store = Store(studies, records=folder.by_id, url=os.environ.get(URL_VARIABLE), watch=False)
        try:
            leave_cores_to(loaded.named(names[0]).engine)
            with bar("scoring patients", quiet) as progress:
                done = score_folder(folder, store, most_images=images, on_progress=progress)
        finally:
            store.close()
    say(f"{done} patients scored", quiet)
