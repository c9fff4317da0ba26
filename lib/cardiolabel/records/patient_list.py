"""Text files that list patients."""

from __future__ import annotations

import re
from pathlib import Path

from cardiolabel.errors import DatasetError
from cardiolabel.io.text_files import decoded


def read_patient_list(path: Path) -> frozenset[str]:
    """Read patients separated by blanks, commas or lines; text after ``#`` is a comment.

    Raises
    ------
    DatasetError
        It cannot be read, or lists no patient.
    """
    try:
        text = decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as a list of patients ({error})") from error
    named = frozenset(re.split(r"[\s,;]+", re.sub("#.*", "", text))) - {""}
    if not named:
        raise DatasetError(f"{path}: names no patient")
    return named
