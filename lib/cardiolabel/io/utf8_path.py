"""Paths for libraries that accept only UTF-8."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """Yield a UTF-8 path of a file: its own, or where that is not UTF-8, a link with its suffixes.

    ITK opens another file otherwise, or ends the whole process.

    Parameters
    ----------
    path : Path
        An existing file.

    Raises
    ------
    OSError
        A link is needed and cannot be made.
    """
    try:
        is_utf8 = str(path).encode("utf-8") == os.fsencode(path)
    except UnicodeEncodeError:
        is_utf8 = False
    if is_utf8:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("image.nii.gz" if path.name.endswith(".nii.gz") else f"image{path.suffix}")
        link.symlink_to(path.absolute())
        yield str(link)
