"""The OHIF viewer, and refusals of MONAI Label's other kinds of servers."""

from __future__ import annotations

from pathlib import Path

import monailabel.endpoints
from fastapi import APIRouter
from fastapi.responses import FileResponse

from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(dependencies=[needs(Role.USER)])

OHIF = Path(monailabel.endpoints.__file__).parent / "static" / "ohif"


@router.get("/ohif/{path:path}", include_in_schema=False)
def ohif(path: str) -> FileResponse:
    """Return a file of the viewer; its client-side routes all return its first page."""
    file = (OHIF / path).resolve()
    if not (file.is_file() and file.is_relative_to(OHIF)):
        file = OHIF / "index.html"
    if not file.is_file():
        raise refused(404, "no_ohif", "MONAI Label was installed without the OHIF viewer")
    return FileResponse(file)


@router.get("/proxy/dicom/{path:path}", include_in_schema=False)
@router.post("/proxy/dicom/{path:path}", include_in_schema=False)
def dicom(path: str) -> None:
    """Refuse DICOM routes: MONAI Label would ask a DICOMweb server."""
    raise refused(404, "no_dicomweb", "the studies are a folder, not a DICOMweb server")


@router.post("/infer/wsi/{model}", include_in_schema=False)
@router.post("/infer/wsi_v2/{model}", include_in_schema=False)
def whole_slide(model: str) -> None:
    """Refuse whole-slide routes: MONAI Label's endpoints read any path that they are given."""
    raise refused(404, "unknown_model", "this server has no whole-slide models")
