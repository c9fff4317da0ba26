"""Safe unpacking of untrusted zip and tar archives."""

from __future__ import annotations

import errno
import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

from lib.security.names import harmless, is_path
from lib.server.errors import refused

MAX_MEMBERS = 200
_HEADER_BYTES = 1024**2
_PIECE = 65536
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError),
    *(ValueError, LookupError, OverflowError),
    *(RuntimeError, NotImplementedError),  # encrypted, or packed in a way that this Python does not know
)


@dataclass(frozen=True)
class _Member:
    """A file, or a folder, whose name ends with ``/``."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(path: Path, folder: Path, *, is_wanted: Callable[[str], bool], max_bytes: int) -> list[Path]:
    """Unpack files of a zip, tar or tar.gz archive into one folder, under the last part of their names.

    Parameters
    ----------
    wanted : callable
        Says by the name whether a file is unpacked; hidden files never are.
    max_bytes : int
        What all files of the archive may have together once unpacked.

    Raises
    ------
    HTTPException
        422: no such archive, a link or a device in it, more than `MAX_MEMBERS` files, or too much.
        400: a name in it that leads elsewhere.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            if start == b"PK":
                _check_directory(raw)
                with zipfile.ZipFile(raw) as packed:
                    return _unpack(_zip_members(packed), folder, is_wanted, max_bytes)
            unpacked: Any = gzip.open(raw) if start == b"\x1f\x8b" else raw
            forward = _Forward(unpacked)
            forward.allow(_HEADER_BYTES)
            with tarfile.open(fileobj=forward, mode="r:") as archive:  # type: ignore[call-overload]
                return _unpack(_tar_members(archive, forward), folder, is_wanted, max_bytes)
    except _BROKEN:
        raise _broken() from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # an archive that says that something lies before its beginning
            raise
        raise _broken() from None


def _unpack(
    members: Iterator[_Member], folder: Path, is_wanted: Callable[[str], bool], max_bytes: int
) -> list[Path]:
    unpacked: list[Path] = []
    total = 0
    for number, member in enumerate(members, start=1):
        total += member.size
        if number > MAX_MEMBERS or total > max_bytes or member.size < 0:
            limits = f"{MAX_MEMBERS} files of {max_bytes // 1024**2} MB together"
            raise refused(422, "bad_archive", f"expected an archive of at most {limits}")
        # tar itself writes ./name.
        parts = member.name.replace("\\", "/").removeprefix("./").split("/")
        if member.name.startswith(("/", "\\")) or ":" in parts[0] or any(is_path(part) for part in parts):
            raise refused(400, "bad_name", "a name in the archive leads out of it; pack it again")
        if is_wanted(parts[-1]) and not parts[-1].startswith("."):
            target = folder / harmless(parts[-1])
            if target in unpacked:
                raise refused(422, "bad_archive", "two files in the archive have the same name")
            _copy(member, target)
            unpacked.append(target)
    return unpacked


def _copy(member: _Member, target: Path) -> None:
    """Write one file of exactly its declared size."""
    left = member.size
    with member.open() as source, target.open("wb") as file:
        while piece := source.read(min(left, _PIECE)):
            left -= file.write(piece)
    if left:
        raise refused(422, "bad_archive", "a file in the archive is shorter than it says; pack it again")


def _check_directory(file: BinaryIO) -> None:
    """Check the end of a zip file first, as Python reads its whole directory into memory."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - 66_000))
    tail = file.read()
    file.seek(0)
    ends = [at for at in range(len(tail)) if tail.startswith(b"PK\x05\x06", at)]
    sizes = [int.from_bytes(tail[at + 12 : at + 16], "little") for at in ends]
    if b"PK\x06\x07" in tail or any(size > _HEADER_BYTES for size in sizes):
        raise refused(422, "bad_archive", f"expected a zip archive of at most {MAX_MEMBERS} files")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _no_file()
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # LZMA takes as much memory as its header says.
            raise zipfile.BadZipFile("packed in another way than deflate")
        yield _Member(info.filename, info.file_size, partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile, source: _Forward) -> Iterator[_Member]:
    while (info := archive.next()) is not None:
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
            raise _no_file()
        source.allow(info.size + _HEADER_BYTES)
        name = f"{info.name}/" if info.isdir() else info.name
        yield _Member(name, info.size, partial(_content, archive, info))
        source.allow(_HEADER_BYTES)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    if content is None:
        raise tarfile.ReadError("no file")
    return content


def _broken() -> Exception:
    return refused(422, "bad_archive", "expected a whole zip, tar or tar.gz archive")


def _no_file() -> Exception:
    return refused(422, "bad_archive", "expected files only; the archive holds a link, a device or the like")


class _Forward:
    """Forward-only stream for tarfile that returns no more than allowed.

    tarfile trusts the lengths in an archive, and reads long names and the like into memory.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._read_to = self._position = self._left = 0
        self._last = b""

    def allow(self, amount: int) -> None:
        self._left = amount

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        # tarfile looks for the last byte of a file before it goes on.
        if self._position == self._read_to - 1 and size == 1:
            self._position += 1
            return self._last
        self._left -= size
        if self._position < self._read_to or not 0 <= size <= _HEADER_BYTES or self._left < 0:
            raise tarfile.ReadError("not to be read forward within limits")
        while self._read_to < self._position:
            if not self._take(min(_PIECE, self._position - self._read_to)):
                return b""
        piece = self._take(size)
        self._position = self._read_to
        return piece

    def _take(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._read_to += len(piece)
        self._last = piece[-1:] or self._last
        return piece
