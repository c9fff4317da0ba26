"""Images as the page shows and corrects them: frames as PNG, outlines, measuring and saving what is drawn."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.records.layout import FINAL
from cardiolabel.reporting.shown_frames import frame_png
from cardiolabel.studies.drawings import Drawing
from lib.api.labels import answer_saved, author
from lib.api.schemas import DrawnFrames, DrawnImages, Frames, PaintedByFrame, PaintedFrames, Place
from lib.security.roles import Role, needs
from lib.server.engine import Engine
from lib.server.errors import refused

router = APIRouter(tags=["Page"])

Reader = Annotated[User, needs(Role.USER)]
Annotator = Annotated[User, needs(Role.ANNOTATOR)]


@router.get("/cardiac/images/{image}", summary="One image: size, times, and its masks as outlines")
def opened(
    image: str,
    user: Reader,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    blind: bool = False,
) -> Response:
    """Return what a person corrects: the final label, else the stored prediction, else a prediction.

    ``version`` is that of the final label, 0 where there is none: saving states it as ``base_version``. With
    ``blind`` the model's masks are returned whatever people drew, for a repeat reading.
    """
    engine: Engine = app_instance().engine
    file = engine.store.version(image, FINAL, version)[1] if version else None
    return Response(engine.drawings.opened(image, file, is_blind=blind).json(), media_type="application/json")


@router.get("/cardiac/images/{image}/frames/{frame}.png", summary="One frame as a grey PNG file")
def frame(image: str, frame: Annotated[int, PathParameter(ge=0, le=10**6)], user: Reader) -> Response:
    """Return a frame, counted from 0; 16-bit images are scaled to the levels of the whole image."""
    engine: Engine = app_instance().engine
    record = engine.studies.record(image)
    with engine.studies.memory(record):
        clip = engine.studies.image(record).clip
        if frame >= clip.shape[0]:
            raise refused(404, "unknown_frame", f"{image} has {clip.shape[0]} frames, counted from 0")
        return Response(frame_png(clip, frame), media_type="image/png")


@router.get("/cardiac/images/{image}/surface", summary="The endocardium of a short-axis stack as a surface")
def surface(image: str, user: Reader) -> Response:
    """Return vertices in mm, triangles, and the slices without a cavity that the surface spans."""
    return Response(app_instance().engine.drawings.surface_json(image), media_type="application/json")


@router.post("/cardiac/measure", summary="Measure a patient with outlines and masks that are not saved")
def measure(drawn: DrawnImages, user: Reader) -> Response:
    """Measure the patient with what was drawn and painted in place of the stored masks; nothing is stored."""
    engine: Engine = app_instance().engine
    drawings = [_drawing(image.image, image.frames, image.painted, image.on) for image in drawn.images]
    return Response(engine.drawings.measured_json(drawings), media_type="application/json")


@router.put(
    "/cardiac/images/{image}/outlines", summary="Save a mask of drawn outlines, and measure its patient"
)
def save(image: str, drawn: DrawnFrames, user: Annotator, response: Response) -> dict[str, Any]:
    """Save drawn outlines as the final label; frames that were not drawn keep their masks.

    If the label changed since it was opened, saving returns 409 Conflict and keeps both masks. The time spent
    and the number of changed pixels are kept with the version. ``reading`` names a repeat reading: it is kept
    as a version and never the current one.
    """
    app = app_instance()
    drawing = _drawing(image, drawn.frames)
    masks, changed_px = app.engine.drawings.masks(drawing, is_blind=bool(drawn.reading))
    info = {
        "client_id": drawn.client_id,
        "allow_empty": drawn.allow_empty,
        "edit": {"seconds": drawn.seconds, "drags": drawn.drags, "changed_px": changed_px},
    }
    saved = app.datastore().save_frames(
        image,
        masks,
        FINAL,
        info=info,
        author=author(user),
        base=drawn.base_version,
        reading=drawn.reading,
    )
    return answer_saved(saved, response)


@router.get("/cardiac/images/{image}/labelmap", summary="One image's masks as label values of each pixel")
def labelmap(
    image: str,
    user: Reader,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    blind: bool = False,
    on: Place = "picture",
) -> Response:
    """Return the masks of `opened` as runs of label values: value, first pixel and length, along the rows.

    They lie on the PACS's picture where there is one, or ``on=image``. Saving states ``version`` as
    ``base_version``. With ``blind`` the model's masks are returned whatever people drew.
    """
    engine: Engine = app_instance().engine
    file = engine.store.version(image, FINAL, version)[1] if version else None
    opened = engine.drawings.opened(image, file, is_blind=blind)
    return Response(
        engine.pictures.opened_json(opened, on_image=on == "image"), media_type="application/json"
    )


@router.put("/cardiac/images/{image}/labelmap", summary="Save painted masks, and measure their patient")
def save_painted(image: str, painted: PaintedFrames, user: Annotator, response: Response) -> dict[str, Any]:
    """Save painted masks as the final label; frames that were not painted keep their masks.

    If the label changed since it was opened, saving returns 409 Conflict and keeps both masks.
    """
    app = app_instance()
    masks, changed_px = app.engine.drawings.masks(_drawing(image, {}, painted.frames, painted.on))
    info = {
        "client_id": painted.client_id,
        "allow_empty": painted.allow_empty,
        "edit": {"seconds": painted.seconds, "drags": painted.strokes, "changed_px": changed_px},
    }
    saved = app.datastore().save_frames(
        image, masks, FINAL, info=info, author=author(user), base=painted.base_version
    )
    return answer_saved(saved, response)


def _drawing(
    image: str, frames: Frames, painted: PaintedByFrame | None = None, on: Place = "picture"
) -> Drawing:
    outlines_of = {
        number: {
            name: [np.asarray(outline, dtype=np.float64) for outline in outlines]
            for name, outlines in structures.items()
        }
        for number, structures in frames.items()
    }
    return Drawing(
        image, outlines_of, app_instance().engine.pictures.masks(image, painted or {}, on_image=on == "image")
    )
