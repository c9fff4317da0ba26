"""The worklist of images with their scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from monailabel.interfaces.utils.app import app_instance

from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])

Column = Literal[
    "patient",
    "image",
    "ef_pct",
    "ef_spread_pct",
    "share",
    "entropy",
    "disagreement",
    "expected_dice",
    "label",
    "leased_by",
]


@router.get("/cardiac/worklist", tags=["Cardiac"], summary="Every image with what its correction is worth")
def worklist(
    sort: Column = "ef_spread_pct",
    descending: bool = True,
    limit: Annotated[int | None, Query(ge=1)] = None,
) -> dict[str, Any]:
    """Return images with scores first, flagged ones last."""
    app = app_instance()
    rows = app.engine.worklist.rows()
    measured = [row for row in rows if row[sort] is not None]
    measured.sort(key=lambda row: row[sort], reverse=descending)
    ordered = [*measured, *(row for row in rows if row[sort] is None)]
    ordered.sort(key=lambda row: bool(row["flags"]))
    return {"rows": ordered[:limit], "images": len(rows), "scoring": app.scoring.status()}
