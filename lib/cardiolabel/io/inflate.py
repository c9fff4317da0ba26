"""Bounded decompression of gzip files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import BinaryIO

from cardiolabel.errors import ImageContentError

MAX_RATIO = 1032
"""Largest expansion of a deflate stream (zlib's manual, "Maximum compression factor")."""

_CHUNK = 262144
_HEAD = 1024**2
_MEMBERS = 100_000  # bgzip's blocks of 64 kB make up 6 GB with fewer


_PLAIN_HEAD = re.compile(rb"\x1f\x8b\x08(?:\x00.{6}|\x08.{6}[^\x00]{0,255}\x00)", re.DOTALL)
"""Start of a gzip member without fields besides a file name."""


def inflate(file: BinaryIO, name: str, *, allowed: Callable[[bytes], int], alone: bool = False) -> bytearray:
    """Decompress a gzip file and verify its checksums.

    Parameters
    ----------
    file : binary file
        May hold several members, as bgzip writes them, and padding of zeros.
    name : str
        The file, for messages.
    allowed : callable
        Given the first megabyte, or all there is if that is less, says how many bytes may come out.
    alone : bool
        Refuse all of these: the file is one member, without fields of its own but a name.

    Raises
    ------
    ImageContentError
        More came out than is allowed; the rest was not decompressed.
    EOFError, zlib.error
        The file is cut or damaged.
    """
    content = bytearray()  # grows where it is; pieces to be joined would take twice the memory
    limit, is_final = _HEAD, False
    stream, members = None, 0
    compressed = file.read(_CHUNK)
    if alone and compressed and not _PLAIN_HEAD.match(compressed):
        raise ImageContentError(f"{name}: {_FIELDS}; compress it again with gzip")
    while compressed:
        if alone and members and stream is None:
            raise ImageContentError(f"{name}: holds something after its compressed pixels; write it again")
        if stream is None:
            compressed = compressed.lstrip(b"\0") if members else compressed
            if not compressed:
                compressed = file.read(_CHUNK)
                continue
            stream, members = zlib.decompressobj(wbits=31), members + 1
        content += stream.decompress(compressed, limit - len(content) + 1)
        if len(content) > limit and not is_final:
            limit, is_final = allowed(bytes(content)), True
        if len(content) > limit or members > _MEMBERS:
            raise ImageContentError(f"{name}: holds more than its header declares; write it again")
        compressed, ended = stream.unconsumed_tail, stream.eof
        if ended:
            compressed, stream = stream.unused_data, None
        compressed = compressed or file.read(_CHUNK)
    if stream is not None or not members:
        raise EOFError("compressed data ends too early")
    if not is_final and len(content) > allowed(bytes(content)):
        raise ImageContentError(f"{name}: holds more than its header declares; write it again")
    return content


def inflated_start(file: BinaryIO, count: int) -> bytes:
    """Return the first bytes of a gzip file's content, at most ``count``; zlib.error if damaged."""
    start, stream = b"", None
    compressed = file.read(_CHUNK)
    while compressed and len(start) < count:
        if stream is None:
            compressed = compressed.lstrip(b"\0")
            if not compressed:
                compressed = file.read(_CHUNK)
                continue
            stream = zlib.decompressobj(wbits=31)
        start += stream.decompress(compressed, count - len(start))
        compressed = stream.unconsumed_tail or stream.unused_data
        if stream.eof:
            stream = None
        compressed = compressed or file.read(_CHUNK)
    return start


def is_single_member(file: BinaryIO, count: int) -> bool:
    """Return whether the rest of a file is one gzip member of this many bytes, without fields but a name."""
    compressed = file.read(_CHUNK)
    stream, total = zlib.decompressobj(wbits=31), 0
    if not _PLAIN_HEAD.match(compressed):
        return False
    try:
        while compressed and total <= count and not stream.eof:
            total += len(stream.decompress(compressed, _CHUNK))
            compressed = stream.unconsumed_tail or stream.unused_data or file.read(_CHUNK)
    except zlib.error:
        return False
    return stream.eof and total == count and not compressed


_FIELDS = "its gzip header holds fields besides a file name"
