"""Next samples, and leases."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from lib.api.labels import author
from lib.api.schemas import ClientId, SampleParams
from lib.security.locality import shows_paths
from lib.security.roles import Role, needs

router = APIRouter()

Reader = Annotated[User, needs(Role.USER)]
Annotator = Annotated[User, needs(Role.ANNOTATOR)]


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The next image to correct")
def next_sample(
    strategy: str, user: Annotator, request: Request, params: SampleParams | None = None
) -> dict[str, Any]:
    """Hand out the next image, as MONAI Label's endpoint does, with a lease.

    The annotator is the login's name, without login ``client_id`` of the params. ``path`` is for programs on
    the server's own machine; others download the image.
    """
    requested = params or SampleParams()
    annotator = author(user) or requested.client_id or ""
    sample = app_instance().next_sample(
        {"strategy": strategy, "seed": requested.seed, "client_id": annotator}
    )
    return sample if shows_paths(request.scope) else {**sample, "path": None}


@router.get("/cardiac/leases", tags=["Leases"], summary="Who works on which image until when")
def leases(user: Reader) -> list[dict[str, Any]]:
    """Return the leases, oldest first, of images without a final label."""
    return [lease.as_json() for lease in app_instance().engine.store.leases()]


@router.put("/cardiac/leases/{image}", tags=["Leases"], summary="Take an image, or keep it longer")
def take(image: str, user: Annotator, client_id: ClientId = "") -> dict[str, Any]:
    """Lease an image; 409 if another annotator holds it, or this one holds the most images allowed."""
    lease: dict[str, Any] = app_instance().leases.take(image, author(user) or client_id).as_json()
    return lease


@router.delete("/cardiac/leases/{image}", tags=["Leases"], summary="Give an image back")
def release(image: str, user: Annotator, client_id: ClientId = "") -> dict[str, Any]:
    """End a lease; only an administrator may end another annotator's."""
    return {"released": app_instance().leases.release(image, author(user) or client_id)}
