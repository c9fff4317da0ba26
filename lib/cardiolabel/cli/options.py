"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.errors import DatasetError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.system.installation import app_folder

APP = app_folder()
MODELS = APP / "model"
"""Weights that ship."""

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to; created where missing.")]
KeepNames = Annotated[
    bool, typer.Option("--keep-names", help="Keep the patient ids of DICOM files; else pseudonyms.")
]
MmPerPixel = Annotated[
    float | None,
    typer.Option(min=0.02, max=5.0, help="Side of a pixel in mm, for files that state no size, as videos."),
]
Existing = Annotated[Path, typer.Argument(help="A studies folder.")]
ExistingOrPacs = Annotated[
    str, typer.Argument(metavar="STUDIES", help="A studies folder, or the DICOMweb address of a PACS.")
]
Query = Annotated[
    str, typer.Option("--query", help='Studies of a PACS, such as "StudyDate=20260101-20261231"; else all.')
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Folder of weights and cards; by default those that ship, and what STUDIES published.",
    ),
]
ShippedWeights = Annotated[
    Path, typer.Option("--weights", help="Folder of shipped weights; what STUDIES published comes first.")
]
Patients = Annotated[Path | None, typer.Option("--patients", help="Text file of the patients to judge by.")]


def model_folders(studies: Path, weights: Path | None) -> ModelFolders:
    """Return the given folder, else the shipped models and those published for the studies."""
    return ModelFolders.of(weights) if weights else ModelFolders.of_studies(studies, MODELS)


def numbers(text: str) -> tuple[int, ...]:
    """Parse comma-separated whole numbers; raises DatasetError for anything else."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise DatasetError(f"{text!r}: expected whole numbers, comma-separated") from None
