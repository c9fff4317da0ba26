"""Text files and tables as common programs save them."""

from __future__ import annotations

import codecs

__all__ = ["decoded"]

_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(content: bytes) -> str:
    """Return the text of a file: UTF-8, or UTF-16 with a byte-order mark, which is dropped.

    Raises
    ------
    UnicodeDecodeError
        It is neither.
    ValueError
        The file is compressed; the message says so.

    Examples
    --------
    >>> decoded("x y".encode("utf-8-sig")), decoded("x y".encode("utf-16"))
    ('x y', 'x y')
    """
    if content.startswith(_GZIP):
        raise ValueError("compressed with gzip, against its name; decompress it (gzip -d)")
    return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
