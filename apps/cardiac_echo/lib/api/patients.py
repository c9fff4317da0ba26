"""Patients: volumes, EF and figure."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.system.memory_budget import budget
from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])


@router.get(
    "/cardiac/patients", tags=["Cardiac"], summary="Every patient, with what is known without inference"
)
def patients() -> list[dict[str, Any]]:
    """Return the rows of the patient table."""
    rows: list[dict[str, Any]] = app_instance().engine.patients.summary()
    return rows


@router.get("/cardiac/patients/{patient}", tags=["Cardiac"], summary="One patient's volumes and EF")
def patient(patient: str) -> JSONResponse:
    """Measure a patient from each image's best mask: final label, else original, else prediction."""
    with budget.reserved(patient, 0):
        # Written here, in a thread: FastAPI would look through every point of it first.
        return JSONResponse(app_instance().engine.patients.patient_json(patient))


@router.get("/cardiac/patients/{patient}/figure.png", tags=["Cardiac"], summary="One patient's report figure")
def figure(patient: str) -> Response:
    """Draw the figure of a patient."""
    return Response(app_instance().engine.patients.figure_png(patient), media_type="image/png")
