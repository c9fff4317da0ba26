"""Limit on the parts of a multipart body, counted while it arrives."""

from __future__ import annotations

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from lib.server.errors import refused

MAX_PARTS = 32
"""Most files and fields of one form; a client sends one file and a few fields."""


class Parts:
    """Counts the parts of one body.

    Parameters
    ----------
    content_type : str
        The request's header, which names what stands between parts.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _unreadable("the form's Content-Type names no boundary")
        self._line = b"\r\n--" + boundary
        self._tail = b"\r\n"  # the first boundary begins the body, or a line of it
        self.count = 0

    def add(self, piece: bytes) -> None:
        """Count the parts in received bytes.

        Raises
        ------
        HTTPException
            400: the form has too many parts.
        """
        # What cannot be a whole boundary yet is looked at again with the next piece.
        text = self._tail + piece
        self.count += text.count(self._line)
        self._tail = text[-(len(self._line) - 1) :]
        if self.count > MAX_PARTS + 1:  # the last boundary ends the form
            raise _unreadable(f"the form has too many parts; expected at most {MAX_PARTS}")


def _unreadable(message: str) -> HTTPException:
    return refused(400, "bad_request", message, headers={"Connection": "close"})
