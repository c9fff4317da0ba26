"""Commands that make, measure and evaluate masks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardiolabel.cli.dicom_results import export_results
from cardiolabel.cli.imports import local_studies, views_of, with_imports
from cardiolabel.cli.left_out import left_out_labels_named
from cardiolabel.cli.options import (
    Existing,
    ExistingOrPacs,
    KeepNames,
    MmPerPixel,
    Out,
    Patients,
    Query,
    Quiet,
    Weights,
    model_folders,
)
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say
from cardiolabel.models.model_folders import ModelFolders

if TYPE_CHECKING:
    from cardiolabel.pipeline.workers import Workers

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        help="Work with Ray: local, or a cluster's address (auto, ray://host:10001, host:6379).",
    ),
]


def infer(
    source: ExistingOrPacs,
    out: Out,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "camus",
    weights: Weights = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep masks that OUT already has.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if any image has no mask; the others have theirs.")
    ] = False,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Draw each image with its masks: overlays/IMAGE.png.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="A page of all patients, flagged ones first: summary.html.")
    ] = False,
    cluster: Cluster = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --cluster: how many workers; all cores if not given.")
    ] = None,
    query: Query = "",
    store: Annotated[
        bool,
        typer.Option("--store", help="Store reports, segmentations and figures in the PACS afterwards."),
    ] = False,
    keep_names: KeepNames = False,
    mm_per_pixel: MmPerPixel = None,
    quiet: Quiet = False,
) -> None:
    """Predict every image, measure every patient: labels/, and tables as .csv and .parquet.

    Images of STUDIES that are not NIfTI are first converted into OUT/images. Those of a PACS are fetched into
    a studies folder of this machine.
    """
    from cardiolabel.models.models import load
    from cardiolabel.pipeline.infer_folder import infer_folder

    if workers and not cluster:
        raise typer.BadParameter("only with --cluster", param_hint="--workers")
    if store and not source.startswith(("http://", "https://")):
        raise typer.BadParameter("only where STUDIES is the address of a PACS", param_hint="--store")
    with clear_errors():
        studies = local_studies(source, query, keep_names=keep_names, mm_per_pixel=mm_per_pixel, quiet=quiet)
        folders = model_folders(studies, weights)
        predictor = load(model, folders)
        images = with_imports(
            studies, out / "images", keep_names=keep_names, mm_per_pixel=mm_per_pixel, quiet=quiet
        )
        views = views_of(studies, quiet) if images == studies else {}
        studies = images
        with (
            left_out_labels_named(studies, quiet),
            _workers(cluster, model=model, weights=folders, workers=workers) as who,
            bar("predicting", quiet) as progress,
        ):
            done = infer_folder(
                studies,
                predictor,
                out=out,
                resume=resume,
                on_progress=progress,
                overlays=overlays,
                html=html,
                workers=who,
                views=views,
            )
    list_problems(done.problems, quiet)
    skipped = f", {done.skipped} kept" if done.skipped else ""
    say(
        f"{done.images} images of {done.patients} patients{skipped}, {len(done.problems)} without a mask; "
        f"tables in {out}",
        quiet,
    )
    if store:
        export_results(studies, studies, out / "dicom", weights=weights, store=source, quiet=quiet)
    if strict and done.problems:
        raise typer.Exit(1)


def _workers(
    where: str | None, *, model: str, weights: ModelFolders, workers: int | None
) -> AbstractContextManager[Workers]:
    """Yield a cluster's workers, else this process."""
    from cardiolabel.pipeline.infer_patients import infer_patients

    if where is None:
        return nullcontext(infer_patients)
    from cardiolabel.pipeline.cluster.cluster import cluster

    return cluster(where, model=model, weights=weights, workers=workers)


def measure(
    studies: Existing,
    out: Out,
    labels: Annotated[str, typer.Option(help="final, original, or a folder of masks.")] = "final",
    keep_names: KeepNames = False,
    mm_per_pixel: MmPerPixel = None,
    quiet: Quiet = False,
) -> None:
    """Measure every patient from masks that exist: tables as .csv and .parquet.

    Images of STUDIES that are not NIfTI are first converted into OUT/images.
    """
    from cardiolabel.pipeline.measure_folder import measure_folder

    with clear_errors():
        images = with_imports(
            studies, out / "images", keep_names=keep_names, mm_per_pixel=mm_per_pixel, quiet=quiet
        )
        views = views_of(studies, quiet) if images == studies else {}
        studies = images
    with clear_errors(), left_out_labels_named(studies, quiet), bar("measuring", quiet) as progress:
        measured = measure_folder(studies, labels, out=out, on_progress=progress, views=views)
    list_problems(measured.problems, quiet)
    say(
        f"{measured.images} images of {measured.patients} patients, {len(measured.problems)} not measurable; "
        f"tables in {out}",
        quiet,
    )


def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Folder of masks, or what infer wrote.")],
    reference: Annotated[
        Path, typer.Argument(help="A studies folder with labels/final; with --studies, a folder of masks.")
    ],
    out: Out,
    studies: Annotated[
        Path | None, typer.Option(help="The images' studies folder, if it is not REFERENCE.")
    ] = None,
    patients: Patients = None,
    split: Annotated[
        str | None, typer.Option(help="Parts of the official split to judge by: VAL,TEST.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare masks with references: Dice, distances, volumes, EF, validity; report.md and tables."""
    from cardiolabel.evaluation.evaluate import evaluate as run
    from cardiolabel.evaluation.files import write_evaluation
    from cardiolabel.evaluation.report import headline

    splits = [name.strip() for name in (split or "").split(",") if name.strip()]
    with clear_errors(), left_out_labels_named(studies or reference, quiet):
        with bar("comparing", quiet) as progress:
            done = run(
                predicted, reference, studies=studies, patients=patients, splits=splits, on_progress=progress
            )
        summary = write_evaluation(done, out)
    list_problems(done.problems, quiet)
    say("\n".join([*headline(summary), f"report: {out / 'report.md'}"]), quiet)


def robustness(
    studies: Existing,
    out: Out,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "camus",
    weights: Weights = None,
    split: Annotated[
        str | None, typer.Option(help="Parts of the official split to judge by; VAL,TEST where there are.")
    ] = None,
    patients: Patients = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use the first so many patients only.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other noise.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Corrupt images in known ways and measure the loss: robustness.md, .csv and .png."""
    from cardiolabel.evaluation.robustness.files import summary, table, write_robustness
    from cardiolabel.evaluation.robustness.robustness import measure_robustness
    from cardiolabel.models.models import load

    splits = [name.strip() for name in (split or "").split(",") if name.strip()]
    with clear_errors():
        folders = model_folders(studies, weights)
        predictor = load(model, folders)
        with bar("predicting", quiet) as progress:
            result = measure_robustness(
                studies,
                predictor,
                patients=patients,
                splits=splits,
                limit=limit,
                seed=seed,
                on_progress=progress,
            )
        write_robustness(result, out)
    list_problems(result.problems, quiet)
    say("\n".join([*summary(result), *table(result), f"report: {out / 'robustness.md'}"]), quiet)
