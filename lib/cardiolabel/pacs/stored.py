"""Exported objects stored in a PACS."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from cardiolabel.pacs.dicomweb import Pacs

__all__ = ["store_folder"]


def store_folder(folder: Path, url: str) -> int:
    """Store all DICOM files of a folder, one study folder at a time; returns how many.

    Objects that the PACS has already stay as they are.

    Raises
    ------
    PacsError
        The PACS fails or refuses an object; storing again is no harm.
    """
    pacs, count = Pacs(url), 0
    for study in sorted({path.parent for path in folder.rglob("*.dcm")}):
        objects = [dcmread(path) for path in sorted(study.glob("*.dcm"))]
        pacs.store(objects)
        count += len(objects)
    return count
