"""The next image to correct, and who works on which."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.errors import LeasedError
from lib.api.labels import author

router = APIRouter()

Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The next image to correct")
def next_sample(
    strategy: str, user: Reader, params: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """As MONAI Label's endpoint: nobody else is handed the image while its lease lasts.

    The annotator is the login's name, without login ``client_id`` of the params.
    """
    request = {**(params or {}), "strategy": strategy}
    request["client_id"] = author(user) or str(request.get("client_id") or "")[:200]
    return app_instance().next_sample(request)


@router.get("/cardiac/leases", tags=["Leases"], summary="Who works on which image until when")
def leases(user: Reader) -> list[dict[str, Any]]:
    """The oldest first; images that have a final label by now are left out."""
    return [lease.as_json() for lease in app_instance().engine.store.leases()]


@router.put("/cardiac/leases/{image}", tags=["Leases"], summary="Take an image, or keep it longer")
def take(image: str, user: Annotator, client_id: str = "") -> dict[str, Any]:
    """409 where somebody else has it."""
    app = app_instance()
    return app.engine.store.take(image, author(user) or client_id[:200], seconds=app.lease_s).as_json()


@router.delete("/cardiac/leases/{image}", tags=["Leases"], summary="Give an image back")
def release(image: str, user: Annotator, client_id: str = "") -> dict[str, Any]:
    """Only an administrator ends somebody else's lease."""
    store = app_instance().engine.store
    held = next((one for one in store.leases() if one.image_id == image), None)
    me = author(user) or client_id[:200]
    if held and held.annotator != me and settings.MONAI_LABEL_AUTH_ROLE_ADMIN not in user.roles:
        raise LeasedError(
            f"{image}: {held.annotator or 'somebody'} works on it; ask them or an administrator"
        )
    if held:
        store.release(image)
    return {"released": bool(held)}
