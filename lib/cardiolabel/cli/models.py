"""Commands that make and compare models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.left_out import take_over_labels
from cardiolabel.cli.options import APP, MODELS, Existing, Out, Quiet, ShippedWeights, numbers
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say
from cardiolabel.errors import DatasetError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.records.layout import TAGS, StudiesLayout
from cardiolabel.system.installation import check_server
from cardiolabel.system.readable_text import readable_text


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .toml file.")],
    studies: Existing,
    out: Out,
    labels: Annotated[str, typer.Option(help="final, original, or a folder of masks.")] = "final",
    images: Annotated[int | None, typer.Option(min=1, help="Budget in images; else the recipe's.")] = None,
    version: Annotated[str, typer.Option(help="Version of the model, for its card.")] = "1.0.0",
    licence: Annotated[str, typer.Option(help="Licence of the data, for the card.")] = "as the training data",
    held_back: Annotated[
        Path | None, typer.Option(help="Text file of patients to leave out, besides the official split's.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Folder with a model of the recipe's name to begin with.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model on masks that exist; run again to continue after an interruption."""
    from cardiolabel.records.patient_list import read_patient_list
    from cardiolabel.studies.studies import Studies
    from cardiolabel.training import training_recipe
    from cardiolabel.training.fit import FitProgress
    from cardiolabel.training.train import train as run

    with clear_errors():
        chosen = training_recipe.read(recipe)
        chosen = replace(chosen, images=images or chosen.images)
        if labels in TAGS:
            take_over_labels(studies, quiet)
        masks = StudiesLayout(studies).tagged(labels) if labels in TAGS else Path(labels)
        records = Studies(studies).records()
        with bar("reading", quiet) as report:

            def show(progress: FitProgress) -> None:
                best = f", best Dice {progress.best_dice:.4f}" if progress.best_dice is not None else ""
                report(progress.images, progress.budget, f"training, loss {progress.loss:.3f}{best}")

            done = run(
                chosen,
                records,
                masks,
                out=out,
                version=version,
                licence=licence,
                trained_on=readable_text(studies.resolve().name),
                on_reading=report,
                on_progress=show,
                held_back=read_patient_list(held_back) if held_back else (),
                start=start,
            )
    list_problems(done.skipped, quiet)
    say(
        f"{done.card.name} {done.card.version} in {out}: {len(done.split.training)} patients in training,"
        f" {len(done.split.selection)} to select by, {len(done.split.held_back)} held back",
        quiet,
    )


def retrain(
    model: Annotated[str, typer.Argument(help="camus, sunnybrook or landmarks.")],
    studies: Existing,
    weights: ShippedWeights = MODELS,
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="How often each labelled frame is seen.")] = 10,
    learning_rate: Annotated[float, typer.Option(help="At its highest; from scratch, the recipe's.")] = 2e-4,
    from_scratch: Annotated[bool, typer.Option(help="Begin without the published model.")] = False,
    base: Annotated[
        Path | None, typer.Option(help="Studies that the published model learned from, not to be forgotten.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train on final labels, and publish the model only if it is no worse on patients set aside."""
    from cardiolabel.training.retraining.retrain import retrain as run
    from cardiolabel.training.retraining.settings import Settings
    from cardiolabel.training.retraining.status import Status

    with clear_errors(), bar("reading", quiet) as report:

        def show(status: Status) -> None:
            loss = f", loss {status.loss:.3f}" if status.loss is not None else ""
            report(status.done, status.total, f"{status.state}{loss}")

        settings = Settings(epochs, learning_rate, from_scratch)
        result = run(
            model,
            studies,
            ModelFolders.of_studies(studies, weights),
            settings=settings,
            base=base,
            on_progress=show,
        )
    list_problems(tuple((name, reason) for name, reason in result.skipped), quiet)
    published = f"published as version {result.version}" if result.version else "not published"
    say(
        f"{model}: {published}: {result.reason} ({result.training_patients} patients in training,"
        f" {result.validation_patients} to judge by)",
        quiet,
    )


def replay(
    model: Annotated[str, typer.Argument(help="camus or sunnybrook.")],
    studies: Existing,
    out: Out,
    rounds: Annotated[
        str, typer.Option(help="Patients with labels after each round, comma-separated.")
    ] = "20,40,80,160,320",
    images: Annotated[int, typer.Option(min=1, help="Training images of each round.")] = 3000,
    scratch: Annotated[
        str, typer.Option(help="Rounds to compare with training from scratch, by their patients.")
    ] = "",
    scratch_images: Annotated[int, typer.Option(min=1, help="Training images of those.")] = 6000,
    judges: Annotated[int, typer.Option(min=5, help="Patients by whom the server judges candidates.")] = 40,
    seed: Annotated[int, typer.Option(help="Draws the patients.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Replay rounds of annotation through a server that retrains: rounds.csv, .md, .png."""
    with clear_errors():
        check_server()
    from cardiolabel.experiments.replay.files import write_replay
    from cardiolabel.experiments.replay.replay import Settings
    from cardiolabel.experiments.replay.replay import replay as run

    with clear_errors():
        settings = Settings(
            numbers(rounds), images, scratch_images if scratch else 0, numbers(scratch), judges, seed
        )
        if unknown := sorted({*settings.scratch_rounds} - {*settings.rounds}):
            raise DatasetError(f"--scratch: there is no round of {unknown[0]} patients")
        with bar("beginning", quiet) as progress:
            result = run(model, studies, out=out, app=APP, settings=settings, on_progress=progress)
        write_replay(
            result,
            out,
            about=f"{model} on {readable_text(studies.resolve().name)}, {images} training images a round,"
            f" {judges} patients by whom the server judges, seed {seed}"
            + (f"; from scratch: {scratch_images} training images." if scratch else "."),
        )
    say(f"{len(result)} rounds: {out / 'rounds.md'}", quiet)


def compare(
    studies: Existing,
    out: Out,
    recipes: Annotated[str, typer.Option(help="Names of recipes or .toml files, comma-separated.")],
    images: Annotated[int, typer.Option(min=1, help="Budget of every recipe in training images.")],
    patients: Annotated[
        Path | None, typer.Option(help="Text file of patients to judge by; else the split's VAL and TEST.")
    ] = None,
    at_most_px: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink larger inputs to this; times are of the own size."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each network is timed.")] = 20,
    quiet: Quiet = False,
) -> None:
    """Train recipes on the same patients and budget, evaluate and time them: comparison.csv, .md, .png."""
    from cardiolabel.experiments.comparison.compare import compare as run
    from cardiolabel.experiments.comparison.files import write_comparison

    names = [name.strip() for name in recipes.split(",") if name.strip()]
    with clear_errors():
        with bar("comparing", quiet) as progress:
            comparison = run(
                names,
                studies,
                out=out,
                images=images,
                at_most_px=at_most_px,
                patients=patients,
                repeats=repeats,
                on_progress=progress,
            )
        failed = tuple((outcome.recipe, outcome.reason) for outcome in comparison.outcomes if outcome.reason)
        if len(failed) == len(names):
            raise DatasetError(f"no recipe could be compared; the first, {failed[0][0]}: {failed[0][1]}")
        write_comparison(comparison, out)
    list_problems(failed, quiet)
    say(f"{len(names) - len(failed)} of {len(names)} recipes compared: {out / 'comparison.md'}", quiet)


def average(
    name: Annotated[str, typer.Argument(help="Name of the models.")],
    runs: Annotated[list[Path], typer.Argument(help="Their folders; the last one's card is kept.")],
    out: Out,
    version: Annotated[str, typer.Option(help="Version of the mean, for its card.")],
    quiet: Quiet = False,
) -> None:
    """Write the mean of models of one training line, which is often better than each of them."""
    from cardiolabel.models.average import average_models

    with clear_errors():
        done = average_models(name, runs, out=out, version=version)
    say(f"{done.name} {done.version} in {out}: the mean of {len(runs)} models", quiet)


def card(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    weights: Annotated[Path, typer.Option(help="Folder of the model, whose card is changed.")],
    evaluation: Annotated[
        list[str] | None, typer.Option(help="'judged on what=folder that evaluate wrote'; repeatable.")
    ] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown file: use, data, what to know.")] = None,
    quiet: Quiet = False,
) -> None:
    """Put evaluations on a model's card and write its page."""
    from cardiolabel.evaluation.card import judge_card

    with clear_errors():
        parts = [part.rpartition("=")[::2] for part in evaluation or ()]
        evaluations = dict(parts)
        if "" in evaluations or len(evaluations) < len(parts):
            raise DatasetError("--evaluation: expected 'what it was judged on=folder', each once")
        try:
            remarks = notes.read_text(encoding="utf-8") if notes else ""
        except UnicodeDecodeError as error:
            raise DatasetError(f"{notes}: not UTF-8 text ({error})") from error
        judge_card(name, weights, {what: Path(where) for what, where in evaluations.items()}, notes=remarks)
    say(f"{weights / f'{name}.json'} and {name}.md", quiet)
