"""Commands that write results as DICOM and as FHIR."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import Existing, Out, Quiet, Weights, model_folders
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say
from cardiolabel.records.file_names import clean_id
from cardiolabel.system.installation import check_server


def export_dicom(
    studies: Existing,
    out: Out,
    originals: Annotated[
        Path | None,
        typer.Option("--originals", help="DICOM files that the images come from; else those in STUDIES."),
    ] = None,
    patient: Annotated[
        list[str] | None, typer.Option("--patient", help="A patient to export; repeatable, by default all.")
    ] = None,
    stored: Annotated[bool, typer.Option("--stored", help="Use stored masks only; predict none.")] = False,
    store: Annotated[
        str, typer.Option("--store", metavar="URL", help="Store the objects in the PACS at this address.")
    ] = "",
    weights: Weights = None,
    quiet: Quiet = False,
) -> None:
    """Write results as DICOM: a report, segmentations and the figure, as new series of each study."""
    exported = export_results(
        studies,
        originals or studies,
        out,
        weights=weights,
        store=store,
        quiet=quiet,
        patients=patient or (),
        predict=not stored,
    )
    if not exported:
        raise typer.Exit(1)


def export_fhir(
    studies: Existing,
    out: Out,
    patient: Annotated[
        list[str] | None, typer.Option("--patient", help="A patient to export; repeatable, by default all.")
    ] = None,
    stored: Annotated[bool, typer.Option("--stored", help="Use stored masks only; predict none.")] = False,
    weights: Weights = None,
    quiet: Quiet = False,
) -> None:
    """Write each patient's volumes and EF as a FHIR DiagnosticReport: OUT/PATIENT.json."""
    from cardiolabel.dicom_results.fhir import diagnostic_report
    from cardiolabel.io.files import atomic
    from cardiolabel.models.models import SOURCES, Models
    from cardiolabel.studies.patient_reports import PatientReports
    from cardiolabel.studies.studies import Studies

    with clear_errors(), bar("exporting", quiet) as progress:
        models = Models(SOURCES.values(), model_folders(studies, weights))
        reports = PatientReports(Studies(studies, models=models))
        chosen = patient or list(reports.studies.by_patient())
        out.mkdir(parents=True, exist_ok=True)
        for number, each in enumerate(chosen, start=1):
            measured = reports.measure(each, predict=not stored)
            with atomic(out / f"{clean_id(each)}.json") as draft:
                draft.write_text(diagnostic_report(measured.study, measured.sources), encoding="utf-8")
            progress(number, len(chosen))
    say(f"{len(chosen)} reports in {out}", quiet)


def export_results(
    studies: Path,
    originals: Path,
    out: Path,
    *,
    weights: Path | None,
    store: str,
    quiet: bool,
    patients: Collection[str] = (),
    predict: bool = True,
) -> int:
    """Write results of patients as DICOM, and store them in the PACS at the address ``store``, if any.

    Returns
    -------
    int
        How many patients have results; what is missing of the others is printed.
    """
    from cardiolabel.dicom_results.export_folder import export_folder
    from cardiolabel.store.database import URL_VARIABLE

    with clear_errors(), bar("exporting", quiet) as progress:
        exported = export_folder(
            studies,
            originals,
            out,
            models=model_folders(studies, weights),
            patients=patients,
            predict=predict,
            database_url=os.environ.get(URL_VARIABLE),
            progress=progress,
        )
        if store:
            check_server()
            from cardiolabel.pacs.stored import store_folder

            store_folder(out, store)
    list_problems(exported.notes, quiet)
    place = f"in {out}" + (" and in the PACS" if store else "")
    say(f"{exported.objects} DICOM objects of {exported.patients} patients {place}", quiet)
    return exported.patients
