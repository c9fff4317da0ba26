"""gzip, decompressed no further than its content may be long."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import BinaryIO

from cardiolabel.errors import ImageContentError

MAX_RATIO = 1032
"""No deflate stream expands further (zlib's manual, "Maximum compression factor")."""

_CHUNK = 262144
_HEAD = 1024**2
_MEMBERS = 100_000  # bgzip's blocks of 64 kB make up 6 GB with fewer


def inflate(file: BinaryIO, name: str, *, allowed: Callable[[bytes], int]) -> bytes:
    """Decompress a gzip file and verify its checksums.

    Parameters
    ----------
    file : binary file
        May hold several members, as bgzip writes them, and padding of zeros.
    name : str
        The file, for messages.
    allowed : callable
        Given the first megabyte, or all there is if that is less, says how many bytes may come out.

    Raises
    ------
    ImageContentError
        More came out than is allowed; the rest was not decompressed.
    EOFError, zlib.error
        The file is cut or damaged.
    """
    pieces: list[bytes] = []
    total, limit, asked = 0, _HEAD, False
    stream, members = None, 0
    compressed = file.read(_CHUNK)
    while compressed:
        if stream is None:
            compressed = compressed.lstrip(b"\0") if members else compressed
            if not compressed:
                compressed = file.read(_CHUNK)
                continue
            stream, members = zlib.decompressobj(wbits=31), members + 1
        piece = stream.decompress(compressed, limit - total + 1)
        pieces.append(piece)
        total += len(piece)
        if total > limit and not asked:
            limit, asked = allowed(b"".join(pieces)), True
        if total > limit or members > _MEMBERS:
            raise ImageContentError(f"{name}: holds more than its header declares; write it again")
        compressed, ended = stream.unconsumed_tail, stream.eof
        if ended:
            compressed, stream = stream.unused_data, None
        compressed = compressed or file.read(_CHUNK)
    if stream is not None or not members:
        raise EOFError("compressed data ends too early")
    content = b"".join(pieces)
    if not asked and total > allowed(content):
        raise ImageContentError(f"{name}: holds more than its header declares; write it again")
    return content
