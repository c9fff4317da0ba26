"""Bodies of requests: none is longer than allowed, and JSON is what the standard says."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.errors import refused
from lib.security.environment import MB, environment
from lib.security.guard import path_of
from lib.security.names import NAMES, check_name, strict_json

UPLOADS = ("/infer/", "/datastore/", "/session/", "/model/")
"""Addresses that take files, which are kept on the disk while they arrive."""

MAX_PLAIN_BYTES = 8 * MB
"""For everything else."""

JSON_FIELDS = frozenset({"params", "info", "wsi"})
"""Fields of forms that hold JSON."""

_DRAINED_BYTES, _DRAINED_S = 64 * MB, 10


class Uploads:
    """ASGI middleware that counts what arrives, and reads JSON before an endpoint does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body bounded."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        multipart = kind.startswith("multipart/") and path_of(scope).startswith(UPLOADS)
        limit = environment().max_upload_mb * MB if multipart else MAX_PLAIN_BYTES
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            # A client that waits for "100 Continue" has not sent anything yet.
            if "expect" not in headers:
                await _drain(receive)
            raise _too_large(limit)
        bounded = _bounded(receive, limit)
        await self.app(scope, bounded if multipart else await _checked(bounded, kind), send)


def _bounded(receive: Receive, limit: int) -> Receive:
    arrived = 0

    async def counted() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > limit:
            if message.get("more_body"):
                await _drain(receive)
            raise _too_large(limit)
        return message

    return counted


async def _drain(receive: Receive) -> None:
    """Take in some of the rest, as clients read an answer only after they have sent everything."""
    left = _DRAINED_BYTES
    try:
        async with asyncio.timeout(_DRAINED_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


async def _checked(receive: Receive, kind: str) -> Receive:
    """Read a body that is short, look into it, and hand it on."""
    pieces, more = [], True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return _replay(message, receive)
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(pieces)
    if body and "json" in kind:
        strict_json(body, what="body")
    elif kind == "application/x-www-form-urlencoded":
        for key, value in _fields(body):
            if key in JSON_FIELDS:
                strict_json(value, what=key)
            elif key in NAMES:
                check_name(key, value)
    return _replay({"type": "http.request", "body": body, "more_body": False}, receive)


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), max_num_fields=1000)
    except ValueError:
        raise refused(400, "bad_request", "the form has too many fields; expected at most 1000") from None


def _replay(first: Message, rest: Receive) -> Receive:
    waiting = [first]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await rest()

    return replayed


def _too_large(limit: int) -> HTTPException:
    return refused(
        413,
        "too_large",
        f"the request is larger than {limit // MB} MB; send less at once"
        + ("" if limit == MAX_PLAIN_BYTES else ", or raise CARDIOLABEL_MAX_UPLOAD_MB on the server"),
        headers={"Connection": "close"},
        limit_mb=limit // MB,
    )
