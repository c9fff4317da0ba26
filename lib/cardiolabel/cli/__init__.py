"""The ``cardiolabel`` command."""

from __future__ import annotations

import typer

from cardiolabel.cli import (
    accounts,
    audit,
    bench,
    data,
    deidentification,
    dicom_results,
    learning,
    masks,
    models,
    server,
    store,
    versions,
)

__all__ = ["app"]

app = typer.Typer(
    help="Left-ventricle masks and ejection fractions from cardiac images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
export = typer.Typer(help="Write what is kept in the form that other programs read.", no_args_is_help=True)

for command in (
    data.sample,
    data.prepare,
    deidentification.deidentify,
    server.serve,
    masks.infer,
    masks.measure,
    masks.evaluate,
    masks.robustness,
    models.train,
    models.retrain,
    models.replay,
    models.average,
    models.compare,
    models.card,
    learning.calibrate,
    learning.simulate,
    learning.score,
    bench.bench,
):
    app.command()(command)
export.command("datastore")(data.export_datastore)
export.command("dicom")(dicom_results.export_dicom)
export.command("fhir")(dicom_results.export_fhir)
app.add_typer(export, name="export")
app.add_typer(versions.app, name="models")
app.add_typer(store.app, name="store")
app.add_typer(audit.app, name="audit")
app.add_typer(accounts.app, name="accounts")
