"""DICOM: the PACS's images for viewers, and results as DICOM objects."""

from __future__ import annotations

import io
import zipfile
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from pydicom import dcmwrite

from cardiolabel.dicom_results.export import Results, results
from cardiolabel.dicom_results.originals import imported_originals
from cardiolabel.errors import UnknownStudyError
from cardiolabel.pacs.dicomweb import Pacs
from cardiolabel.pacs.relay import Relay
from cardiolabel.records.layout import FINAL
from lib.api.viewers import is_installed
from lib.security.addresses import DICOM_WEB
from lib.security.audit_entry import note_event
from lib.security.roles import Role, needs
from lib.server.engine import Engine

router = APIRouter(tags=["DICOM"])

Reader = Annotated[User, needs(Role.USER)]
Reviewer = Annotated[User, needs(Role.REVIEWER)]


@router.get("/cardiac/dicom/studies", summary="The studies of the PACS, and whether OHIF can show them")
def studies(user: Reader) -> dict[str, Any]:
    """Return each study's identifier and patient; none where the studies are a folder."""
    of_patients = app_instance().engine.pacs.of_patients()
    return {
        "has_ohif": is_installed(),
        "studies": [{"study": study, "patient": patient} for patient, study in of_patients.items()],
    }


@router.get("/cardiac/dicom/studies/{study}", summary="The images of a study of the PACS")
def study(study: str, user: Reader) -> dict[str, Any]:
    """Return a study's patient and images, with series, instance and frame (from 1) of each picture."""
    engine: Engine = app_instance().engine
    records = engine.pacs.records().get(study)
    if records is None:
        raise UnknownStudyError(f"{study[:80]}: no study of this server")
    images = []
    for record in records:
        original = engine.pictures.original(record.image_id)
        if original is None:
            continue
        count = len(original.instances) if original.is_stack else _frames(original.instances[0])
        pictures = [original.at(index) for index in range(count)]
        images.append(
            {
                "image": record.image_id,
                "view": str(record.view),
                "phase": str(record.phase),
                "is_stack": record.is_stack,
                "structures": record.labels.as_dict(),
                "frame_rate_hz": record.frame_rate_hz,
                "pictures": [
                    [str(header.SeriesInstanceUID), str(header.SOPInstanceUID), frame]
                    for header, frame in pictures
                ],
            }
        )
    return {"study": study, "patient": records[0].patient, "images": images}


@router.get(DICOM_WEB + "/{path:path}", summary="The PACS's images, for viewers")
def web(path: str, request: Request, user: Reader) -> StreamingResponse:
    """Pass a search (QIDO-RS) or retrieval (WADO-RS) on to the PACS, of the studies that are served only."""
    pacs = app_instance().engine.pacs
    mirror = pacs.mirror
    if mirror is None:
        raise UnknownStudyError("the studies are a folder, not those of a PACS")
    relay = Relay(mirror.url, lambda: pacs.records().keys())
    answer = relay.get(
        path,
        request.query_params.multi_items(),
        accept=request.headers.get("accept", ""),
        own_url=f"{str(request.base_url).rstrip('/')}{DICOM_WEB}",
    )
    return StreamingResponse(answer.pieces, status_code=answer.status, media_type=answer.media_type)


@router.get("/cardiac/patients/{patient}/dicom.zip", summary="A patient's results as DICOM files")
def download(patient: str, user: Reader) -> Response:
    """Return report, segmentations and figure of a patient whose images came as DICOM, in a ZIP file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for dataset in _results(patient).objects:
            file = io.BytesIO()
            dcmwrite(file, dataset, enforce_file_format=True)
            archive.writestr(f"{dataset.SOPInstanceUID}.dcm", file.getvalue())
    headers = {"Content-Disposition": 'attachment; filename="results.zip"'}
    return Response(content.getvalue(), media_type="application/zip", headers=headers)


@router.post("/cardiac/patients/{patient}/dicom", summary="Store a patient's results in the PACS")
def store(patient: str, user: Reviewer) -> dict[str, Any]:
    """Store report, segmentations and figure as new series of the study; the same results again change
    nothing.
    """
    mirror = app_instance().engine.pacs.mirror
    if mirror is None:
        raise UnknownStudyError("the studies are a folder, not those of a PACS")
    made = _results(patient)
    Pacs(mirror.url).store(made.objects)
    note_event("results stored in the PACS", patient)
    return {
        "patient": patient,
        "objects": [
            {"modality": str(each.Modality), "sop_instance_uid": str(each.SOPInstanceUID)}
            for each in made.objects
        ],
        "notes": [{"image": image, "reason": reason} for image, reason in made.notes],
    }


def _results(patient: str) -> Results:
    engine: Engine = app_instance().engine
    images = [record.image_id for record in engine.studies.of_patient(patient)]
    labels = [label for image in images if (label := engine.store.label(image, FINAL))]
    return results(
        engine.patients,
        patient,
        imported_originals(engine.studies.folder, images),
        authors=tuple(sorted({label.author for label in labels if label.author})),
    )


def _frames(header: Any) -> int:
    return int(header.get("NumberOfFrames") or 1)
