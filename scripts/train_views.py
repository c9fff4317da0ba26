"""Train the recognition of views: scripts/train_views.py CAMUS SHORT_AXIS, folders of `cardiolabel prepare`.

CAMUS's official validation split and every fifth short-axis patient are held out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cardiolabel.domain import View
from cardiolabel.records import manifest
from cardiolabel.system.installation import app_folder
from cardiolabel.training.view_head import train_view_head


def main() -> None:
    """Train on the folders that are named, and write the head beside the shipped models."""
    records = [
        record
        for folder in sys.argv[1:]
        for record in manifest.read(Path(folder))
        if record.view is not View.UNKNOWN
    ]
    others = sorted({record.patient for record in records if record.view is View.SAX})
    held_out = frozenset(others[::5]) | {record.patient for record in records if record.split == "VAL"}
    models = app_folder() / "model"
    metrics = train_view_head(
        records,
        held_out=held_out,
        models=models,
        out=models / "views",
        progress=lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr),  # noqa: T201
    )
    print(json.dumps(metrics, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
