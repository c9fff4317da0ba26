"""The view that a DICOM file's tags name, by code or in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cardiolabel.domain import VIEWS, View

__all__ = ["named_view"]

_SNOMED_RT = {"G-A19B": View.A2C, "G-A19C": View.A4C}
"""The same views in the older coding scheme SRT (DICOM CID 12226)."""

_CODES = {
    description.snomed_code: view for view, description in VIEWS.items() if description.snomed_code
} | _SNOMED_RT

_APICAL = r"\b(?:ap(?:ical)?|a)?[ _-]*"
_CHAMBER = r"[ _-]*(?:ch(?:amber)?s?|c)\b"
_WORDS = (
    (View.A2C, re.compile(rf"{_APICAL}(?:2|two){_CHAMBER}|\b(?:ap|apical)[ _-]?2\b", re.IGNORECASE)),
    (View.A4C, re.compile(rf"{_APICAL}(?:4|four){_CHAMBER}|\b(?:ap|apical)[ _-]?4\b", re.IGNORECASE)),
)
_OTHER = re.compile(
    rf"{_APICAL}(?:3|5|three|five){_CHAMBER}|\b(?:ap|apical)[ _-]?[35]\b|\balax\b|\bplax\b|\bpsax\b"
    r"|parasternal|subcostal|suprasternal|\blong[ _-]?axis\b",
    re.IGNORECASE,
)
"""Views of echocardiography that no model here segments."""


def named_view(codes: Iterable[str], texts: Iterable[str]) -> View | str | None:
    """Return the view that codes or words name.

    Parameters
    ----------
    codes : iterable of str
        Values of the view's code, SNOMED CT or SRT.
    texts : iterable of str
        Names and descriptions of view, series and protocol.

    Returns
    -------
    View, str or None
        A view; the words for a view that no model segments; None if nothing or several views are named.

    Examples
    --------
    >>> named_view([], ["Apical 4-chamber"]), named_view([], ["PLAX"]), named_view([], ["AP4 and AP2"])
    (<View.A4C: 'A4C'>, 'PLAX', None)
    """
    for code in codes:
        if code in _CODES:
            return _CODES[code]
    for text in texts:
        views = [view for view, words in _WORDS if words.search(text)]
        other = _OTHER.search(text)
        if len(views) == 1 and not other:
            return views[0]
        if other and not views:
            return other[0]
        if views or other:
            return None
    return None
