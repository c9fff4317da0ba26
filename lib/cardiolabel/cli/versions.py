"""Versions of the models that are served, as commands."""

from __future__ import annotations

from typing import Annotated

import typer

from cardiolabel.cli.options import MODELS, Quiet, Weights
from cardiolabel.cli.terminal import clear_errors, say

app = typer.Typer(
    help="Which versions of the models there are, and which one is served.", no_args_is_help=True
)


@app.command("list")
def listed(weights: Weights = MODELS) -> None:
    """Every version of every model, the newest first; the served one has a star."""
    from cardiolabel.models.versions import FOLDER, Versions

    with clear_errors():
        own = {path.stem for path in weights.glob("*.safetensors")}
        published = {path.name for path in (weights / FOLDER).glob("*") if path.is_dir()}
        for name in sorted(own | published):
            for one in Versions(weights).listed(name):
                said = one.note.get("why", "as it came") if one.card else one.reason
                version = one.card.version if one.card else "unusable"
                since = one.note.get("published_at", "")
                words = (name, f"{one.number}{'*' if one.served else ''}", version, since, said)
                typer.echo("  ".join(word for word in words if word))


@app.command("rollback")
def roll_back(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    to: Annotated[int | None, typer.Option(min=0, help="Number of a version; else the one before.")] = None,
    weights: Weights = MODELS,
    quiet: Quiet = False,
) -> None:
    """Serve another version; running servers follow by themselves."""
    from cardiolabel.models.versions import Versions

    with clear_errors():
        found = Versions(weights).roll_back(model, to)
    say(f"{model}: version {found.number} ({found.card.version if found.card else ''}) is served", quiet)
