"""The ``cardiolabel`` command: thin words over the library."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cardiolabel.errors import CardiolabelError, DatasetError

app = typer.Typer(
    help="Left-ventricle masks and ejection fractions from cardiac images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

export = typer.Typer(help="Write what is kept in the form that other programs read.", no_args_is_help=True)
app.add_typer(export, name="export")

REPOSITORY = Path(__file__).resolve().parents[2]
APP = REPOSITORY / "apps" / "cardiac_echo"

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to; created where missing.")]
Existing = Annotated[Path, typer.Argument(help="A studies folder.")]


class Kind(StrEnum):
    """Datasets that `prepare` understands."""

    CAMUS = "camus"
    CAMUS_MHD = "camus-mhd"
    ACDC = "acdc"
    SUNNYBROOK = "sunnybrook"
    ECHONET = "echonet"
    FOLDER = "folder"


@app.command()
def sample(
    dest: Annotated[Path, typer.Argument(help="Folder to write; created where missing.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other patients.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write phantom echo studies with known volumes and EF (truth.csv, truth/)."""
    from cardiolabel.datasets.phantom import write_sample

    with _clear_errors(), _bar("drawing", quiet) as progress:
        write_sample(dest, patients=patients, seed=seed, progress=progress)
    _say(f"{patients} phantom patients in {dest}; their truth is in {dest / 'truth.csv'}", quiet)


@app.command()
def prepare(
    dataset: Annotated[Kind, typer.Argument(help="Layout of the source.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The dataset's folder; only read.")],
    dest: Annotated[Path, typer.Argument(help="Studies folder to write; continued where it exists.")],
    quiet: Quiet = False,
) -> None:
    """Make a studies folder: images, manifest.csv and, where there are references, labels/final."""
    from cardiolabel.datasets.prepare import prepare as run

    with _clear_errors(), _bar("preparing", quiet) as progress:
        done = run(dataset.value, source, dest, progress=progress)
    _problems(done.skipped, quiet)
    _say(f"{done.images} images and {done.labels} reference masks in {dest}", quiet)


@app.command()
def serve(
    studies: Existing,
    models: Annotated[
        str, typer.Option(help="Models to serve, comma-separated, the preferred first; else all.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    quiet: Quiet = False,
) -> None:
    """Start the MONAI Label server on a studies folder."""
    with _clear_errors():
        if not studies.is_dir():
            raise DatasetError(f"{studies}: no such folder; make one with: cardiolabel prepare or sample")
        for model in models.split(",") if models else ():
            if not (APP / "lib" / "configs" / f"{model.strip()}.py").is_file():
                known = sorted(path.stem for path in (APP / "lib" / "configs").glob("[a-z]*.py"))
                raise DatasetError(f"no model {model.strip()!r} to serve; there are: {', '.join(known)}")
        if not (APP / "main.py").is_file():
            raise DatasetError(
                f"{APP}: the server app is not there; install from a clone with pip install -e ."
            )
    _say(f"serving {studies} on http://{host}:{port} (patients: /cardiac/patients)", quiet)
    if host not in {"127.0.0.1", "localhost", "::1"}:
        _say("without login only this machine is answered; see docs/security.md", quiet)
    sys.stdout.flush()
    arguments = ["--app", str(APP), "--studies", str(studies.resolve())]
    arguments += ["--conf", "models", models] if models else []
    command = [sys.executable, "-m", "monailabel.main", "start_server", *arguments]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port)])  # noqa: S606  no shell


@app.command()
def infer(
    studies: Existing,
    out: Out,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "camus",
    weights: Annotated[Path, typer.Option(help="Folder of weights and cards.")] = APP / "model",
    resume: Annotated[bool, typer.Option("--resume", help="Keep masks that OUT already has.")] = False,
    quiet: Quiet = False,
) -> None:
    """Predict every image, measure every patient: labels/, frames.csv, patients.csv."""
    from cardiolabel.inference.models import load
    from cardiolabel.pipeline import infer_folder

    with _clear_errors():
        predictor = load(model, weights)
        with _bar("predicting", quiet) as progress:
            done = infer_folder(studies, predictor, out=out, resume=resume, on_progress=progress)
    _problems(done.problems, quiet)
    kept = f", {done.skipped} kept" if done.skipped else ""
    _say(
        f"{done.images} images of {done.patients} patients{kept}, {len(done.problems)} without a mask; "
        f"tables in {out}",
        quiet,
    )


@app.command()
def measure(
    studies: Existing,
    out: Out,
    labels: Annotated[str, typer.Option(help="final, original, or a folder of masks.")] = "final",
    quiet: Quiet = False,
) -> None:
    """Measure every patient from masks that exist: frames.csv, patients.csv."""
    from cardiolabel.pipeline import measure_folder

    with _clear_errors(), _bar("measuring", quiet) as progress:
        done = measure_folder(studies, labels, out=out, on_progress=progress)
    _problems(done.problems, quiet)
    _say(
        f"{done.images} images of {done.patients} patients, {len(done.problems)} not measurable; "
        f"tables in {out}",
        quiet,
    )


@app.command()
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
    quiet: Quiet = False,
) -> None:
    """Train a model on masks that exist; run again to go on after an interruption."""
    from cardiolabel.datasets.patient_list import read_patient_list
    from cardiolabel.studies import Studies
    from cardiolabel.training import training_recipe
    from cardiolabel.training.fit import FitProgress
    from cardiolabel.training.train import train as run

    with _clear_errors():
        chosen = training_recipe.read(recipe)
        chosen = replace(chosen, images=images or chosen.images)
        masks = studies / "labels" / labels if labels in {"final", "original"} else Path(labels)
        records = Studies(studies).records()
        with _bar("reading", quiet) as reading, _bar("training", quiet) as training:

            def show(progress: FitProgress) -> None:
                best = f", best Dice {progress.best_dice:.4f}" if progress.best_dice is not None else ""
                training(progress.images, progress.budget, f"training, loss {progress.loss:.3f}{best}")

            done = run(
                chosen, records, masks, out=out, version=version, licence=licence,
                trained_on=studies.resolve().name, on_reading=reading, on_progress=show,
                held_back=read_patient_list(held_back) if held_back else (),
            )  # fmt: skip
    _problems(done.skipped, quiet)
    _say(
        f"{done.card.name} {done.card.version} in {out}: {len(done.split.training)} patients in training,"
        f" {len(done.split.selection)} to select by, {len(done.split.held_back)} held back",
        quiet,
    )


@app.command()
def compare(
    studies: Existing,
    out: Out,
    recipes: Annotated[str, typer.Option(help="Names of recipes or .toml files, comma-separated.")],
    images: Annotated[int, typer.Option(min=1, help="Budget of every recipe in training images.")],
    patients: Annotated[
        Path | None, typer.Option(help="Text file of patients to judge by; else the split's VAL and TEST.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each network is timed.")] = 20,
    quiet: Quiet = False,
) -> None:
    """Train recipes on the same patients and budget, judge and time them: comparison.csv, .md, .png."""
    from cardiolabel.comparison.compare import compare as run
    from cardiolabel.comparison.files import write_comparison

    names = [name.strip() for name in recipes.split(",") if name.strip()]
    with _clear_errors():
        with _bar("comparing", quiet) as progress:
            found = run(
                names, studies, out=out, images=images, patients=patients, repeats=repeats,
                on_progress=progress,
            )  # fmt: skip
        write_comparison(found, out)
        failed = tuple((one.recipe, one.reason) for one in found.outcomes if one.reason)
        if len(failed) == len(names):
            raise DatasetError(f"no recipe could be compared; the first, {failed[0][0]}: {failed[0][1]}")
    _problems(failed, quiet)
    _say(f"{len(names) - len(failed)} of {len(names)} recipes compared: {out / 'comparison.md'}", quiet)


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Folder of masks, or what infer wrote.")],
    reference: Annotated[
        Path, typer.Argument(help="A studies folder with labels/final; with --studies, a folder of masks.")
    ],
    out: Out,
    studies: Annotated[
        Path | None, typer.Option(help="The images' studies folder, if it is not REFERENCE.")
    ] = None,
    patients: Annotated[Path | None, typer.Option(help="Text file of the patients to judge by.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Parts of the official split to judge by: VAL,TEST.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Judge masks by references: Dice, distances, volumes, EF, validity; report.md and tables."""
    from cardiolabel.evaluation.evaluate import evaluate as run
    from cardiolabel.evaluation.files import write_evaluation
    from cardiolabel.evaluation.report import headline

    splits = [name.strip() for name in (split or "").split(",") if name.strip()]
    with _clear_errors():
        with _bar("comparing", quiet) as progress:
            done = run(
                predicted, reference, studies=studies, patients=patients, splits=splits,
                on_progress=progress,
            )  # fmt: skip
        found = write_evaluation(done, out)
    _problems(done.problems, quiet)
    _say("\n".join([*headline(found), f"report: {out / 'report.md'}"]), quiet)


@app.command()
def robustness(
    studies: Existing,
    out: Out,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "camus",
    weights: Annotated[Path, typer.Option(help="Folder of weights and cards.")] = APP / "model",
    split: Annotated[
        str | None, typer.Option(help="Parts of the official split to judge by; VAL,TEST where there are.")
    ] = None,
    patients: Annotated[Path | None, typer.Option(help="Text file of the patients to judge by.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use the first so many patients only.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other noise.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Corrupt pictures in known ways and see what the masks lose: robustness.md, .csv and .png."""
    from cardiolabel.evaluation.robustness.files import summary, table, write_robustness
    from cardiolabel.evaluation.robustness.robustness import measure_robustness
    from cardiolabel.inference.models import load

    splits = [name.strip() for name in (split or "").split(",") if name.strip()]
    with _clear_errors():
        predictor = load(model, weights)
        with _bar("predicting", quiet) as progress:
            found = measure_robustness(
                studies, predictor, patients=patients, splits=splits, limit=limit, seed=seed,
                on_progress=progress,
            )  # fmt: skip
        write_robustness(found, out)
    _problems(found.problems, quiet)
    _say("\n".join([*summary(found), *table(found), f"report: {out / 'robustness.md'}"]), quiet)


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    weights: Annotated[Path, typer.Option(help="Folder of weights and cards.")] = APP / "model",
    evaluation: Annotated[
        list[str] | None, typer.Option(help="'judged on what=folder that evaluate wrote'; repeatable.")
    ] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown file: use, data, what to know.")] = None,
    quiet: Quiet = False,
) -> None:
    """Put evaluations on a model's card and write its page."""
    from cardiolabel.evaluation.card import judge_card

    with _clear_errors():
        given = dict(part.rpartition("=")[::2] for part in evaluation or ())
        if "" in given:
            raise DatasetError("--evaluation: expected 'what it was judged on=folder'")
        said = notes.read_text(encoding="utf-8") if notes else ""
        judge_card(name, weights, {what: Path(where) for what, where in given.items()}, notes=said)
    _say(f"{weights / f'{name}.json'} and {name}.md", quiet)


@export.command("datastore")
def export_datastore(
    studies: Existing,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default STUDIES/datastore_v2.json.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write MONAI Label's datastore_v2.json from the records."""
    from cardiolabel.store import datastore_v2
    from cardiolabel.store.database import URL_VARIABLE
    from cardiolabel.store.store import Store
    from cardiolabel.studies import Studies

    target = out or studies / datastore_v2.NAME
    with _clear_errors():
        folder = Studies(studies)
        records = folder.records()
        store = Store(studies, records=folder.by_id, url=os.environ.get(URL_VARIABLE), watch=False)
        document = datastore_v2.document(
            studies.resolve().name, records, store.all_labels(), store.all_image_info()
        )
        images, labels = datastore_v2.write(target, document)
        store.close()
    _say(f"{images} images and {labels} labels in {target}", quiet)


@app.command()
def bench(
    repeats: Annotated[int, typer.Option(min=1, help="How often each step is timed.")] = 200,
    quiet: Quiet = False,
) -> None:
    """Time measuring one 512x512 frame beside a plain NumPy read of the same mask."""
    from cardiolabel.bench import bench_measuring

    with _bar("timing", quiet) as progress:
        timings = bench_measuring(repeats, on_progress=progress)
    for timing in timings:
        typer.echo(f"{timing.name:<40} median {timing.median_ms:7.3f} ms   p95 {timing.p95_ms:7.3f} ms")


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn what the library refuses and what the disk refuses into one line and exit code 2."""
    try:
        yield
    except (CardiolabelError, OSError) as error:
        typer.echo(f"cardiolabel: {error}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _bar(what: str, quiet: bool) -> Iterator[Callable[..., None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    lines = None if quiet or console.is_terminal else _lines()
    progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    task = progress.add_task(what, total=None)

    def report(done: int, total: int, description: str = what) -> None:
        if lines is not None:
            lines(done, total, description)
        progress.start()  # not before: input that is refused leaves its one line alone on stderr
        progress.update(task, completed=done, total=total, description=description)

    try:
        yield report
    finally:
        if progress.live.is_started:
            progress.stop()


def _lines(every_s: float = 60.0) -> Callable[[int, int, str], None]:
    """Progress where there is no terminal, as in a log: a line now and then, with the time left."""
    said: list[tuple[float, int]] = []

    def report(done: int, total: int, description: str) -> None:
        now = time.monotonic()
        if not said:
            said.extend([(now, done), (now, done)])
        (begun, first), (last, _) = said
        if now - last >= every_s and done > first:
            said[1] = now, done
            left = timedelta(seconds=round((total - done) * (now - begun) / (done - first)))
            typer.echo(f"{description}: {done} of {total}, {left} left", err=True)

    return report


def _problems(problems: tuple[tuple[str, str], ...], quiet: bool) -> None:
    if not quiet:
        for image_id, reason in problems:
            typer.echo(f"{image_id}: {reason}", err=True)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        typer.echo(text)
