"""Prediction and measurement of a studies folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from cardiolabel.domain import Record, View
from cardiolabel.errors import DatasetError, ImageContentError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import remove_partial
from cardiolabel.models.models import check_view
from cardiolabel.pipeline.folder_run import Progress, Summary, images_of, refuse_no_mask
from cardiolabel.pipeline.folder_summary import SUMMARY_NAME, FolderPage
from cardiolabel.pipeline.infer_patients import infer_patients
from cardiolabel.pipeline.overlays import overlay_file
from cardiolabel.pipeline.workers import Options, Workers
from cardiolabel.records.layout import StudiesLayout, file_of
from cardiolabel.reporting.overlay import OVERLAYS
from cardiolabel.reporting.tables import table_files, tables_of
from cardiolabel.studies.predicted import MODEL_NAME, model_note, write_model_note
from cardiolabel.studies.studies import Studies


def infer_folder(
    folder: Path,
    predictor: Predictor,
    *,
    out: Path,
    resume: bool,
    on_progress: Progress,
    overlays: bool = False,
    html: bool = False,
    workers: Workers = infer_patients,
    views: Mapping[str, View] | None = None,
) -> Summary:
    """Predict every image of a studies folder and measure every patient from those masks.

    Writes ``labels/<image_id>.nii.gz``, the tables of `tables_of` and ``model.json``, the model and its
    labels, into ``out``. An image that cannot be read, or of a view that the model does not segment, costs
    only its own row, with the reason. Memory does not grow with the number of images.

    Parameters
    ----------
    folder : Path
        The studies folder.
    predictor : Predictor
    out : Path
        Created where missing.
    resume : bool
        Keep masks that ``out`` already has, which must be of this model; those that cannot be read are
        made anew.
    on_progress : callable
        Called with images done and images in all.
    overlays : bool
        Also draw ``overlays/<image_id>.png``, each image with its masks.
    html : bool
        Also write ``summary.html``, which shows those pictures if they are drawn too.
    workers : Workers
        Who does it; by default this process.
    views : mapping of str to View, optional
        As for `cardiolabel.records.studies_folder.StudiesFolder`.

    Raises
    ------
    DatasetError, ManifestError
        The folder holds no images, its manifest is malformed, or ``out`` has masks of another model.
    OSError
        ``out`` cannot be written.
    """
    studies = Studies(folder, views=views)
    records = images_of(studies)
    total = len(records)
    _refuse_other_views(folder, predictor, records)
    _note_model(predictor, out, records, resume=resume)
    page = FolderPage(studies, out, overlays=overlays) if html else None
    run = workers(
        studies.by_patient().values(),
        predictor,
        Options(out, resume, overlays),
        on_image=lambda done: on_progress(done, total),
    )
    problems: list[tuple[str, str]] = []
    patients = resumed = 0
    with closing(run) as all_done, tables_of(out) as write:
        for done in all_done:
            write(done.study)
            patients += 1
            resumed += done.resumed
            problems += done.problems
            if page:
                page.add(done.study)
        refuse_no_mask(total - len(problems), folder, problems)
    if page:
        page.write(predictor.used, images=total, problems=problems)
    return Summary(total, patients, resumed, tuple(problems))


def _refuse_other_views(folder: Path, predictor: Predictor, records: Sequence[Record]) -> None:
    """Raise before anything is written if no image is of a view that the model segments."""
    try:
        if not any(record.view in predictor.recipe.views for record in records):
            check_view(predictor.card.name, predictor.recipe.views, records[0])
    except ImageContentError as error:
        raise DatasetError(f"{folder}: no image can have a mask: {error}") from None


def _note_model(predictor: Predictor, out: Path, records: Sequence[Record], *, resume: bool) -> None:
    """Write the model's name into ``out``, and remove masks of other models with their pictures."""
    path = out / MODEL_NAME
    is_same = path.is_file() and path.read_text(encoding="utf-8") == model_note(predictor)
    masks = [file_of(StudiesLayout(out).labels, record.image_id) for record in records]
    if resume and not is_same and (path.is_file() or any(mask.exists() for mask in masks)):
        raise DatasetError(
            f"{out}: started with another model or engine, see {path.name}; give another --out"
        )
    if not (resume and is_same):
        pictures = (overlay_file(out, record.image_id) for record in records)
        for old in (*masks, *pictures, *table_files(out)):
            old.unlink(missing_ok=True)
    (out / SUMMARY_NAME).unlink(missing_ok=True)
    for folder in (out, StudiesLayout(out).labels, out / OVERLAYS):
        remove_partial(folder)
    write_model_note(predictor, out)
