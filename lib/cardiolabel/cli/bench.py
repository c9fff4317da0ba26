"""The benchmark command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import APP, MODELS, Quiet
from cardiolabel.cli.terminal import bar, clear_errors
from cardiolabel.errors import InputError
from cardiolabel.system.installation import check_server


def bench(
    parts: Annotated[
        str, typer.Option(help="Of http, batch, cines, measuring, datastore; comma-separated.")
    ] = "http,batch,cines,measuring,datastore",
    studies: Annotated[Path | None, typer.Option(help="Studies folder of the stills; else phantoms.")] = None,
    images: Annotated[int, typer.Option(min=8, help="At most so many of its stills.")] = 200,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "camus",
    repeats: Annotated[int, typer.Option(min=1, help="How often measuring is timed.")] = 200,
    into: Annotated[Path | None, typer.Option("--json", help="File for values and conditions.")] = None,
    quiet: Quiet = False,
) -> None:
    """Time everything beside the bare network and MONAI Label's own parts; prints a Markdown table."""
    from cardiolabel.experiments.bench.figures import table
    from cardiolabel.experiments.bench.run import Setting, conditions, run_bench
    from cardiolabel.io.files import atomic
    from cardiolabel.models.versions import Versions

    with clear_errors():
        check_server()
        chosen = [part.strip() for part in parts.split(",")]
        if not (APP.parent / "stock").is_dir() and {"http", "batch"} & set(chosen):
            raise InputError("--parts http and batch compare with apps/stock, which only a clone has")
        served = Versions(MODELS).folder(model)
        setting = Setting(model, served, APP.parent, studies, images, repeats)
        held = conditions(setting)
        with bar("timing", quiet) as progress:
            figures = run_bench(chosen, setting, on_progress=progress)
        if into is not None:
            with atomic(into) as draft:
                report = {"conditions": held, "found": [figure.as_dict() for figure in figures]}
                draft.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo("\n".join(table(figures)))
