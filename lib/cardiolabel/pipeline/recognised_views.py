"""Views of a studies folder's images that neither manifest nor tags tell, recognised from their pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cardiolabel.domain import Record, View
from cardiolabel.errors import InputError, ModelError
from cardiolabel.inference.view_recognition import ViewRecogniser
from cardiolabel.io.images import read_image
from cardiolabel.records import manifest

__all__ = ["recognise_views", "recognised_views"]

_APPLIED = (View.A2C, View.A4C)
"""Views that are written into the manifest; a short-axis stack is recognised by its geometry."""


def recognise_views(folder: Path, models: Path) -> list[tuple[str, str]]:
    """Write recognised views into a folder's manifest, and leave those that are unsure unknown.

    Parameters
    ----------
    folder : Path
        A studies folder with a manifest.
    models : Path
        Folder of the shipped models.

    Returns
    -------
    list of tuple of str
        Image id, and what was recognised or why its view stays unknown.

    Raises
    ------
    ManifestError
        The manifest is malformed.
    """
    rows = manifest.read(folder)
    views, notes = recognised_views(rows, models)
    if views:
        manifest.write([replace(row, view=views.get(row.image_id, row.view)) for row in rows], folder)
    return notes


def recognised_views(
    records: Iterable[Record], models: Path
) -> tuple[dict[str, View], list[tuple[str, str]]]:
    """Recognise the views of records whose view is unknown; parameters and notes as `recognise_views`.

    Returns
    -------
    views : dict of str to View
        Views that were recognised, by image id.
    notes : list of tuple of str
    """
    unknown = [record for record in records if record.view is View.UNKNOWN and record.path.is_file()]
    if not unknown:
        return {}, []
    try:
        recogniser = ViewRecogniser.load(models)
    except ModelError as error:
        note = f"its view is unknown; set it in manifest.csv ({error})"
        return {}, [(record.image_id, note) for record in unknown]
    views: dict[str, View] = {}
    notes: list[tuple[str, str]] = []
    for record in unknown:
        view, note = _recognised(record, recogniser)
        notes.append((record.image_id, note))
        if view is not View.UNKNOWN:
            views[record.image_id] = view
    return views, notes


def _recognised(record: Record, recogniser: ViewRecogniser) -> tuple[View, str]:
    try:
        result = recogniser.recognise(read_image(record.path).clip)
    except InputError as error:
        return View.UNKNOWN, str(error)
    if result.view in _APPLIED:
        return result.view, f"recognised as {result.view} (probability {result.probability:.2f})"
    question = result.question or f"may show {result.likeliest}; say what it is"
    return View.UNKNOWN, f"{question} in manifest.csv"
