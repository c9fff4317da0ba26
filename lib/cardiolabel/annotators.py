"""How well annotators agree on the images that they both read: masks, EF, and the plot of both."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.domain import Convention, Method, Record
from cardiolabel.errors import InputError, MeasurementError
from cardiolabel.measurements.agreement import MIN_PAIRS, Agreement, agreement
from cardiolabel.measurements.mask_agreement import StructureAgreement, compare_masks
from cardiolabel.measurements.records import MaskedImage, PatientRow
from cardiolabel.measurements.short_axis import is_short_axis
from cardiolabel.measurements.study import measure_study
from cardiolabel.predicted import without_masks
from cardiolabel.reporting.bland_altman import PairedValues, bland_altman_png
from cardiolabel.studies import Studies, labels_of

SCHEMA = "cardiolabel-agreement-1"

_LIMITS = (
    "bias_pct", "sd_pct", "lower_limit_pct", "upper_limit_pct", "mean_absolute_difference_pct",
    "bias_interval_pct", "lower_limit_interval_pct", "upper_limit_interval_pct",
)  # fmt: skip

_CASES = "patients with an EF from both annotators"


@dataclass(frozen=True)
class Reading:
    """The latest mask that one annotator saved for one image; ``saved_at`` is in s since 1970."""

    image_id: str
    annotator: str
    masks_file: Path
    saved_at: float


def agreement_json(readings: Sequence[Reading], studies: Studies) -> dict[str, Any]:
    """Compare every two annotators on the images that both read.

    Differences are those of the annotator first in the alphabet minus the other. An EF is measured from
    the images that both read, and from no other, so that it differs by how they drew alone. A mask that
    cannot be read, or does not fit its image, takes its image out of both annotators' EF.

    Parameters
    ----------
    readings : sequence of Reading
        Of several for one image and annotator the last one saved counts.
    studies : Studies
        Where the images are.

    Returns
    -------
    dict
        JSON-safe, None for what was not measured. ``annotators``: all of them, with how many images
        each read and shares. ``pairs``, of those who share an image: ``annotators`` (two names),
        ``images`` (Dice and Hausdorff distance per structure, see `StructureAgreement`), ``structures``
        (their means over images), ``patients`` (EF of both in percent, difference in EF points) and
        ``ef`` (per method and convention the bias, SD, 95 % limits of agreement with confidence
        intervals, and mean absolute difference, in EF points). ``reason`` and ``reasons`` say why
        something is None.

    Raises
    ------
    DatasetError, ManifestError
        The studies folder is not there or its manifest is malformed.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
    """
    read: dict[str, dict[str, Reading]] = {}
    for one in sorted(readings, key=lambda one: one.saved_at):
        read.setdefault(one.image_id, {})[one.annotator] = one
    names = sorted({name for by_name in read.values() for name in by_name})
    shared = {image_id: by_name for image_id, by_name in read.items() if len(by_name) > 1}
    pairs = [_Pair(both) for both in combinations(names, 2)]
    known, by_patient = studies.by_id(), dict[str, list[Record]]()
    for record in known.values():
        if record.image_id in shared:
            by_patient.setdefault(record.patient, []).append(record)
    for records in by_patient.values():
        case = _Case(records, shared, studies)
        for pair in pairs:
            pair.add(case)
    for image_id in sorted(shared.keys() - known.keys()):
        for pair in pairs:
            pair.add_gone(image_id, shared[image_id])
    return {
        "schema": SCHEMA,
        "annotators": [
            {
                "annotator": name,
                "images": sum(name in by_name for by_name in read.values()),
                "shared_images": sum(name in by_name for by_name in shared.values()),
            }
            for name in names
        ],
        "pairs": [pair.as_json() for pair in pairs if pair.images],
    }


def agreement_png(found: Mapping[str, Any]) -> bytes:
    """Bland-Altman plot of the EF, one panel per pair of annotators.

    Each pair is drawn by the first of biplane, single-plane and the other methods, guideline before
    camus convention, that at least three patients have; else by the first that any patient has.

    Parameters
    ----------
    found : mapping
        As `agreement_json` returns it.

    Returns
    -------
    bytes
        A PNG file.
    """
    panels = [_panel(pair) for pair in found["pairs"]]
    return bland_altman_png(panels, empty="No image has been read by two annotators yet.")


class _Case:
    """One patient's shared images as every annotator left them, each read and measured once."""

    def __init__(
        self, records: list[Record], read: Mapping[str, Mapping[str, Reading]], studies: Studies
    ) -> None:
        self._records = records
        self._masked = {
            (record.image_id, name): _masked(record, reading, studies)
            for record in records
            for name, reading in read[record.image_id].items()
        }
        self._rows: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[PatientRow, ...]] = {}

    def shared(self, names: tuple[str, str]) -> list[Record]:
        """Images that both annotators read."""
        return [
            record
            for record in self._records
            if all((record.image_id, name) in self._masked for name in names)
        ]

    def image_row(self, record: Record, names: tuple[str, str]) -> dict[str, Any]:
        """Both annotators' masks of one image compared."""
        row = _image_row(record.image_id, record, self._problem(record, names))
        if not row["reason"]:
            one, other = (self._masked[record.image_id, name] for name in names)
            compared = compare_masks(
                one.masks,
                other.masks,
                labels=one.labels,
                spacing=one.spacing,
                stack=is_short_axis(one),
                names=names,
            )
            row["structures"] = {each.structure: _structure_json(each) for each in compared}
        return row

    def patient_row(self, records: list[Record], names: tuple[str, str]) -> dict[str, Any]:
        """Both annotators' EF from these images."""
        problems = tuple((record.image_id, self._problem(record, names)) for record in records)
        measured = zip(*(self._measured(name, records, problems) for name in names), strict=True)
        return {
            "patient": records[0].patient,
            "images": [record.image_id for record in records],
            "ef": [_ef_json(rows, names) for rows in measured],
        }

    def _problem(self, record: Record, names: tuple[str, str]) -> str:
        return "; ".join(filter(None, (self._masked[record.image_id, name].problem for name in names)))

    def _measured(
        self, name: str, records: list[Record], problems: tuple[tuple[str, str], ...]
    ) -> tuple[PatientRow, ...]:
        key = name, problems
        if key not in self._rows:
            images = [
                without_masks(record, self._masked[record.image_id, name].labels, problem)
                if problem
                else self._masked[record.image_id, name]
                for record, (_, problem) in zip(records, problems, strict=True)
            ]
            self._rows[key] = measure_study(images).rows
        return self._rows[key]


class _Pair:
    """Two annotators and, once all cases are added, what they share."""

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.images: list[dict[str, Any]] = []
        self._patients: list[dict[str, Any]] = []

    def add(self, case: _Case) -> None:
        """Compare both annotators on one patient."""
        if records := case.shared(self.names):
            self.images += [case.image_row(record, self.names) for record in records]
            self._patients.append(case.patient_row(records, self.names))

    def add_gone(self, image_id: str, names: Container[str]) -> None:
        """Name an image that is no longer there, if both annotators are among those who read it."""
        if all(name in names for name in self.names):
            reason = f"no image {image_id!r} in this studies folder"
            self.images.append(_image_row(image_id, None, reason))

    def as_json(self) -> dict[str, Any]:
        """One of ``pairs``."""
        ef = [row for patient in self._patients for row in patient["ef"]]
        kinds = dict.fromkeys((row["method"], row["convention"]) for row in ef)
        return {
            "annotators": list(self.names),
            "images": self.images,
            "structures": _structure_means(self.images),
            "patients": self._patients,
            "ef": [
                _ef_agreement(kind, [row for row in ef if (row["method"], row["convention"]) == kind])
                for kind in sorted(kinds, key=_trust)
            ],
        }


def _masked(record: Record, reading: Reading, studies: Studies) -> MaskedImage:
    try:
        return studies.masked(record, reading.masks_file, name=reading.masks_file.name)
    except (InputError, OSError) as error:
        return without_masks(record, labels_of(record), f"mask by {reading.annotator}: {error}")


def _image_row(image_id: str, record: Record | None, reason: str) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "patient": record.patient if record else None,
        "view": str(record.view) if record else None,
        "phase": str(record.phase) if record else None,
        "structures": {},
        "reason": reason,
    }


def _structure_json(found: StructureAgreement) -> dict[str, Any]:
    return {
        "dice": _rounded(found.dice),
        "hd_mm": _rounded(found.hd_mm),
        "worst_hd_mm": _rounded(found.worst_hd_mm),
        "worst_frame": found.worst_frame,
        "frames": found.frames,
        "shared_frames": found.shared_frames,
        "reasons": list(found.reasons),
    }


def _structure_means(images: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over images per structure, with how many images each is of."""
    names = dict.fromkeys(name for image in images for name in image["structures"])
    means = {}
    for name in names:
        rows = [image["structures"].get(name, {}) for image in images]
        dices, distances = (_known(row.get(key) for row in rows) for key in ("dice", "hd_mm"))
        missing = [
            f"no {what} in {len(images) - len(values)} of {len(images)} images"
            for what, values in (("Dice", dices), ("distance in mm", distances))
            if len(values) < len(images)
        ]
        means[name] = {
            "dice": _mean(dices), "dice_images": len(dices),
            "hd_mm": _mean(distances), "hd_images": len(distances),
            "reason": "; ".join(missing),
        }  # fmt: skip
    return means


def _ef_json(rows: tuple[PatientRow, ...], names: tuple[str, str]) -> dict[str, Any]:
    one, other = rows
    difference = None if one.ef_pct is None or other.ef_pct is None else one.ef_pct - other.ef_pct
    return {
        "method": str(one.method),
        "convention": str(one.convention),
        "ef_pct": {name: _rounded(row.ef_pct) for name, row in zip(names, rows, strict=True)},
        "ef_difference_pct": _rounded(difference),
        "reasons": {name: row.reason for name, row in zip(names, rows, strict=True)},
    }


def _ef_agreement(kind: tuple[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Bias and limits of one method and convention over patients, or the reason why not."""
    known = [list(row["ef_pct"].values()) for row in rows if row["ef_difference_pct"] is not None]
    pairs = np.array(known, dtype=np.float64).reshape(-1, 2)
    found, reason = None, ""
    try:
        found = agreement(pairs[:, 0], pairs[:, 1], cases=_CASES)
    except MeasurementError as error:
        reason = _shared_reason(rows) or str(error)
    return {
        "method": kind[0],
        "convention": kind[1],
        "n": len(pairs),
        **_limits_json(found),
        "reason": reason,
    }


def _limits_json(found: Agreement | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(_LIMITS)
    lower, upper = found.limits
    numbers = (found.bias, found.sd, lower, upper, found.mae)
    intervals = ((found.bias, found.bias_margin), (lower, found.limit_margin), (upper, found.limit_margin))
    values = [_rounded(number) for number in numbers]
    ends = [[_rounded(at - margin), _rounded(at + margin)] for at, margin in intervals]
    return dict(zip(_LIMITS, [*values, *ends], strict=True))


def _shared_reason(rows: list[dict[str, Any]]) -> str:
    """The one reason why no annotator has an EF of any patient, if it is one."""
    if any(value is not None for row in rows for value in row["ef_pct"].values()):
        return ""
    reasons = {reason for row in rows for reason in row["reasons"].values()}
    return reasons.pop() if len(reasons) == 1 else ""


def _panel(pair: Mapping[str, Any]) -> PairedValues:
    one, other = pair["annotators"]
    enough = [row for row in pair["ef"] if row["n"] >= MIN_PAIRS]
    some = [row for row in pair["ef"] if row["n"]]
    best = next(iter(enough or some or pair["ef"]), {"method": "", "convention": ""})
    kind = best["method"], best["convention"]
    values = {
        patient["patient"]: row["ef_pct"]
        for patient in pair["patients"]
        for row in patient["ef"]
        if (row["method"], row["convention"]) == kind and row["ef_difference_pct"] is not None
    }
    return PairedValues(
        first=np.array([found[one] for found in values.values()], dtype=np.float64),
        second=np.array([found[other] for found in values.values()], dtype=np.float64),
        names=(one, other),
        cases=tuple(values),
        quantity=", ".join(("EF", *filter(None, kind))),
        value_unit="%",
        difference_unit="EF points",
        cases_name=_CASES,
    )


def _trust(kind: tuple[str, str]) -> tuple[int, int]:
    """Order of methods and conventions, the one to look at first first."""
    return list(Method).index(Method(kind[0])), list(Convention).index(Convention(kind[1]))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4) + 0.0  # never -0.0
