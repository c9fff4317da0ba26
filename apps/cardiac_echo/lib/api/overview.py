"""Overview of the server: models, strategies, and the datastore's records."""

from __future__ import annotations

from functools import cache
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from monailabel.endpoints.datastore import ResultType
from monailabel.interfaces.utils.app import app_instance

from lib.security.locality import shows_paths
from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])


@router.get("/info/", tags=["App"], summary="Models, trainers, strategies and how many images there are")
async def info() -> dict[str, Any]:
    """Describe the server, as MONAI Label's endpoint does; never blocked by predictions."""
    return await to_thread.run_sync(app_instance().info, limiter=_own_threads())


@cache
def _own_threads() -> CapacityLimiter:
    return CapacityLimiter(4)


@router.get("/datastore/", tags=["Datastore"], summary="Images and labels: counts, or every record")
def datastore(request: Request, output: ResultType | None = None) -> Any:
    """Return counts or records, as MONAI Label's endpoint does; ``train`` names paths to the server's own
    machine only.
    """
    records = app_instance().datastore()
    if output is ResultType.all:
        return records.json()
    if output is ResultType.train:
        return records.datalist() if shows_paths(request.scope) else records.relative_datalist()
    return records.status()
