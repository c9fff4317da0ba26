"""Memory that a patient's images take, and the images for which it does not suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cardiolabel.domain import Phase, Record
from cardiolabel.errors import InputError
from cardiolabel.inference.image_cost import ImageCost, image_cost
from cardiolabel.inference.predictor import FRAMES_AT_ONCE
from cardiolabel.io.images import read_image_grid
from cardiolabel.system.memory_budget import MB, budget

__all__ = ["PatientMemory", "is_predicted_together"]


@dataclass(frozen=True)
class PatientMemory:
    """Memory needed to measure a patient.

    Attributes
    ----------
    needed : int
        Bytes at most.
    left_out : dict of str to str
        Images that there is no room for, and why.
    """

    needed: int
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Sequence[Record], *, first: str = "") -> PatientMemory:
        """Estimate the memory for these images; the one of id ``first`` gets its room before the others.

        An image with an unreadable header takes nothing; reading it raises the error.
        """
        left_out: dict[str, str] = {}
        lasting = waiting = passing = cleaning = 0
        for record in sorted(records, key=lambda record: record.image_id != first):
            try:
                cost = image_cost(record.path)
            except (InputError, OSError):
                continue
            together = cost.passing - cost.cleaning if is_predicted_together(record) else 0
            needed = (
                lasting
                + cost.lasting
                + waiting
                + together
                + max(passing, cost.passing)
                + max(cleaning, cost.cleaning if together else 0)
            )
            is_alone = not lasting and cost.passing <= budget.limit_bytes
            if needed > budget.limit_bytes and not is_alone:
                left_out[record.image_id] = _reason(cost)
                continue
            lasting, waiting = lasting + cost.lasting, waiting + together
            passing = max(passing, cost.passing)
            cleaning = max(cleaning, cost.cleaning if together else 0)
        return cls(min(lasting + waiting + passing + cleaning, budget.limit_bytes), left_out)


def is_predicted_together(record: Record) -> bool:
    """Return whether an image is predicted in one batch with others of its patient: not if it has many
    frames.
    """
    if record.phase is Phase.CINE:
        return False
    try:
        return read_image_grid(record.path).frames_shape[0] <= FRAMES_AT_ONCE
    except (InputError, OSError):
        return False


def _reason(cost: ImageCost) -> str:
    limit = f"expected at most {budget.limit_bytes / MB:.0f} MB"
    if cost.passing > budget.limit_bytes:
        return f"needs {cost.passing / MB:.0f} MB of memory by its header; {limit}"
    return f"there is no memory for it beside the patient's other images; {limit} together"
