"""Commands on the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from cardiolabel.cli.options import Existing
from cardiolabel.cli.terminal import clear_errors

app = typer.Typer(help="What was done on the servers of a studies folder.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Keep the name of a single command."""


@app.command("pseudonym")
def show_pseudonym(
    studies: Existing,
    name: Annotated[str, typer.Argument(help="An image id, or a patient.")],
) -> None:
    """Print the pseudonym of an image or a patient in the audit log; needs the folder's key."""
    from cardiolabel.errors import DatasetError
    from cardiolabel.store.audit.places import read_key
    from cardiolabel.store.audit.pseudonym import pseudonym

    with clear_errors():
        if not studies.is_dir():
            raise DatasetError(f"{studies}: no such folder; expected a studies folder")
        typer.echo(pseudonym(name, read_key(studies)))
