"""OpenAPI description, public and cached."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

router = APIRouter()


@router.get("/openapi.json", include_in_schema=False)
async def description(request: Request) -> Response:
    """Return the OpenAPI description, with the server's address behind a proxy."""
    root_path = str(request.scope.get("root_path", "")).rstrip("/")
    return Response(_text(request.app, root_path), media_type="application/json")


@lru_cache(maxsize=4)
def _text(api: FastAPI, root_path: str) -> bytes:
    schema = api.openapi()
    servers = [{"url": root_path}, *schema.get("servers", [])] if root_path else schema.get("servers", [])
    return bytes(JSONResponse({**schema, **({"servers": servers} if servers else {})}).body)
