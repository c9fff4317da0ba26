"""Settings of a simulation, and its patients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cardiolabel.active_learning.selection import STRATEGIES
from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records.patient_split import HELD_BACK
from cardiolabel.system.readable_text import readable_text

_BEGUN = "simulation.json"


@dataclass(frozen=True)
class Settings:
    """Settings of a simulation.

    Parameters
    ----------
    strategies : tuple of str
    budgets : tuple of int
        Labelled patients at which a model is trained, growing.
    seeds : tuple of int
        Each draws patients, weights and batches anew; strategies share them.
    images : int
        Training images of each step from one budget to the next.
    size_px : int or None
        Side of the network's input; None for the recipe's.
    scored : int or None
        So many patients, drawn at random, a strategy that goes by scores chooses from at each step; None
        for all.
    own_start : bool
        Let each strategy choose its first patients too. Else all begin with the same ones, drawn at random,
        and with the same model.

    Raises
    ------
    DatasetError
        An unknown strategy, or budgets that do not grow.
    """

    strategies: tuple[str, ...] = tuple(STRATEGIES)
    budgets: tuple[int, ...] = (20, 40, 80)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 4000
    size_px: int | None = 128
    scored: int | None = None
    own_start: bool = False

    def __post_init__(self) -> None:
        if unknown := [name for name in self.strategies if name not in STRATEGIES]:
            raise DatasetError(f"no strategy {unknown[0]!r}; there are: {', '.join(STRATEGIES)}")
        if list(self.budgets) != sorted({*self.budgets}) or min(self.budgets, default=0) < 2:
            raise DatasetError("budgets: expected growing numbers of patients from 2, such as 10,20,40,80")

    def describe(self, recipe: str, studies: str) -> str:
        """Describe the simulation, for a page."""
        start = (
            "chosen by each strategy" if self.own_start else "drawn at random, the same for all strategies"
        )
        among = f"; choices by scores among {self.scored} patients drawn at random" if self.scored else ""
        return (
            f"Recipe {recipe} on {studies}, {self.size_px or 'full'} pixels a side, seeds"
            f" {', '.join(map(str, self.seeds))}. The first {self.budgets[0]} patients: {start}. From one"
            f" budget to the next each model goes on with {self.images} training images{among}. The model of"
            f" all patients: {self.images * len(self.budgets)} images from scratch."
        )


def pool_of(records: Sequence[Record], settings: Settings) -> tuple[list[str], list[str]]:
    """Return the patients to choose from, and the held-back ones to report on.

    Raises
    ------
    DatasetError
        There are too few of either.
    """
    reported = {record.patient for record in records if record.split in HELD_BACK}
    pool = {record.patient for record in records} - reported
    if not reported:
        raise DatasetError("no patient to report on: the manifest has no split VAL or TEST")
    if len(pool) < settings.budgets[-1]:
        raise DatasetError(
            f"a budget of {settings.budgets[-1]} patients; there are {len(pool)} to choose from"
        )
    return sorted(pool), sorted(reported)


def begin(out: Path, recipe: str, studies: Path, pool: Sequence[str], settings: Settings) -> None:
    """Store the settings of ``out``; more strategies and seeds may be added later.

    Raises
    ------
    DatasetError
        It was started with other patients, budgets, images or sizes.
    OSError
        It cannot be written.
    """
    values = asdict(settings)
    fixed = {name: values[name] for name in ("budgets", "images", "size_px", "scored", "own_start")}
    content = json.dumps(
        {"recipe": recipe, "studies": readable_text(studies.resolve().name), **fixed, "pool": list(pool)},
        indent=1,
    )
    path = out / _BEGUN
    if path.exists():
        if path.read_text(encoding="utf-8") != content + "\n":
            raise DatasetError(f"{out}: started with other settings or patients; give another --out")
        return
    with atomic(path) as draft:
        draft.write_text(content + "\n", encoding="utf-8")
