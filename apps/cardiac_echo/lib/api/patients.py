"""Patients: volumes, EF and figure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.system.memory_budget import budget
from lib.api.schemas import Consent
from lib.security.audit_entry import note_event
from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])

Annotator = Annotated[User, needs(Role.ANNOTATOR)]
Administrator = Annotated[User, needs(Role.ADMIN)]


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


@router.put("/cardiac/patients/{patient}/consent", tags=["Cardiac"], summary="Consent to training use")
def note_consent(patient: str, consent: Consent, user: Annotator) -> dict[str, Any]:
    """Note in the manifest whether models may learn from a patient's images; trainings that run go on."""
    images = (
        app_instance().datastore().images.note_consent(patient, training_consent=consent.training_consent)
    )
    note_event("consent to training " + ("given" if consent.training_consent else "revoked"), patient)
    return {"patient": patient, "training_consent": consent.training_consent, "images": images}


@router.delete("/cardiac/patients/{patient}", tags=["Cardiac"], summary="Delete a patient for good")
def erase(patient: str, user: Administrator) -> dict[str, Any]:
    """Delete all images of a patient with every label, version, copy and record of them.

    ``left`` names files of the studies folder that still tell the patient, such as people's own tables.
    Backups, exports, and models that learned from the images are not touched; the audit log keeps pseudonyms.
    """
    erased = app_instance().datastore().images.erase(patient)
    note_event("patient deleted for good", patient)
    return {"patient": patient, **asdict(erased)}


@router.get("/cardiac/patients/{patient}/figure.png", tags=["Cardiac"], summary="One patient's report figure")
def figure(patient: str) -> Response:
    """Draw the figure of a patient."""
    return Response(app_instance().engine.patients.figure_png(patient), media_type="image/png")
