"""Status of retraining, and the curves of the versions that it made."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.models.versions import Versions
from cardiolabel.reporting.training_curve import training_curve_png
from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(tags=["Train"], dependencies=[needs(Role.USER)])


@router.get("/cardiac/training", summary="The last retraining of each model")
def training() -> list[dict[str, Any]]:
    """Return state, epoch, seconds left, curve of loss and Dice, and finally the verdict with its reason."""
    statuses = {trainer.model: trainer.status() for trainer in app_instance()._trainers.values()}
    return [asdict(status) for status in statuses.values() if status]


@router.get("/cardiac/training/{model}/curve.png", summary="Loss and Dice of a model's last retraining")
def curve(model: str) -> Response:
    """Draw the training curve; Dice is on patients that are not trained on."""
    trainer = app_instance()._trainers.get(model)
    status = trainer.status() if trainer else None
    if status is None:
        raise refused(404, "no_task", f"no retraining of a model {model[:80]!r}")
    title = f"{status.model}: {status.state}"
    return Response(training_curve_png(status.curve, title=title), media_type="image/png")


@router.get(
    "/cardiac/models/{model}/versions/{version}/curve.png",
    summary="Loss and Dice of the training that made a version of a model",
)
def version_curve(model: str, version: Annotated[int, PathParameter(ge=0, le=2**31 - 1)]) -> Response:
    """Draw the training curve of a published version."""
    folders, task = app_instance().engine.models.folders, app_instance()._infers.get(model)
    made = Versions(folders).listed(task.source.weights(folders)) if task else []
    curves = [each.note.get("curve") for each in made if each.number == version]
    if not curves or not curves[0]:
        raise refused(404, "no_task", f"no training curve is kept of version {version} of {model[:80]!r}")
    title = f"{model}, version {version}"
    return Response(training_curve_png(curves[0], title=title), media_type="image/png")
