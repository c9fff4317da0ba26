"""Pseudonyms of images and patients, which only holders of the key can link to names."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

__all__ = ["pseudonym"]

_DIGITS = 24


def pseudonym(name: str, key: bytes) -> str:
    """Return the pseudonym of an image id or a patient: the first digits of an HMAC-SHA-256.

    Examples
    --------
    >>> pseudonym("patient0001", b"secret")
    '3030e95adf514b5791d8cceb'
    """
    text = unicodedata.normalize("NFC", name).encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:_DIGITS]
