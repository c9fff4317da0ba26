"""MONAI Label's command with its log in the state folder instead of the app's folder."""

from __future__ import annotations

import json
import os
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import monailabel
from monailabel.config import settings
from monailabel.main import Main

from cardiolabel.system.user_folders import state_folder

LOG_NAME = "app.log"


class Command(Main):  # type: ignore[misc]  # it has no types
    """MONAI Label's command, except that ``start_server`` writes nothing into the app's folder."""

    def start_server_init_settings(self, args: Namespace) -> None:
        """Set the server's settings, without making MONAI Label's folders in the app.

        A dry run writes a file of settings, as MONAI Label does.
        """
        if args.dryrun:
            super().start_server_init_settings(args)
            return
        settings.MONAI_LABEL_SERVER_PORT = args.port
        settings.MONAI_LABEL_APP_DIR = args.app
        settings.MONAI_LABEL_STUDIES = args.studies
        settings.MONAI_LABEL_APP_CONF = dict(args.conf or ())
        for name, value in settings.model_dump().items():  # for the processes that train
            if value is not None:
                os.environ[name] = json.dumps(value) if isinstance(value, (list, dict)) else str(value)
        if args.log_config is None:
            args.log_config = str(_log_config(state_folder() / "logs" / f"port-{args.port}"))


def _log_config(folder: Path) -> Path:
    """Write MONAI Label's logging configuration with log files in a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    source = Path(monailabel.__file__).parent / "logging.json"
    text = source.read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(
        text.replace("${LOGDIR}", _in_json(folder)).replace("${LOGFILE}", _in_json(folder / LOG_NAME))
    )
    with tempfile.NamedTemporaryFile(
        "w", dir=folder, prefix=".logging-", suffix=".json", encoding="utf-8", delete=False
    ) as file:
        json.dump(config, file)
    return Path(file.name).replace(folder / "logging.json")


def _in_json(path: Path) -> str:
    return json.dumps(str(path))[1:-1]
