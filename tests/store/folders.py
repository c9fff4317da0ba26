"""Studies folders without pixels, as the store never opens an image, and masks that tell who wrote them."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cardiolabel.domain import Phase, Record, View
from cardiolabel.records.layout import FINAL
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Version
from cardiolabel.store.writer import Save

VIEWS = ("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")
"""A patient's images, in the folder's order."""


def image_ids(count: int) -> list[str]:
    """So many images, four to a patient."""
    return [f"p{index // len(VIEWS):04d}_{VIEWS[index % len(VIEWS)]}" for index in range(count)]


def mask(text: str, *, size: int = 3000) -> bytes:
    """A gzip file that says who wrote it; torn or mixed with another it does not pass `text_of`."""
    return gzip.compress(text.encode() + b"\n" + _filling(text, size), compresslevel=1, mtime=0)


def text_of(path: Path) -> str:
    """Who wrote a mask; raises where the file is not whole."""
    text, _, filling = gzip.decompress(path.read_bytes()).partition(b"\n")
    assert filling == _filling(text.decode(), len(filling)) and filling, f"{path}: mixed content"
    return text.decode()


def _filling(text: str, size: int) -> bytes:
    return random.Random(text).randbytes(size)  # noqa: S311 - a pattern, not a secret


def record(image_id: str, path: Path) -> Record:
    """The record of an image whose id begins with its patient."""
    return Record(image_id, image_id.split("_")[0], View.UNKNOWN, Phase.ED, "made", path)


class Folder:
    """A studies folder with some images, and the stores that a test opens on it.

    Parameters
    ----------
    path : Path
        Made where it does not exist.
    url : str or None
        Database of its stores.
    """

    def __init__(self, path: Path, *, url: str | None = None) -> None:
        self.path, self.url = path, url
        self.path.mkdir(parents=True, exist_ok=True)
        self._stores: list[Store] = []
        self._known: Mapping[str, Record] = {}
        self._lock = threading.Lock()

    def add(self, image_ids: Iterable[str]) -> None:
        """Put images there."""
        for image_id in image_ids:
            self.image(image_id).write_bytes(b"an image")

    def image(self, image_id: str) -> Path:
        """Where an image is."""
        return self.path / f"{image_id}.nii.gz"

    def label(self, image_id: str, tag: str = FINAL) -> Path:
        """Where everybody looks for a label."""
        return self.path / "labels" / tag / f"{image_id}.nii.gz"

    def drop(self, image_id: str, text: str, tag: str = FINAL) -> Path:
        """Write a label as another program does: in place."""
        path = self.label(image_id, tag)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mask(text))
        return path

    def records(self) -> Mapping[str, Record]:
        """As `cardiolabel.studies.studies.Studies.by_id`, without what reads pixels."""
        with self._lock:
            result = {path.name.removesuffix(".nii.gz"): path for path in sorted(self.path.glob("*.nii.gz"))}
            if result.keys() != self._known.keys():
                self._known = {image_id: record(image_id, path) for image_id, path in result.items()}
            return self._known

    def open(
        self, *, watch: bool = False, records: Callable[[], Mapping[str, Record]] | None = None
    ) -> Store:
        """A store on the folder, as one server has it."""
        store = Store(self.path, records=records or self.records, url=self.url, watch=watch)
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Close every store."""
        while self._stores:
            self._stores.pop().close()

    def visible(self) -> list[str]:
        """Files that people see under ``labels/``."""
        labels = self.path / "labels"
        paths = (path for path in labels.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(labels).as_posix() for path in paths)

    def hidden(self) -> list[str]:
        """Drafts and staged files, of which none should be left where nothing was killed."""
        drafts = self.path / ".cardiolabel" / "drafts"
        labels = self.path / "labels"
        return sorted(path.name for path in (*drafts.glob("*"), *labels.rglob(".*")) if path.is_file())

    def archived(self) -> int:
        """How many files of versions are kept."""
        return sum(path.is_file() for path in (self.path / ".cardiolabel" / "versions").rglob("*.nii.gz"))


def save(
    store: Store, image_id: str, text: str, author: str = "", *, tag: str = FINAL, **more: Any
) -> Version:
    """Store a mask that says ``text``."""
    return store.writer.save(
        image_id, tag, lambda path: path.write_bytes(mask(text)), Save(author=author, **more)
    )


def texts(store: Store, image_id: str, tag: str = FINAL) -> list[str]:
    """What every version of a label says, the oldest first."""
    return [
        text_of(store.version(image_id, tag, version.number)[1]) for version in store.history(image_id, tag)
    ]
