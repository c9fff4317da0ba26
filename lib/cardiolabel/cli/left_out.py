"""Labels of other programs in a studies folder: taken over, or listed on stderr with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardiolabel.cli.terminal import list_problems
from cardiolabel.errors import DatasetError, StoreError
from cardiolabel.records.layout import LABELS, StudiesLayout

_SIGNS = (LABELS, "datastore_v2.json")
"""Signs of a folder with labels."""


@contextmanager
def left_out_labels_named(studies: Path, quiet: bool) -> Iterator[None]:
    """List left-out images and labels after the block, also where it fails for want of masks."""
    try:
        yield
    except DatasetError:
        if studies.is_dir():
            name_left_out_labels(studies, quiet, read=False)
        raise
    name_left_out_labels(studies, quiet, read=False)


def name_left_out_labels(studies: Path, quiet: bool, *, read: bool) -> None:
    """Return one line for each image with a malformed manifest row, and each label of no image.

    With ``read``, unreadable labels are listed as well.

    Raises
    ------
    DatasetError, ManifestError
        The folder is not there or its manifest is malformed.
    """
    if quiet:
        return
    from cardiolabel.records.left_out_labels import left_out_labels
    from cardiolabel.records.studies_folder import StudiesFolder

    folder = StudiesFolder(studies)
    list_problems(folder.left_out_images(), quiet)
    if any((studies / name).exists() for name in _SIGNS):
        list_problems(tuple(left_out_labels(folder, read=read)), quiet)


def take_over_labels(studies: Path, quiet: bool) -> None:
    """Put labels of other names and formats where commands look for them, as a server does at its start.

    Labels that cannot be taken over are listed. A folder without such labels is not changed.

    Raises
    ------
    DatasetError, ManifestError
        The folder is not there or its manifest is malformed.
    """
    if not StudiesLayout(studies).labels.is_dir():
        return
    from cardiolabel.records.left_out_labels import foreign_labels
    from cardiolabel.records.studies_folder import StudiesFolder

    folder = StudiesFolder(studies)
    labels = foreign_labels(studies, folder.by_id(), folder.image_names())
    if labels:
        from cardiolabel.store.database import URL_VARIABLE
        from cardiolabel.store.store import Store

        try:
            Store(studies, records=folder.by_id, url=os.environ.get(URL_VARIABLE), watch=False).close()
        except StoreError as error:
            reason = f"not used, as it cannot be taken over: {error}"
            names = (label.path.relative_to(studies).as_posix() for label in labels)
            list_problems(tuple((name, reason) for name in names), quiet)
            return
    name_left_out_labels(studies, quiet, read=True)
