"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.errors import DatasetError

REPOSITORY = Path(__file__).resolve().parents[3]
APP = REPOSITORY / "apps" / "cardiac_echo"
MODELS = APP / "model"
"""Weights that ship."""

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to; created where missing.")]
Existing = Annotated[Path, typer.Argument(help="A studies folder.")]
Weights = Annotated[Path, typer.Option("--weights", help="Folder of weights and cards.")]
Patients = Annotated[Path | None, typer.Option("--patients", help="Text file of the patients to judge by.")]


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers, comma-separated; raises DatasetError for anything else."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise DatasetError(f"{text!r}: expected whole numbers, comma-separated") from None
