"""Commands on the records and versions of a studies folder: backup, restore, rebuild, check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.cli.options import Existing, Quiet
from cardiolabel.cli.terminal import bar, clear_errors, list_problems, say
from cardiolabel.errors import DatasetError

app = typer.Typer(
    help="Backup, restore, check and rebuild what is recorded of a studies folder.", no_args_is_help=True
)


@app.command("backup")
def back_up(
    studies: Existing,
    file: Annotated[Path, typer.Argument(help="File to write; outside the studies folder.")],
    quiet: Quiet = False,
) -> None:
    """Write the folder, all versions of labels and the records into one file; servers may run meanwhile."""
    from cardiolabel.store.backup import back_up as run
    from cardiolabel.store.label_files import LabelFiles
    from cardiolabel.store.opening import begin, open_database

    with clear_errors(), bar("backup", quiet) as progress:
        _check(studies)
        with begin(studies):
            database = open_database(studies, LabelFiles(studies), _url())
            try:
                content = run(studies, file, database, progress=progress)
            finally:
                database.close()
    say(f"{content.files} files and {content.versions} versions of labels in {file}", quiet)


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="File that the backup wrote.")],
    dest: Annotated[Path, typer.Argument(help="Studies folder to make; new or empty.")],
    quiet: Quiet = False,
) -> None:
    """Restore a studies folder from a backup, whole or not at all."""
    from cardiolabel.store.backup import restore as run

    with clear_errors(), bar("restoring", quiet) as progress:
        if not file.is_file():
            raise DatasetError(f"{file}: no such file; expected one of: cardiolabel store backup")
        content = run(file, dest, url=_url(), progress=progress)
    say(f"{content.files} files and {content.versions} versions of labels in {dest}", quiet)


@app.command("rebuild")
def rebuild(studies: Existing, quiet: Quiet = False) -> None:
    """Record the archived versions of labels anew, where the database is lost or damaged."""
    from cardiolabel.store.rebuild import rebuild as run
    from cardiolabel.store.store import Store
    from cardiolabel.studies.studies import Studies

    with clear_errors():
        _check(studies)
        folder = Studies(studies)
        rebuilt = run(studies, folder.by_id(), url=_url())
        # labels/ may have changed since the last record.
        Store(studies, records=folder.by_id, url=_url(), watch=False).close()
    list_problems(tuple(rebuilt.problems), quiet)
    if rebuilt.moved_to:
        say(f"the former database is {rebuilt.moved_to}", quiet)
    say(f"{rebuilt.versions} versions of {rebuilt.labels} labels are recorded again", quiet)


@app.command("check")
def check(studies: Existing, quiet: Quiet = False) -> None:
    """Read every archived version and compare it with its record; exit code 1 where anything is wrong."""
    from cardiolabel.store.inspection import inspect_store
    from cardiolabel.store.label_files import LabelFiles
    from cardiolabel.store.opening import begin, open_database

    with clear_errors(), bar("checking", quiet) as progress:
        _check(studies)
        files = LabelFiles(studies)
        with begin(studies):
            database = open_database(studies, files, _url())
            try:
                inspection = inspect_store(database, files, progress=progress)
            finally:
                database.close()
    list_problems(inspection.problems, quiet=False)
    say(f"{inspection.versions} versions of labels, {len(inspection.problems)} problems", quiet)
    if inspection.problems:
        raise typer.Exit(1)


def _check(studies: Path) -> None:
    if not studies.is_dir():
        raise DatasetError(f"{studies}: no such folder; expected a studies folder")


def _url() -> str | None:
    from cardiolabel.store.database import URL_VARIABLE

    return os.environ.get(URL_VARIABLE)
