"""Public datasets: one layout per module, each giving records and the masks that belong to them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from cardiolabel.datasets import camus, camus_mhd, folder
from cardiolabel.domain import Record

__all__ = ["READERS", "Reader"]


class Reader(Protocol):
    """What a dataset's module offers."""

    def records(self, root: Path) -> list[Record]:
        """Every image of the dataset."""

    def reference_path(self, record: Record) -> Path | None:
        """The image's reference mask, where the dataset has one."""


READERS: Final[dict[str, Reader]] = {
    camus.NAME: camus,
    camus_mhd.NAME: camus_mhd,
    folder.NAME: folder,
}
