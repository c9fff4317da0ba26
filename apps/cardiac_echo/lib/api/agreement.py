"""Agreement between annotators of the same images."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.evaluation.annotators.edit_cost import edit_cost
from cardiolabel.evaluation.annotators.figure import agreement_png
from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])


@router.get("/cardiac/agreement", tags=["Cardiac"], summary="How well annotators agree, in mm and EF points")
def agreement() -> dict[str, Any]:
    """Compare every two annotators on the images that both segmented."""
    table: dict[str, Any] = app_instance().engine.agreement()
    return table


@router.get("/cardiac/edit-cost", tags=["Cardiac"], summary="What corrections cost and change, by annotator")
def costs() -> list[dict[str, Any]]:
    """Return medians over the last correction of each image by each named annotator."""
    return edit_cost(version for version, _ in app_instance().engine.store.readings())


@router.get(
    "/cardiac/agreement/figure.png", tags=["Cardiac"], summary="Bland-Altman plot of the annotators' EF"
)
def figure() -> Response:
    """Draw the figure of `agreement`."""
    return Response(agreement_png(agreement()), media_type="image/png")
