"""Public datasets: one layout per module, each giving records and the masks that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from cardiolabel.datasets import acdc, camus, camus_mhd, echonet, folder, sunnybrook
from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.domain import Record

__all__ = ["READERS", "Files"]


class Files(Protocol):
    """What the module of a dataset offers whose images and masks are NIfTI or MetaImage files."""

    def records(self, root: Path) -> list[Record]:
        """Every image of the dataset."""

    def reference_path(self, record: Record) -> Path | None:
        """The image's reference mask, where the dataset has one."""


def _files(dataset: Files, root: Path) -> Listing:
    return Listing(
        tuple(Entry(record, record.path, dataset.reference_path(record)) for record in dataset.records(root))
    )


READERS: Final[dict[str, Callable[[Path], Listing]]] = {
    camus.NAME: partial(_files, camus),
    camus_mhd.NAME: partial(_files, camus_mhd),
    folder.NAME: partial(_files, folder),
    acdc.NAME: acdc.listing,
    sunnybrook.NAME: sunnybrook.listing,
    echonet.NAME: echonet.listing,
}
"""Names of datasets, and what lists one that lies in a folder."""
