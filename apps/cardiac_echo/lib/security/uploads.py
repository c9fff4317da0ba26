"""Limits on bodies of requests, singly and together, and strict JSON."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.files import temporary
from lib.security.addresses import path_of
from lib.security.budget import Budget, Share
from lib.security.environment import MB, environment
from lib.security.names import NAMES, check_name, strict_json
from lib.security.parts import Parts
from lib.server.errors import refused

UPLOADS = ("/infer/", "/datastore/", "/session/", "/model/", "/cardiac/uploads/")
"""Routes that take files, which are kept on the disk while they arrive."""

MAX_PLAIN_BYTES = 2 * MB
"""Limit of other bodies: the ids of some ten thousand images as JSON."""

MAX_FORM_FIELDS = 200

JSON_FIELDS = frozenset({"params", "info", "wsi"})
"""Fields of forms that hold JSON."""

_MEMORY_BYTES = 256 * MB
"""Memory for all bodies; of a form's part up to `_PART_BYTES` stay in it."""

_PART_BYTES = MB
_SHORT_BYTES = 16 * 1024
"""Length of bodies that are parsed on the event loop; longer ones in a thread, one at a time."""

_DRAINED_BYTES, _DRAINED_S = 64 * MB, 10


class Uploads:
    """ASGI middleware that counts received bytes, and checks JSON before an endpoint reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._memory = Budget(_MEMORY_BYTES)
        self._disk = Budget((environment().max_uploads_mb or 4 * environment().max_upload_mb) * MB)
        self._reader = CapacityLimiter(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body bounded."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        _check_encoding(headers)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        multipart = kind.startswith("multipart/")
        to_disk = multipart and path_of(scope).startswith(UPLOADS)
        limit = environment().max_upload_mb * MB if to_disk else MAX_PLAIN_BYTES
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            # A client that waits for "100 Continue" has not sent anything yet.
            if "expect" not in headers:
                await _drain(receive)
            raise _too_large(limit)
        parts = Parts(headers["content-type"]) if multipart else None
        if to_disk:
            temporary.home()  # the server keeps large parts in the folder that this one is in
        with self._memory.share() as memory, self._disk.share() as disk:
            bounded = _bounded(receive, limit, parts, memory, disk)
            if not to_disk:
                bounded = await self._checked(bounded, kind)
            await self.app(scope, bounded, send)

    async def _checked(self, receive: Receive, kind: str) -> Receive:
        """Read a short body, check it, and pass it on."""
        pieces, more = [], True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _replay(message, receive)
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(pieces)
        if len(body) > _SHORT_BYTES:
            await run_sync(_check_body, body, kind, limiter=self._reader)
        elif body:
            _check_body(body, kind)
        return _replay({"type": "http.request", "body": body, "more_body": False}, receive)


def _check_encoding(headers: Headers) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise refused(
            415,
            "unsupported_encoding",
            "compressed bodies are not read; send the body as it is",
            headers={"Connection": "close"},
        )


def _bounded(receive: Receive, limit: int, parts: Parts | None, memory: Share, disk: Share) -> Receive:
    arrived = 0

    async def counted() -> Message:
        nonlocal arrived
        message = await receive()
        piece = message.get("body", b"")
        arrived += len(piece)
        try:
            if arrived > limit:
                raise _too_large(limit)
            if parts:
                parts.add(piece)
                disk.grow_to(arrived)
            memory.grow_to(min(arrived, _PART_BYTES * (parts.count + 1)) if parts else arrived)
        except HTTPException:
            if message.get("more_body"):
                await _drain(receive)
            raise
        return message

    return counted


async def _drain(receive: Receive) -> None:
    """Read some of the rest, as clients read an answer only after they have sent everything."""
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


def _check_body(body: bytes, kind: str) -> None:
    if "json" in kind:
        strict_json(body, what="body")
    elif kind == "application/x-www-form-urlencoded":
        for key, value in _fields(body):
            if key in JSON_FIELDS:
                strict_json(value, what=key)
            elif key in NAMES:
                check_name(key, value)


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        message = f"the form has too many fields; expected at most {MAX_FORM_FIELDS}"
        raise refused(400, "bad_request", message) from None


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
