"""Reading of DICOM files; any fault becomes an error of this package."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cardiolabel.errors import CardiolabelError, ImageContentError, ImageReadError

MAX_FILE_BYTES = 2**28
"""Largest DICOM file that is read, a thousand times an image of one slice and phase."""
_META_BYTES = 4096
"""Bytes at the start of a file that hold its transfer syntax."""


@contextmanager
def readable(path: Path, *, problem: str = "not a readable DICOM file") -> Iterator[None]:
    """Turn pydicom's errors about a damaged file into this package's error.

    pydicom decodes an element on access, and raises almost anything then: errors of struct or a decoder,
    missing keys, recursion of nested sequences.

    Parameters
    ----------
    path : Path
    problem : str
        What is said of the file.

    Raises
    ------
    ImageReadError
        Its message has the file's name, the problem and pydicom's reason.
    """
    try:
        with warnings.catch_warnings():
            # Of values that no element of its kind may have: they would be shown, whosever they are.
            warnings.simplefilter("ignore")
            yield
    except CardiolabelError:
        raise
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageReadError(f"{path.name}: {problem} ({reason}); copy it again") from error


def read_dataset(path: Path, **selection: Any) -> pydicom.FileDataset:
    """Return a file's elements; call it and use them within `readable`.

    Parameters
    ----------
    path : Path
    **selection
        As of `pydicom.dcmread`, which elements are wanted.

    Raises
    ------
    ImageContentError
        The file is too long for a slice, or compressed as a whole.
    """
    # From memory: a length that the file only claims is not asked of the system.
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ImageContentError(f"{path.name}: more than {MAX_FILE_BYTES // 2**20} MB; expected one slice")
    if DeflatedExplicitVRLittleEndian.encode("ascii") in content[:_META_BYTES]:
        # pydicom would inflate it without a limit.
        raise ImageContentError(f"{path.name}: compressed as a whole (deflated); decompress it first")
    return pydicom.dcmread(BytesIO(content), **selection)
