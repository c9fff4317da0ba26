"""Reading of DICOM files; any fault becomes an error of this package."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from cardiolabel.errors import CardiolabelError, ImageContentError, ImageReadError

MAX_FILE_BYTES = 2**30
"""Largest DICOM file that is read: 20 s of uncompressed colour."""
_META_BYTES = 4096
"""Bytes at the start of a file that hold its transfer syntax."""
_META_AT = 144
"""Start of the meta information after its length."""
_DEFLATED = DeflatedExplicitVRLittleEndian.encode("ascii")
_EXPLICIT = ExplicitVRLittleEndian.encode("ascii")


@contextmanager
def readable(path: Path, *, problem: str = "not a readable DICOM file") -> Iterator[None]:
    """Turn pydicom's errors about a damaged file into this package's error.

    pydicom decodes an element on access, and raises almost anything then: errors of struct or a decoder,
    missing keys, recursion of nested sequences.

    Parameters
    ----------
    path : Path
    problem : str
        What is said of the file.

    Raises
    ------
    ImageReadError
        Its message has the file's name, the problem and pydicom's reason.
    """
    # A value that no element of its kind may have would be logged, whosever it is.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CardiolabelError:
        raise
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageReadError(f"{path.name}: {problem} ({reason}); copy it again") from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for pydicom, within `readable`; no more is read than the file has, whatever it claims.

    A file that is compressed as a whole (deflated) is inflated, up to `MAX_FILE_BYTES`.

    Raises
    ------
    ImageContentError
        The file, or what it inflates to, is too long.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise _too_long(path)
        if _DEFLATED in file.read(_META_BYTES):
            yield _inflated(path, file)
            return
        file.seek(0)
        yield cast(BinaryIO, _WithinFile(file, size))


def read_dataset(path: Path, **selection: Any) -> pydicom.FileDataset:
    """Return a file's elements; call it and use them within `readable`.

    Parameters
    ----------
    path : Path
    **selection
        As of `pydicom.dcmread`, which elements are wanted.

    Raises
    ------
    ImageContentError
        The file is too long, or what it inflates to.
    """
    with opened(path) as stream:
        return pydicom.dcmread(stream, **selection)


class _WithinFile(io.RawIOBase):
    """A file of which no more is asked than it has, whatever lengths it claims."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._file.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _inflated(path: Path, file: BinaryIO) -> BytesIO:
    """Return a deflated file with its data set inflated, as explicit VR little endian."""
    file.seek(0)
    head = file.read(_META_AT)
    meta_bytes = int.from_bytes(head[-4:], "little")
    if head[132:138] != b"\x02\0\0\0UL" or meta_bytes > _META_BYTES:
        raise ImageReadError(f"{path.name}: no length of its meta information; copy it again")
    meta = file.read(meta_bytes).replace(_DEFLATED, _EXPLICIT.ljust(len(_DEFLATED), b"\0"))
    inflating = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    content = inflating.decompress(file.read(), MAX_FILE_BYTES)
    if inflating.unconsumed_tail:
        raise _too_long(path)
    return BytesIO(head + meta + content)


def _too_long(path: Path) -> ImageContentError:
    return ImageContentError(
        f"{path.name}: more than {MAX_FILE_BYTES // 2**20} MB; expected one clip or slice"
    )
