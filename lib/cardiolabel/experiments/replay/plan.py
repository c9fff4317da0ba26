"""Parts of the patients in a replay, and the studies folder of its server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.patient_split import HELD_BACK

_PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """Patients of each round, of the server's validation, and of the report.

    No patient is in two parts. ``settings`` are the other settings of the replay.
    """

    rounds: tuple[tuple[str, ...], ...]
    judges: tuple[str, ...]
    reported: tuple[str, ...]
    settings: dict[str, object]


def draw_plan(
    records: Sequence[Record],
    rounds: Sequence[int],
    *,
    judges: int,
    seed: int,
    settings: dict[str, object],
) -> Plan:
    """Draw the patients of each part; reported ones are those that the official split holds back.

    Parameters
    ----------
    records : sequence of Record
        Images with labels.
    rounds : sequence of int
        Patients with labels after each round, growing.
    judges : int
        Patients with labels from the beginning, whom nothing is learned from.
    seed : int
        Another seed draws others.
    settings : dict
        JSON-safe.

    Raises
    ------
    DatasetError
        The numbers do not grow, there are too few patients, or none is held back.
    """
    if not rounds or list(rounds) != sorted({*rounds}) or rounds[0] < 1:
        raise DatasetError("expected growing numbers of patients, such as 20,40,80")
    reported = {record.patient for record in records if record.split in HELD_BACK}
    free = [record for record in records if record.patient not in reported]
    available, needed = len({record.patient for record in free}), rounds[-1] + judges
    if not reported:
        raise DatasetError("no patient to report on: the manifest has no split VAL or TEST")
    if available < needed:
        raise DatasetError(f"{needed} patients are needed besides those held back; there are {available}")
    parts: list[tuple[str, ...]] = []
    for patients in (*rounds, needed):  # each holds those before
        _, chosen = manifest.split_by_patient(free, holdout=patients, seed=seed)
        planned = {patient for part in parts for patient in part}
        parts.append(tuple(sorted({record.patient for record in chosen} - planned)))
    return Plan(tuple(parts[:-1]), parts[-1], tuple(sorted(reported)), settings)


def begin(plan: Plan, records: Sequence[Record], labels: Path, out: Path) -> Path:
    """Make the server's studies folder, once: rounds without labels, validation patients with theirs.

    Parameters
    ----------
    plan : Plan
    records : sequence of Record
        Images with labels.
    labels : Path
        Folder of ``<image_id>.nii.gz``.
    out : Path
        The replay's folder.

    Raises
    ------
    DatasetError
        ``out`` was started otherwise.
    OSError
        ``out`` cannot be written.
    """
    studies, stored = out / "studies", out / _PLAN
    content = json.dumps(asdict(plan), indent=1) + "\n"
    if stored.exists():
        if stored.read_text(encoding="utf-8") != content:
            raise DatasetError(f"{out}: started with other settings or patients; give another --out")
        return studies
    StudiesLayout(studies).final.mkdir(parents=True, exist_ok=True)
    order = [*(patient for annotation_round in plan.rounds for patient in annotation_round), *plan.judges]
    place = {patient: number for number, patient in enumerate(order)}
    mine = sorted(
        (record for record in records if record.patient in place), key=lambda record: place[record.patient]
    )
    copied = []
    for record in mine:
        judges = record.patient in plan.judges
        target = StudiesLayout(studies).image(record.image_id)
        shutil.copy(record.path, target)
        if judges:
            shutil.copy(labels / target.name, StudiesLayout(studies).final)
        copied.append(replace(record, path=target, split="VAL" if judges else "TRAIN"))
    manifest.write(copied, studies)
    with atomic(stored) as draft:
        draft.write_text(content, encoding="utf-8")
    return studies
