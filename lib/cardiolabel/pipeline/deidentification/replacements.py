"""Replacements of identities, which only holders of the key can undo: patients, UIDs, dates, file names."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.uid import UID

from cardiolabel.io.files import atomic
from cardiolabel.records.pseudonyms import patient_pseudonym

__all__ = ["Replacements"]

_LONGEST_SHIFT_DAYS = 3650
_NAME_DIGITS = 15
_DATE = "%Y%m%d"


class Replacements:
    """Gives every identity the same replacement, and remembers all of them for the way back.

    Parameters
    ----------
    key : bytes
        The same key gives the same replacements in every run.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._given: dict[tuple[str, str], str] = {}

    def patient(self, identity: str) -> str:
        """Return a patient's pseudonym."""
        return self._given.setdefault(("patient", identity), patient_pseudonym(identity, self._key))

    def uid(self, uid: str) -> str:
        """Return a UID of the root 2.25 (ITU-T X.667) with 122 bits of an HMAC-SHA-256."""
        number = int.from_bytes(self._digest("uid", uid)[:16], "big") >> 6
        return self._given.setdefault(("uid", uid), str(UID(f"2.25.{number}")))

    def name(self, text: str) -> str:
        """Return the name of a file or of any other text."""
        digest = self._digest("name", text).hex()[:_NAME_DIGITS]
        return self._given.setdefault(("name", text), f"x{digest}")

    def date(self, date: str, patient: str) -> str:
        """Return a date ``YYYYMMDD`` some days earlier, the same number for all dates of a patient.

        What is no date becomes empty.
        """
        days = 1 + int.from_bytes(self._digest("days", patient)[:4], "big") % _LONGEST_SHIFT_DAYS
        self._given.setdefault(("days earlier", patient), str(days))
        try:
            return (datetime.strptime(date[:8], _DATE) - timedelta(days=days)).strftime(_DATE)
        except (ValueError, OverflowError):
            return ""

    def write(self, path: Path) -> None:
        """Write all replacements as a table that only its owner can read; an earlier table is completed.

        Raises
        ------
        OSError
            It cannot be written.
        """
        rows = {(kind, original, replaced) for (kind, original), replaced in self._given.items()}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows |= {(row[0], row[1], row[2]) for row in list(csv.reader(file))[1:] if len(row) == 3}
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("kind", "original", "replacement"))
        table.writerows(sorted(rows))
        with atomic(path) as draft:
            draft.touch(mode=0o600)
            draft.chmod(0o600)
            draft.write_text(text.getvalue(), encoding="utf-8")

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}/{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
