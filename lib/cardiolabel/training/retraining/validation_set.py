"""Validation patients that judge retrained models: chosen once, kept for good, never trained on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records.patient_split import HELD_BACK

NAME = "validation.json"
SHARE = 0.2
"""Share of the labelled patients; official splits keep their own."""

Stratum = tuple[str, ...]


@dataclass(frozen=True)
class ValidationSet:
    """Validation patients and training patients; no patient is in both, or ever changes side."""

    validation: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    def extended(self, records: Sequence[Record], *, share: float = SHARE) -> ValidationSet:
        """Add new patients to the set.

        Patients of an official split keep to it, as published models may have been trained on TRAIN. Of the
        others, a share of each stratum (views, phases, worst image quality) joins validation, chosen by names
        alone.

        Parameters
        ----------
        records : sequence of Record
            Images with labels.
        share : float
            Of the patients without an official split.
        """
        strata = _strata(records)
        official = {record.split_unit: record.split for record in records if record.split}
        seen = {*self.validation, *self.training}
        free = {patient for patient in strata.keys() | seen if patient not in official}
        new = sorted(strata.keys() - seen, key=lambda name: hashlib.sha256(name.encode()).digest())
        validation = {patient for patient in new if official.get(patient) in HELD_BACK}
        waiting = [patient for patient in new if patient not in official]
        missing = round(share * len(free)) - len(set(self.validation) & free)
        chosen = Counter(strata[patient] for patient in self.validation if patient in strata.keys() & free)
        sizes = Counter(stratum for patient, stratum in strata.items() if patient in free)
        for _ in range(min(missing, len(waiting))):
            lacking = max(
                waiting, key=lambda patient: share * sizes[strata[patient]] - chosen[strata[patient]]
            )
            waiting.remove(lacking)
            chosen[strata[lacking]] += 1
            validation.add(lacking)
        return ValidationSet(
            tuple(sorted({*self.validation, *validation})),
            tuple(sorted({*self.training, *(set(new) - validation)})),
        )


def extend_stored(path: Path, records: Sequence[Record]) -> ValidationSet:
    """Extend the stored set by the patients of ``records``, and store it again.

    Parameters
    ----------
    path : Path
        A JSON file; written where it is missing.
    records : sequence of Record
        Images with labels.

    Raises
    ------
    DatasetError
        The file is damaged, so that validation patients could be trained on.
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        stored = _read(path)
        extended = stored.extended(records)
        if extended != stored or not path.exists():
            with atomic(path) as draft:
                draft.write_text(json.dumps(asdict(extended), indent=1) + "\n", encoding="utf-8")
    return extended


def _read(path: Path) -> ValidationSet:
    if not path.exists():
        return ValidationSet()
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        validation, training = (tuple(map(str, fields[part])) for part in ("validation", "training"))
        stored = ValidationSet(validation, training)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path.name} is damaged ({error}); restore it, models are judged by it"
        ) from error
    if both := sorted(set(stored.validation) & set(stored.training)):
        raise DatasetError(f"{path.name}: patient {both[0]!r} is on both sides; restore it")
    return stored


def _strata(records: Sequence[Record]) -> dict[str, Stratum]:
    """Group persons by the views, phases and quality of their images."""
    strata: dict[str, set[str]] = {}
    quality: dict[str, set[str]] = {}
    for record in records:
        strata.setdefault(record.split_unit, set()).update((f"view {record.view}", f"phase {record.phase}"))
        quality.setdefault(record.split_unit, set()).add(record.image_quality or "")
    return {patient: (*sorted(kinds), *sorted(quality[patient])) for patient, kinds in strata.items()}
