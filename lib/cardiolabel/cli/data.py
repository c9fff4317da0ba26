"""Commands that make and export data."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import Existing, KeepNames, MmPerPixel, Quiet, model_folders
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say
from cardiolabel.errors import DatasetError


class Format(StrEnum):
    """Kinds of file that `sample` writes."""

    NIFTI = "nifti"
    DICOM = "dicom"
    MP4 = "mp4"


class Kind(StrEnum):
    """Data sets that `prepare` reads."""

    CAMUS = "camus"
    CAMUS_MHD = "camus-mhd"
    ACDC = "acdc"
    SUNNYBROOK = "sunnybrook"
    ECHONET = "echonet"
    DICOM = "dicom"
    VIDEO = "video"
    FOLDER = "folder"


def sample(
    dest: Annotated[Path, typer.Argument(help="Folder to write; created where missing.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other patients.")] = 0,
    kind: Annotated[
        Format, typer.Option("--format", help="A studies folder, or cines as a scanner would export them.")
    ] = Format.NIFTI,
    quiet: Quiet = False,
) -> None:
    """Write phantom echo studies with known volumes and EF (truth.csv, truth/).

    DICOM adds a short-axis MR series for each patient. MP4 states no pixel size: give --mm-per-pixel 0.58.
    """
    from cardiolabel.datasets.phantom import SampleFormat, write_sample

    with clear_errors(), bar("drawing", quiet) as progress:
        write_sample(dest, patients=patients, seed=seed, kind=SampleFormat(kind.value), progress=progress)
    say(f"{patients} phantom patients in {dest}; their truth is in {dest / 'truth.csv'}", quiet)


def prepare(
    dataset: Annotated[Kind, typer.Argument(help="Layout of the source.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The dataset's folder; only read.")],
    dest: Annotated[Path, typer.Argument(help="Studies folder to write; continued where it exists.")],
    keep_names: KeepNames = False,
    mm_per_pixel: MmPerPixel = None,
    quiet: Quiet = False,
) -> None:
    """Make a studies folder: images, manifest.csv and, where there are references, labels/final."""
    from cardiolabel.datasets.prepare import prepare as run
    from cardiolabel.pipeline.import_folder import ImportOptions, import_dicom, import_folder

    with clear_errors(), bar("preparing", quiet) as progress:
        options = ImportOptions(model_folders(dest, None), keep_names, mm_per_pixel)
        if dataset is Kind.DICOM:
            prepared = import_dicom(source, dest, options, progress=progress)
        elif dataset in (Kind.FOLDER, Kind.VIDEO):
            prepared = import_folder(source, dest, options, again=True, progress=progress)
        else:
            prepared = run(dataset.value, source, dest, mm_per_pixel=mm_per_pixel, progress=progress)
    list_problems((*prepared.skipped, *prepared.notes), quiet)
    say(f"{prepared.images} images and {prepared.labels} reference masks in {dest}", quiet)


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
    from cardiolabel.studies.studies import Studies

    target = out or studies / datastore_v2.NAME
    with clear_errors():
        if not studies.is_dir():
            raise DatasetError(f"{studies}: no such folder; expected a studies folder")
        folder = Studies(studies)
        store = Store(studies, records=folder.by_id, url=os.environ.get(URL_VARIABLE), watch=False)
        document = datastore_v2.document(
            studies.resolve().name, folder.records(), store.all_labels(), store.all_image_info()
        )
        images, labels = datastore_v2.write(target, document)
        store.close()
    say(f"{images} images and {labels} labels in {target}", quiet)
