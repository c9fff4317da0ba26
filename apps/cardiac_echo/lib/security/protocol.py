"""HTTP as uvicorn reads it, with bounds on what a request's head may be and how long anything may take.

uvicorn's fast parser (httptools) has no limits of its own: a head without an end would fill the memory.
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
"""Requests that may be sent before an earlier one is answered."""

_MAX_PIECES, _SMALL_PIECE_BYTES = 4096, 32
"""A body in more chunks than this, each smaller than that, costs more than it says."""

_DISCARDED_BYTES = 1024**2
"""How much a refused client may still send, so that it comes to read why."""

_TOO_LARGE = (431, "too_large", f"the request's head is too large; expected at most {MAX_HEADERS} headers")


class _RefusedError(Exception):
    """Ends the parsing of a request; the connection keeps what to answer."""


class BoundedHttp(HttpToolsProtocol):
    """One connection, of which `watch` knows how long it has kept the server waiting."""

    watch: Connections
    """Every connection of this server; set before the first one."""

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
        """How much of the body has arrived."""
        return self._body_bytes

    def is_held_back(self) -> bool:
        """Whether this server is not reading."""
        return self.flow.read_paused

    def unsent_bytes(self) -> int:
        """How much of the answer waits to be taken."""
        return int(self.transport.get_write_buffer_size())

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer in place of the app, and take in nothing more."""
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
        """Close now."""
        self._disconnect()
        self.transport.abort()

    def _answers_other_requests(self) -> bool:
        """Whether what is written now would be read as the answer to an earlier request, or within one."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        is_own = self._is_head_whole and not self._is_request_whole and not self.pipeline
        return cycle.response_started or not is_own

    def _disconnect(self) -> None:
        """Have the app see that nobody waits for its answer any more."""
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
        """A client connected."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else None
        self.watch.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self.watch.remove(self)
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless this client was refused already."""
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
        """More of the answer waits than should."""
        super().pause_writing()
        self.watch.wait_until_sent(self)

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        super().resume_writing()
        self.watch.sent(self)
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_next()

    # What the parser says.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begin_request()
        if self.cycle is None or self.cycle.response_complete:
            self.watch.wait_for_head(self)

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        if len(self.url) + len(url) > MAX_ADDRESS_BYTES:
            self._refuse_parsing(414, "too_large", f"the address is longer than {MAX_ADDRESS_BYTES} bytes")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or behind a body in chunks a trailer, of which nobody here makes use."""
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_parsing(*_TOO_LARGE)
        if not self._is_head_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has arrived whole."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse_parsing(400, "bad_request", "too many requests at once on one connection")
        self._is_head_whole = True
        self.watch.wait_for_body(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        self._piece_count += 1
        if self._piece_count > _MAX_PIECES and self._body_bytes < self._piece_count * _SMALL_PIECE_BYTES:
            self._refuse_parsing(400, "bad_request", "the body comes in too small chunks")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived whole."""
        self._is_request_whole = True
        self.watch.wait_for_nothing(self)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_next()

    def on_response_complete(self) -> None:
        """The app has answered."""
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
