"""Changes of the studies folder as server-sent events, so that open pages follow."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Hashable
from functools import cache

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from monailabel.interfaces.utils.app import app_instance
from uvicorn import Server

from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.USER)])

_LOOKED_EVERY_S = 1.0
_LONGEST_S = 600.0
"""Seconds after which a stream ends; the browser opens another, with its login checked again."""

_ALIVE_EVERY_S = 15.0


@router.get("/cardiac/events", tags=["Page"], summary="Changes of labels, images and models, as they come")
async def events(request: Request) -> StreamingResponse:
    """Send an event ``change`` whenever a label, an image, a lease or a model does."""
    return StreamingResponse(_changes(request), media_type="text/event-stream")


async def _changes(request: Request) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    end_s, sent_s = loop.time() + _LONGEST_S, loop.time()
    seen = await _state()
    yield f"retry: 2000\nevent: ready\ndata: {json.dumps(hash(seen))}\n\n"
    while loop.time() < end_s and not _is_ending() and not await request.is_disconnected():
        await asyncio.sleep(_LOOKED_EVERY_S)
        state = await _state()
        if state != seen or loop.time() - sent_s > _ALIVE_EVERY_S:
            yield f"event: change\ndata: {json.dumps(hash(state))}\n\n" if state != seen else ": alive\n\n"
            seen, sent_s = state, loop.time()


async def _state() -> Hashable:
    return await to_thread.run_sync(app_instance().engine.state, limiter=_own_threads())


@cache
def _own_threads() -> CapacityLimiter:
    return CapacityLimiter(2)


@cache
def _servers() -> tuple[Server, ...]:
    return tuple(item for item in gc.get_objects() if type(item) is Server)


def _is_ending() -> bool:
    """Return whether the server waits for its streams to end."""
    return any(server.should_exit for server in _servers())
