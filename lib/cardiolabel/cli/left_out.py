"""Labels of a studies folder that a command does not use, named on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardiolabel.cli.terminal import list_problems
from cardiolabel.errors import DatasetError


@contextmanager
def left_out_labels_named(studies: Path, quiet: bool) -> Iterator[None]:
    """Name them after the block, also where it finds no mask at all."""
    try:
        yield
    except DatasetError:
        if studies.is_dir():
            name_left_out_labels(studies, quiet, read=False)
        raise
    name_left_out_labels(studies, quiet, read=False)


def name_left_out_labels(studies: Path, quiet: bool, *, read: bool) -> None:
    """One line for each label file that belongs to no image; with ``read``, for unreadable ones as well.

    Raises
    ------
    DatasetError, ManifestError
        The folder is not there or its manifest is malformed.
    """
    if quiet or not (studies / "labels").is_dir():
        return
    from cardiolabel.datasets.left_out_labels import left_out_labels
    from cardiolabel.datasets.studies_folder import StudiesFolder

    list_problems(tuple(left_out_labels(StudiesFolder(studies), read=read)), quiet)
