"""Split of patients into training, selection and held-back parts, drawn once per run."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records.manifest import split_by_patient

HELD_BACK = frozenset({"VAL", "TEST"})
"""Parts of an official split whose patients are never used in training or selection."""


@dataclass(frozen=True)
class Split:
    """Patients by their part in a run; no patient is in two parts.

    ``training`` patients are learned from, ``selection`` patients choose the checkpoint, ``held_back``
    patients are set aside by the data set's official split or by the user.
    """

    training: tuple[str, ...]
    selection: tuple[str, ...]
    held_back: tuple[str, ...]


def draw(records: Sequence[Record], *, selection: float, seed: int, held_back: Collection[str] = ()) -> Split:
    """Set aside the official split's patients, and a share of the others for selecting weights.

    Parameters
    ----------
    records : sequence of Record
    selection : float
        Share of the remaining patients; at least one of them, unless it is 0.
    seed : int
        Another seed draws others.
    held_back : collection of str
        More patients to set aside, where a dataset has no official split.

    Raises
    ------
    DatasetError
        Fewer than two patients are left, or one to set aside is not there.
    """
    unknown = sorted(set(held_back) - {record.patient for record in records})
    if unknown:
        raise DatasetError(f"to hold back: no patient {unknown[0]!r} with a mask")
    persons_aside = {
        record.split_unit for record in records if record.split in HELD_BACK or record.patient in held_back
    }
    aside_for_good = {record.patient for record in records if record.split_unit in persons_aside}
    rest = [record for record in records if record.patient not in aside_for_good]
    patients = {record.split_unit for record in rest}
    if len(patients) < 2:
        raise DatasetError(f"training needs at least two patients with masks, found {len(patients)}")
    aside = max(1, min(len(patients) - 1, round(selection * len(patients)))) if selection else 0
    trained, chosen = split_by_patient(rest, holdout=aside, seed=seed)
    return Split(
        training=tuple(sorted({record.patient for record in trained})),
        selection=tuple(sorted({record.patient for record in chosen})),
        held_back=tuple(sorted(aside_for_good)),
    )


def frozen(path: Path, drawn: Split) -> Split:
    """Return the split stored in a run's folder, or store the one just drawn.

    Raises
    ------
    DatasetError
        The stored split is of other patients: the studies changed since the run began.
    """
    if not path.exists():
        with atomic(path) as draft:
            draft.write_text(json.dumps(asdict(drawn), indent=1) + "\n", encoding="utf-8")
        return drawn
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        stored = Split(*(tuple(fields[part]) for part in ("training", "selection", "held_back")))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a stored split ({error}); begin another run") from error
    if stored != drawn:
        raise DatasetError(
            f"{path.parent}: the run was started on other patients ({len(stored.training)} in training, now"
            f" {len(drawn.training)}); give another --out"
        )
    return stored
