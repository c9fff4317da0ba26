"""Status of retraining."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from monailabel.interfaces.utils.app import app_instance

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
