"""Background scoring of patients, in a process of low priority."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Hashable
from typing import Any

from cardiolabel.errors import CardiolabelError
from lib.server.child_process import environment, module_command
from lib.server.engine import Engine
from lib.server.errors import refused

logger = logging.getLogger(__name__)

_LOOKED_EVERY_S = 2.0
_AFTER_FAILURE_S = 60.0


class Scoring:
    """Starts ``cardiolabel score`` after changes, one process at a time.

    Parameters
    ----------
    engine : Engine
    wanted : str
        ``on``, ``off``, or how many images to score after a change, at most.
    """

    def __init__(self, engine: Engine, setting: str) -> None:
        if setting not in {"on", "off"} and not (setting.isdecimal() and int(setting) > 0):
            raise refused(422, "bad_setting", f"scoring {setting!r}: expected on, off, or a number of images")
        self._engine, self._wanted = engine, setting
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = False

    def status(self) -> dict[str, Any]:
        """Return whether scoring is on, running, and failed last time."""
        running = self._process is not None and self._process.poll() is None
        return {"wanted": self._wanted, "running": running, "failed": self._failed}

    def start(self) -> None:
        """Watch for changes from now on, until this process ends."""
        if self._wanted != "off":
            threading.Thread(target=self._watch, name="scoring", daemon=True).start()

    def _watch(self) -> None:
        seen: Hashable = None
        records: object = None
        pause = threading.Event()
        while True:
            try:
                now, listed = self._revision(), self._engine.studies.by_id()
                if now != seen or listed is not records:
                    self._failed = self._run() != 0
                    seen, records = (None, None) if self._failed else (now, listed)
            except (CardiolabelError, OSError) as error:
                logger.warning("scores were not brought up to date; tried again in %.0f s", _AFTER_FAILURE_S)
                logger.debug("%s", error)
                self._failed = True
            pause.wait(_AFTER_FAILURE_S if self._failed else _LOOKED_EVERY_S)

    def _revision(self) -> Hashable:
        """Return a token that changes whenever labels or models do."""
        models = self._engine.models
        used = tuple(models.named(name).used for name in models.names if models.is_loaded(name))
        return self._engine.store.revision(), used

    def _run(self) -> int:
        """Score changed patients; ends with this process."""
        models = self._engine.models
        command = module_command(
            "cardiolabel",
            "score",
            str(self._engine.studies.folder),
            "--weights",
            str(models.folders.shipped.resolve()),
            "--models",
            ",".join(models.names),
            "--beside",
            str(os.getpid()),
            "--quiet",
        )
        command += ["--images", self._wanted] if self._wanted != "on" else []
        self._process = subprocess.Popen(  # noqa: S603  the app's own command
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment(os.environ)
        )
        return self._process.wait()
