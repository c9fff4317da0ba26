"""The command that de-identifies a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import Quiet
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say

_Tags = list[str] | None


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder; only read.")],
    dest: Annotated[Path, typer.Argument(help="A new folder for the copies.")],
    key_file: Annotated[
        Path | None,
        typer.Option(help="Table for the way back, to be kept private; by default DEST.key.csv beside DEST."),
    ] = None,
    remove: Annotated[_Tags, typer.Option(metavar="TAG", help="Remove a DICOM tag, by keyword.")] = None,
    pseudonymise: Annotated[_Tags, typer.Option(metavar="TAG", help="Replace a tag by a pseudonym.")] = None,
    keep: Annotated[_Tags, typer.Option(metavar="TAG", help="Keep a tag, for instance PatientSex.")] = None,
    keep_unmasked: Annotated[
        bool,
        typer.Option("--keep-unmasked", help="Also copy files in which text cannot be told from image."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Copy DICOM files, videos and pictures without what identifies the patient."""
    from cardiolabel.pipeline.deidentification.run import LOG_NAME
    from cardiolabel.pipeline.deidentification.run import deidentify as run
    from cardiolabel.pipeline.deidentification.tags import TagChoices
    from cardiolabel.records.pseudonyms import pseudonym_key

    private = key_file or dest.with_name(f"{dest.name}.key.csv")
    with clear_errors(), bar("de-identifying", quiet) as progress:
        result = run(
            source,
            dest,
            key=pseudonym_key(),
            key_file=private,
            choices=TagChoices(tuple(remove or ()), tuple(pseudonymise or ()), tuple(keep or ())),
            keep_unmasked=keep_unmasked,
            progress=progress,
        )
    list_problems(result.skipped, quiet)
    say(f"{result.files} files in {dest}, {len(result.skipped)} left out; see {dest / LOG_NAME}", quiet)
    if result.files:
        say(f"the way back, to be kept private: {private}", quiet)
