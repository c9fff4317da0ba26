"""Unique identifiers that follow from content, so that the same results give the same objects."""

from __future__ import annotations

import hashlib

from pydicom.uid import UID

__all__ = ["content_uid"]

_SEPARATOR = b"\0"


def content_uid(*parts: str | bytes) -> UID:
    """Return a UID of the root for UUIDs, made of a SHA-256.

    Parameters
    ----------
    *parts : str or bytes
        What the object is, and its content; any change gives another UID.

    References
    ----------
    DICOM PS3.5, B.2, UUID derived UID.

    Examples
    --------
    >>> content_uid("report", "EF 55") == content_uid("report", "EF 55") != content_uid("report", "EF 56")
    True
    >>> len(content_uid("report")) <= 64
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(str(len(content)).encode() + _SEPARATOR + content)
    # The bits of version and variant say that it is no random UUID of another kind (RFC 9562, version 8).
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | (0x8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return UID(f"2.25.{number}")
