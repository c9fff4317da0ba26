"""uvicorn's HTTP protocol with limits on the head of a request and on all waiting.

uvicorn's fast parser (httptools) has no limits of its own: an endless head would fill the memory.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lib.security.connections import Connections

MAX_ADDRESS_BYTES = 8 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
MAX_PIPELINED = 16
"""Most requests sent before an earlier one is answered."""

_MAX_PIECES, _SMALL_PIECE_BYTES = 4096, 32
"""Most chunks of a body that are smaller than this, as each costs more than its size."""

_DISCARDED_BYTES = 1024**2
"""Most bytes that a refused client may still send before it reads the answer."""

_TOO_LARGE = (431, "too_large", f"the request's head is too large; expected at most {MAX_HEADERS} headers")


class _RefusedError(Exception):
    """Ends the parsing of a request; the connection keeps the answer."""


class BoundedHttp(HttpToolsProtocol):
    """One connection, whose waiting times `watch` limits."""

    watch: Connections
    """All connections of this server; set before the first one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.address: str | None = None
        self._refusal: tuple[int, str, str] | None = None
        self._discarded_bytes = 0
        self._answering: RequestResponseCycle | None = None
        self._begin_request()
        self._is_request_whole = True

    def _begin_request(self) -> None:
        self._has_begun = True
        self._is_head_whole = self._is_request_whole = False
        self._head_bytes = self._header_count = self._unparsed_bytes = 0
        self._body_bytes = self._piece_count = 0

    # What `Connections` asks.

    def body_bytes(self) -> int:
        """Bytes of the body received so far."""
        return self._body_bytes

    def is_held_back(self) -> bool:
        """Whether this server is not reading."""
        return self.flow.read_paused

    def unsent_bytes(self) -> int:
        """Bytes of the answer that the client has not taken."""
        return int(self.transport.get_write_buffer_size())

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer in place of the app, and read no more."""
        self._refusal = (status, code, message)
        self._unset_keepalive_if_required()
        if self._answers_other_requests():
            self.abort()
            return
        body = json.dumps({"code": code, "message": message}).encode()
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
            *(["retry-after: 5"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._disconnect()

    def abort(self) -> None:
        """Close the connection now."""
        self._disconnect()
        self.transport.abort()

    def _answers_other_requests(self) -> bool:
        """Return whether bytes written now would belong to the answer of an earlier request."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        is_own = self._is_head_whole and not self._is_request_whole and not self.pipeline
        return cycle.response_started or not is_own

    def _disconnect(self) -> None:
        """Tell the app that the client has gone."""
        self.pipeline.clear()
        for cycle in (self.cycle, self._answering):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle  # later requests of the connection may have been read already
        super()._start_asgi_task(cycle, app)

    # What the event loop says.

    def connection_made(self, transport: Any) -> None:
        """Register a new connection."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else None
        self.watch.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a closed connection."""
        self.watch.remove(self)
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, unless the client was refused already."""
        if self._refusal is not None:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        self._has_begun = False
        body_bytes = self._body_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request is answered in HTTP/1.1, which is all that this server speaks
        except httptools.HttpParserError:
            self.watch.refuse(self, *(self._refusal or (400, "bad_request", "expected HTTP/1.1")))
            return
        if self._has_begun or self._is_request_whole or self._body_bytes != body_bytes:
            self._unparsed_bytes = 0
            return
        # A name or a value without an end, which the parser keeps, and says nothing of.
        self._unparsed_bytes += len(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self.watch.refuse(self, *_TOO_LARGE)

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes > _DISCARDED_BYTES:
            self.abort()

    def pause_writing(self) -> None:
        """Start waiting for the client to take its answer."""
        super().pause_writing()
        self.watch.wait_until_sent(self)

    def resume_writing(self) -> None:
        """Stop waiting for the client to take its answer."""
        super().resume_writing()
        self.watch.sent(self)
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_next()

    # What the parser says.

    def on_message_begin(self) -> None:
        """Handle the start of a request."""
        super().on_message_begin()
        self._begin_request()
        if self.cycle is None or self.cycle.response_complete:
            self.watch.wait_for_head(self)

    def on_url(self, url: bytes) -> None:
        """Handle a part of the address."""
        if len(self.url) + len(url) > MAX_ADDRESS_BYTES:
            self._refuse_parsing(414, "too_large", f"the address is longer than {MAX_ADDRESS_BYTES} bytes")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header, or a trailer of a chunked body, which is ignored."""
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_parsing(*_TOO_LARGE)
        if not self._is_head_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Handle the end of a request's head."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse_parsing(400, "bad_request", "too many requests at once on one connection")
        self._is_head_whole = True
        self.watch.wait_for_body(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body."""
        self._body_bytes += len(body)
        self._piece_count += 1
        if self._piece_count > _MAX_PIECES and self._body_bytes < self._piece_count * _SMALL_PIECE_BYTES:
            self._refuse_parsing(400, "bad_request", "the body comes in too small chunks")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle the end of a request."""
        self._is_request_whole = True
        self.watch.wait_for_nothing(self)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_next()

    def on_response_complete(self) -> None:
        """Handle the end of the app's answer."""
        super().on_response_complete()
        if not self.flow.write_paused and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        if self.transport.is_closing() or not self._is_request_whole:
            self.watch.wait_for_rest(self)
        else:
            self.watch.wait_for_head(self)

    def _refuse_parsing(self, *refusal: Any) -> None:
        self._refusal = refusal
        raise _RefusedError
