"""The audit log, for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lib.security.audit import recent_events
from lib.security.roles import Role, needs

router = APIRouter(tags=["Others"], dependencies=[needs(Role.ADMIN)])

Text = Annotated[str, Query(max_length=200)]


@router.get("/cardiac/audit", summary="What was done here, the latest first")
def audit(
    who: Text = "",
    event: Text = "",
    subject: Annotated[str, Query(max_length=255, description="An image id or a patient.")] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> dict[str, Any]:
    """Return events of the audit log; empty parameters match all of them."""
    return recent_events(who=who, event=event, subject=subject, limit=limit)
