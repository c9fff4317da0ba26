"""Uploads of a patient's files from the page, and what people say of images."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from lib.api import received
from lib.api.labels import author
from lib.api.schemas import Description, UploadedPatient
from lib.files import incoming
from lib.security.audit_entry import note_event
from lib.security.names import check_name
from lib.security.roles import Role, needs

router = APIRouter(tags=["Page"])

Annotator = Annotated[User, needs(Role.ANNOTATOR)]


@router.post("/cardiac/uploads", summary="Begin an upload of a patient's files")
def begin(user: Annotator) -> dict[str, str]:
    """Return the id of an upload, which takes files one by one until it is imported."""
    return {"upload": incoming.begin()}


@router.put("/cardiac/uploads/{upload}", summary="Add a file to an upload")
def add(upload: str, file: Annotated[UploadFile, File()], user: Annotator) -> dict[str, str]:
    """Take a file in any format that can be read: DICOM, video, picture, NIfTI, MetaImage."""
    folder = incoming.folder_of(upload)
    return {"file": received.upload(file, folder).name}


@router.delete("/cardiac/uploads/{upload}", summary="Give an upload up")
def give_up(upload: str, user: Annotator) -> dict[str, str]:
    """Remove the files of an upload."""
    incoming.remove(upload)
    return {}


@router.post("/cardiac/uploads/{upload}", summary="Import the files of an upload as images of a patient")
def take(upload: str, patient: UploadedPatient, user: Annotator) -> dict[str, Any]:
    """Convert the files, recognise their views, and add the images to the studies folder.

    Without a name, patients keep the pseudonyms of DICOM files, or names from those of other files.
    ``training_consent`` is the patient's consent to training use, and is kept in the manifest.
    """
    content = incoming.imported(upload)
    name = patient.patient.strip()
    check_name("patient", name)
    records = (
        app_instance()
        .datastore()
        .images.add_imported(
            content.records,
            patient=name,
            training_consent=patient.training_consent,
            mm_per_pixel=patient.mm_per_pixel,
        )
    )
    incoming.remove(upload)
    renamed = {old.image_id: new.image_id for old, new in zip(content.records, records, strict=True)}
    notes = dict(content.notes)
    for record in records:
        consent = "with" if patient.training_consent else "without"
        note_event(f"uploaded {consent} consent to training", record.image_id)
    return {
        "images": [
            {
                "image": new,
                "patient": record.patient,
                "view": str(record.view),
                "phase": str(record.phase),
                "note": notes.get(old, ""),
                "is_sized": app_instance().engine.drawings.is_sized(new),
            }
            for (old, new), record in zip(renamed.items(), records, strict=True)
        ],
        "skipped": [{"file": place, "reason": reason} for place, reason in content.skipped],
    }


@router.put("/cardiac/images/{image}/description", summary="Say what an image shows, in the manifest")
def describe(image: str, description: Description, user: Annotator) -> dict[str, Any]:
    """Set view, phase, frames of ED and ES or pixel size; what is not sent stays."""
    changes = description.changes()
    record = app_instance().datastore().images.describe(image, changes)
    return {"image": image, "by": author(user), **{key: _shown(getattr(record, key)) for key in changes}}


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
