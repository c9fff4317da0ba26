"""Commands on the versions of served models."""

from __future__ import annotations

from typing import Annotated

import typer

from cardiolabel.cli.options import MODELS, Existing, Quiet, ShippedWeights
from cardiolabel.cli.terminal import clear_errors, say
from cardiolabel.models.model_folders import ModelFolders

app = typer.Typer(
    help="Versions of the models of a studies folder, and which one is served.", no_args_is_help=True
)


@app.command("list")
def listed(studies: Existing, weights: ShippedWeights = MODELS) -> None:
    """List all versions of all models, the newest first; a star marks the served one."""
    from cardiolabel.models.versions import Versions

    with clear_errors():
        versions = Versions(ModelFolders.of_studies(studies, weights))
        for name in versions.names():
            for version in versions.listed(name):
                why = version.note.get("why", "shipped") if version.card else version.reason
                label = version.card.version if version.card else "unusable"
                number = f"{version.number}{'*' if version.served else ''}"
                words = (name, number, label, version.note.get("published_at", ""), why)
                typer.echo("  ".join(word for word in words if word))


@app.command("rollback")
def roll_back(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    studies: Existing,
    to: Annotated[int | None, typer.Option(min=0, help="Number of a version; else the one before.")] = None,
    weights: ShippedWeights = MODELS,
    quiet: Quiet = False,
) -> None:
    """Serve another version; running servers switch to it by themselves."""
    from cardiolabel.models.versions import Versions

    with clear_errors():
        version = Versions(ModelFolders.of_studies(studies, weights)).roll_back(model, to)
    say(
        f"{model}: version {version.number} ({version.card.version if version.card else ''}) is served", quiet
    )
