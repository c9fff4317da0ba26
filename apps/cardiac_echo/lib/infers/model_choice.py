"""Choice of the model for an image: the requested one, or the one for the image's view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cardiolabel.domain import VIEWS, View
from cardiolabel.errors import ModelError
from cardiolabel.io.images import read_image_grid
from cardiolabel.io.shown_grid import is_cine
from cardiolabel.models.models import ModelSource
from cardiolabel.records.file_names import record_from_name
from lib.server.engine import Engine
from lib.server.errors import refused


def _alternatives(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


STRICT = "strict"
"""Parameter of a request that refuses any other model than the requested one."""

_NAMED_VIEWS = {view: description for view, description in VIEWS.items() if description.file_names}
_ENDINGS = _alternatives(description.file_names[0].upper() for description in _NAMED_VIEWS.values())
_ADVICE = f"set its view in manifest.csv: {_alternatives(_NAMED_VIEWS)}"
_UPLOAD_ADVICE = f"let its file name end in {_ENDINGS}, or ask for a model of its view"


def choose_model(
    request: Mapping[str, Any], sources: Mapping[str, ModelSource], engine: Engine
) -> tuple[str, str]:
    """Return the name of the model for a request's image.

    Viewers request the first model with a structure in common with their display, whatever the image. So the
    requested model is only a preference: an image of another view gets the first model for its own.

    Parameters
    ----------
    request : mapping
        ``model``, ``image`` (an id, or the `Path` of an upload), and ``strict``: with true, the model that
        is asked for or none.
    sources : mapping of str to ModelSource
        The models that are served, the preferred first.
    engine : Engine

    Returns
    -------
    name : str
        The model that was asked for, if no other suits the view: it then refuses the image and says why.
    note : str
        Why another model than the one asked for is used, or that the view is not known; else empty.

    Raises
    ------
    HTTPException
        422: ``strict`` is neither true nor false; or an image of unknown view has slices as a stack has, for
        which a model of single frames would draw anything.
    """
    requested, strict = str(request["model"]), request.get(STRICT, False)
    if not isinstance(strict, bool):
        raise refused(422, "bad_params", f"{STRICT} {strict!r}: expected true or false")
    view, name = _view(request["image"], engine)
    if strict or (view is not View.UNKNOWN and view in sources[requested].views):
        return requested, ""
    if view is View.UNKNOWN:
        is_upload = isinstance(request["image"], Path)
        if not is_upload or not any(view.is_stack for view in sources[requested].views):
            _refuse_slices(request["image"], name, engine)
        advice = _UPLOAD_ADVICE if is_upload else _ADVICE
        return requested, f"{name} is of unknown view: {requested} took it for one of its own; {advice}"
    suitable = [model for model, source in sources.items() if view in source.views]
    ready = (model for model in suitable if _has_weights(model, engine))
    chosen = next(ready, next(iter(suitable), requested))
    if chosen == requested:
        return requested, ""
    views = ", ".join(sources[requested].views)
    return chosen, f"{name} is of view {view}: model {chosen} was used, as {requested} is for views {views}"


def _view(image: object, engine: Engine) -> tuple[View, str]:
    """Return an image's view, and its name in messages."""
    if isinstance(image, Path):
        return record_from_name(image).view, "the image"
    record = engine.studies.record(str(image))
    return record.view, record.image_id


def _refuse_slices(image: object, name: str, engine: Engine) -> None:
    if isinstance(image, Path):
        record, grid, advice = record_from_name(image), read_image_grid(image), _UPLOAD_ADVICE
    else:
        advice = _ADVICE
        record = engine.studies.record(str(image))
        grid = engine.studies.image(record).grid
    slices, step_mm = grid.frames_shape[0], grid.slice_spacing_mm or 0.0
    if slices > 1 and not is_cine(record, grid):
        raise refused(
            422,
            "unusable_image",
            f"{name} is of view unknown, and has {slices} slices of {step_mm:.4g} mm; {advice}",
        )


def _has_weights(model: str, engine: Engine) -> bool:
    try:
        engine.models.named(model)
    except ModelError:
        return False
    return True
