"""How retraining stands."""

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
    """Return the state, epoch, seconds left, loss and Dice curve; at the end whether it was published, and
    why.
    """
    statuses = {trainer.model: trainer.status() for trainer in app_instance()._trainers.values()}
    return [asdict(status) for status in statuses.values() if status]


@router.get("/cardiac/training/{model}/curve.png", summary="Loss and Dice of a model's last retraining")
def curve(model: str) -> Response:
    """Return the Dice is that of patients who are not learned from."""
    trainer = app_instance()._trainers.get(model)
    status = trainer.status() if trainer else None
    if status is None:
        raise refused(404, "no_task", f"no retraining of a model {model[:80]!r}")
    title = f"{status.model}: {status.state}"
    return Response(training_curve_png(status.curve, title=title), media_type="image/png")
