"""Pseudonyms of the patients of DICOM files: the same for one person, linked to names by a private key only.

The key lies in the user's state folder, readable by its owner alone, so that every run on one computer
gives a patient the same pseudonym.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from pathlib import Path

from cardiolabel.io.secret_file import make_secret, read_secret
from cardiolabel.system.user_folders import state_folder

__all__ = ["KEY_NAME", "patient_pseudonym", "pseudonym_key"]

KEY_NAME = "pseudonyms.key"

_LETTERS = 10


def pseudonym_key(path: Path | None = None) -> bytes:
    """Return the key of pseudonyms, made if there is none.

    Parameters
    ----------
    path : Path, optional
        Its file; by default in the user's state folder.

    Raises
    ------
    InputError
        The file is damaged.
    OSError
        There is none, and none can be made.
    """
    path = path or state_folder() / KEY_NAME
    if not path.is_file():
        make_secret(path)
    return read_secret(path)


def patient_pseudonym(identity: str, key: bytes) -> str:
    """Return the pseudonym of a patient: 50 bits of an HMAC-SHA-256 after the letter p.

    Parameters
    ----------
    identity : str
        What tells the patient from others, for instance the patient id and who issued it.
    key : bytes

    Examples
    --------
    >>> patient_pseudonym("MRN 4711", b"secret")
    'pnhjpzlsjcv'
    """
    text = unicodedata.normalize("NFC", identity).encode("utf-8", "surrogatepass")
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return "p" + base64.b32encode(digest).decode("ascii")[:_LETTERS].lower()
