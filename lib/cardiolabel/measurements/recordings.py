"""Which images of a view belong to one recording, told by their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cardiolabel.domain import Phase
from cardiolabel.measurements.records import MaskedImage

_SAME_SPACING = 1e-3
_SEPARATORS = re.compile(r"[\W_]+")
_PHASE = re.compile(
    r"_(?:half_sequence|sequence|cine|(?:end_?)?(?:diastol|systol)(?:e|ic)|e[ds])(?=_)|(?<=\d)e[ds](?=_)"
)
_NUMBERED_PHASE = re.compile(r"_(e[ds])(\d+)(?=_)")
_FRAME = re.compile(r"_(?:frame_?\d*|fr?\d+)(?=_)")
_NUMBER = re.compile(r"_[fit]?\d{1,5}(?=_)")
"""A number that can be a frame's: not a date, and not that of a version, run or series."""

_STATES = frozenset(
    {"rest", "stress", "peak", "exercise", "recovery", "dobutamine", "baseline", "pre", "post"}
)
"""States of the heart; images of two states are never one recording."""

_VIEW = re.compile(r"_(?:[24]ch|a[24]c|sax)(?=_)")


@dataclass(frozen=True, eq=False)
class Recording:
    """Images of one view that were recorded together.

    ``name`` is the common part of their ids; ``exam`` is the name without the view, common to the recordings
    of an examination.
    """

    name: str
    images: tuple[MaskedImage, ...]

    @property
    def exam(self) -> str:
        """Name without the view."""
        return exam_name(self.name)

    def of_phase(self, phase: Phase) -> list[MaskedImage]:
        """Return the images of one phase, in order."""
        return [image for image in self.images if image.phase is phase]


def recording_name(image_id: str) -> str:
    """Return the part of an image id that names its recording: the id without phase and frame number.

    >>> recording_name("patient0001_4CH_ED"), recording_name("rest-4ch-frame12-es")
    ('patient0001_4ch', 'rest_4ch')
    >>> recording_name("patient0001_4CH_half_sequence")
    'patient0001_4ch'
    """
    return _joined(_FRAME.sub("", _PHASE.sub("", _words(image_id))))


def names_phase(image_id: str) -> bool:
    """Return whether an image id names the phase, so that the rest of it names the recording.

    >>> names_phase("v1_ED"), names_phase("image07")
    (True, False)
    """
    return _PHASE.search(_words(image_id)) is not None


def names_view(name: str) -> bool:
    """Return whether a recording's name names the view, so that the rest of it names the examination."""
    return _VIEW.search(_words(name)) is not None


def exam_name(name: str) -> str:
    """Return a recording's name without the view.

    >>> exam_name("rest_4ch") == exam_name("rest_a2c")
    True
    """
    return _joined(_VIEW.sub("", _words(name)))


def share_grid(ed: MaskedImage, es: MaskedImage) -> bool:
    """Return whether two images have one shape (H, W) and, where both state it, one pixel size."""
    if ed.masks.shape[1:] != es.masks.shape[1:]:
        return False
    if ed.spacing is None or es.spacing is None:
        return True
    row_ratio, col_ratio = ed.spacing.row_mm / es.spacing.row_mm, ed.spacing.col_mm / es.spacing.col_mm
    return max(abs(row_ratio - 1), abs(col_ratio - 1)) < _SAME_SPACING


def recordings(images: Sequence[MaskedImage]) -> list[Recording]:
    """Group the images of one view by recording, in the order of their first images.

    Images belong together whose ids differ only in phase and frame number; so do one still at ED and one at
    ES whose ids differ in another number behind the phase, if no third fits. Every further cine is a
    recording of its own. Where ids do not name the phase, the only still at ED and the only one at ES belong
    together.

    Parameters
    ----------
    images : sequence of MaskedImage
        All of one view.
    """
    groups: dict[str, list[MaskedImage]] = {}
    for image in images:
        name = recording_name(image.image_id)
        cines = [same for same in groups.get(name, []) if same.phase is Phase.CINE]
        if image.phase is Phase.CINE and cines:
            name = image.image_id
        groups.setdefault(name, []).append(image)
    _join_numbered_stills(groups)
    _join_only_stills(groups, images)
    return [Recording(name, tuple(group)) for name, group in groups.items()]


def _join_numbered_stills(groups: dict[str, list[MaskedImage]]) -> None:
    """Join the only ED and the only ES whose ids differ in a number behind the phase, such as a frame's."""
    loose: dict[str, list[str]] = {}
    for name, group in groups.items():
        if not {Phase.ED, Phase.ES} <= {image.phase for image in group}:
            loose.setdefault(_unnumbered(group[0].image_id), []).append(name)
    for names in loose.values():
        stills = [image for name in names for image in groups[name] if image.phase is not Phase.CINE]
        if sorted(image.phase for image in stills) == [Phase.ED, Phase.ES]:
            for name in names[1:]:
                groups[names[0]] += groups.pop(name)


def _join_only_stills(groups: dict[str, list[MaskedImage]], images: Sequence[MaskedImage]) -> None:
    """Join the only ED and the only ES of a view, unless their ids name two recordings."""
    stills = [[image for image in images if image.phase is phase] for phase in (Phase.ED, Phase.ES)]
    if any(len(of_phase) != 1 for of_phase in stills):
        return
    (ed,), (es,) = stills
    ed_name, es_name = (next(n for n, group in groups.items() if image in group) for image in (ed, es))
    states = [_STATES & set(_words(image.image_id).split("_")) for image in (ed, es)]
    told = names_phase(ed.image_id) and names_phase(es.image_id)
    if ed_name == es_name or told or states[0] != states[1]:
        return
    groups[ed_name].append(es)
    groups[es_name].remove(es)
    if not groups[es_name]:
        del groups[es_name]


def _unnumbered(image_id: str) -> str:
    """Return a recording's name without the numbers behind the phase."""
    words = _FRAME.sub("", _words(image_id))
    phase = _PHASE.search(words)
    if phase is None:
        return _joined(words)
    return _joined(words[: phase.start()] + _NUMBER.sub("", words[phase.end() :]))


def _words(image_id: str) -> str:
    """Split a name into lower-case words, each between underscores."""
    words = f"_{_SEPARATORS.sub('_', image_id.casefold()).strip('_')}_"
    return _NUMBERED_PHASE.sub(r"_\1_\2", words)


def _joined(words: str) -> str:
    return words.strip("_")
