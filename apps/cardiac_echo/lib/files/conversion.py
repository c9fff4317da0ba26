"""Uploads in other formats than NIfTI, converted by a process of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cardiolabel.datasets.as_nifti import TOO_LARGE, UNUSABLE, Facts
from cardiolabel.errors import ImageReadError, TooLargeError
from cardiolabel.io import picture, ultrasound_dicom, video
from cardiolabel.records.layout import SUFFIX
from lib.security.environment import MB, environment
from lib.server import child_process

SUFFIXES = (*ultrasound_dicom.SUFFIXES, *video.SUFFIXES, *picture.SUFFIXES)
"""Endings of files that are converted; DICOM files may have any or none."""

_PATIENCE_S = 60
_START_BYTES = 132


def needs_conversion(path: Path) -> bool:
    """Return whether a file is DICOM, a video or a picture."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    with path.open("rb") as file:
        return ultrasound_dicom.is_dicom(file.read(_START_BYTES))


def converted(path: Path) -> tuple[Path, Facts]:
    """Convert an upload to NIfTI beside it; a NIfTI file is returned as it is, without facts.

    Raises
    ------
    ImageReadError
        It is no usable image, or its decoder failed or took too long.
    TooLargeError
        It takes more memory than the limit.
    """
    if not needs_conversion(path):
        return path, Facts()
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), "")
    target = path.with_name(path.name[: len(path.name) - len(suffix)] + SUFFIX)
    limit_bytes = environment().max_image_mb * MB
    command = child_process.module_command(
        "cardiolabel.datasets.as_nifti", str(path), str(target), str(limit_bytes)
    )
    try:
        process = child_process.run_module(command, at_most_s=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise ImageReadError(f"{path.name}: takes over {_PATIENCE_S} s to decode; copy it again") from None
    reason = process.stderr.decode("utf-8", "replace").strip().splitlines()
    if process.returncode == TOO_LARGE:
        raise TooLargeError(reason[-1] if reason else path.name)
    if process.returncode == UNUSABLE:
        raise ImageReadError(reason[-1] if reason else path.name)
    if process.returncode:
        raise ImageReadError(f"{path.name}: cannot be decoded; copy it again")
    return target, Facts.of_json(process.stdout.decode("utf-8"))
