"""Roles of each user when last seen, to notice changes."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from pathlib import Path

from cardiolabel.io.files import atomic

logger = logging.getLogger(__name__)

_MOST_USERS = 10_000


class SeenRoles:
    """Roles by login name in a file; users seen longest ago are forgotten first.

    Parameters
    ----------
    path : Path
        The file; only its owner may read it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._roles = OrderedDict[str, list[str]]()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._roles.update({str(who): [str(role) for role in roles] for who, roles in content.items()})
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError, TypeError):
            logger.warning("the list of users' roles is damaged and started anew")

    def change(self, who: str, roles: list[str]) -> list[str] | None:
        """Record a user's roles; returns the former ones if they differ, none for a new user, else None."""
        if self._roles.get(who) == roles:
            return None
        with self._lock:
            before = self._roles.get(who, [])
            self._roles[who] = roles
            self._roles.move_to_end(who)
            while len(self._roles) > _MOST_USERS:
                self._roles.popitem(last=False)
            try:
                with atomic(self._path) as draft:
                    draft.chmod(0o600)
                    draft.write_text(json.dumps(self._roles), encoding="utf-8")
            except OSError as error:
                logger.warning("the list of users' roles is not kept: %s", error.strerror)
        return before if before != roles else None
