"""Download of all labelled images in one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from monailabel.interfaces.utils.app import app_instance

from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.ADMIN)])

_PIECE = 262_144


@router.get(
    "/datastore/dataset",
    tags=["Datastore"],
    summary="Every labelled image with its label, as a zip file",
    response_class=StreamingResponse,
)
def dataset(limit_cases: Annotated[int | None, Query(ge=1)] = None) -> StreamingResponse:
    """Download images with final labels, as MONAI Label's endpoint does."""
    path = Path(app_instance().datastore().get_dataset_archive(limit_cases))
    file = path.open("rb")
    # Without a name it goes when it is closed, whatever becomes of the client.
    path.unlink()
    headers = {
        "Content-Disposition": 'attachment; filename="dataset.zip"',
        "Content-Length": str(file.seek(0, 2)),
    }
    file.seek(0)
    return StreamingResponse(_pieces(file), media_type="application/zip", headers=headers)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
