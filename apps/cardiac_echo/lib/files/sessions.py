"""Uploaded images of sessions, each in a folder of its own."""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from pathlib import Path

from monailabel.utils.sessions import SessionInfo, Sessions

from lib.security.environment import MB, environment
from lib.server.errors import refused

logger = logging.getLogger(__name__)


def is_session_id(text: str) -> bool:
    """Return whether a text is a UUID in this server's form.

    Examples
    --------
    >>> is_session_id("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), is_session_id("../x")
    (True, False)
    """
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


class UploadSessions(Sessions):
    """MONAI Label's sessions, robust against damaged and foreign folders."""

    def get_session(
        self, session_id: str, update_ts: bool = True, fetch_cache: bool = True
    ) -> SessionInfo | None:
        """Return a session; None for an invalid id or an incomplete session."""
        if not is_session_id(session_id):
            return None
        try:
            return super().get_session(session_id, update_ts, fetch_cache)
        except (ValueError, TypeError, AttributeError, FileNotFoundError):
            logger.warning("a session's record is damaged; it is treated as expired")
            self.remove_session(session_id)
            return None

    def add(self, image: Path, expiry: int) -> tuple[str, SessionInfo]:
        """Store an image; on failure nothing of it stays.

        Parameters
        ----------
        image : Path
            Is moved.
        expiry : int
            Seconds without use, at most the server's own; 0 for those.

        Raises
        ------
        HTTPException
            429: all sessions together would be too large.
        """
        self._make_room(image.stat().st_size)
        session_id = str(uuid.uuid4())
        try:
            _, info = self.add_session(str(image), expiry, session_id=session_id)
        except OSError:
            self.remove_session(session_id)
            raise
        return session_id, info

    def _make_room(self, size: int) -> None:
        limit = environment().max_sessions_mb
        if self._stored_bytes() + size > limit * MB:
            self.remove_expired()
        if self._stored_bytes() + size > limit * MB:
            raise refused(
                429,
                "sessions_full",
                f"sessions hold {limit} MB together already; remove one, or wait until some expire",
            )

    def _stored_bytes(self) -> int:
        total = 0
        for path in Path(self.store_path).glob("*/*"):
            with suppress(FileNotFoundError):  # it may expire at this moment
                total += path.stat().st_size if is_session_id(path.parent.name) else 0
        return total

    def remove_expired(self) -> int:
        """Remove expired sessions, unreadable ones included, and no other folder."""
        store = Path(self.store_path)
        folders = [path.name for path in store.iterdir() if path.is_dir()] if store.is_dir() else []
        now, removed = time.time(), 0
        for session_id in filter(is_session_id, folders):
            info = self.get_session(session_id, update_ts=False, fetch_cache=False)
            if info is None or 0 < info.last_access_ts + info.expiry < now:
                self.remove_session(session_id)
                removed += 1
        return removed
