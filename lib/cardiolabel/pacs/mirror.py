"""A studies folder that follows a PACS: images that it lacks are fetched, and imported as files are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from pydicom import dcmwrite

from cardiolabel.datasets.prepare import Prepared
from cardiolabel.errors import DatasetError, GoneFromPacsError, PacsError
from cardiolabel.io.files import atomic
from cardiolabel.pacs.dicomweb import Instance, Pacs, parsed_query
from cardiolabel.pipeline.import_folder import ImportOptions, import_folder, needs_import
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.system.user_folders import state_folder

__all__ = ["Mirror", "mirror_of", "mirrored"]

_SOURCE, _FETCHED, _FILES, _LOCK = "pacs.json", "pacs_fetched.txt", "dicom", "pacs.lock"
_MOST_GB = 100.0


@dataclass(frozen=True)
class Mirror:
    """A studies folder and the PACS that it follows.

    Attributes
    ----------
    folder : Path
        The studies folder; the PACS's files are in its folder ``dicom``.
    url : str
    query : str
        Which studies; all where it is empty.
    """

    folder: Path
    url: str
    query: str = ""

    @property
    def files(self) -> Path:
        """Folder of the PACS's files, with a folder for each study and series."""
        return self.folder / _FILES

    def fetch(self, *, progress: Callable[[int, int], None] | None = None, most_gb: float = _MOST_GB) -> int:
        """Fetch the images that are not here yet; returns how many of them came.

        Each file is there whole or not at all. What was fetched once and is gone was removed here, and is not
        fetched again. What the PACS lists and does not give, such as one of two instances of one identifier,
        is left out, and asked for again the next time.

        Raises
        ------
        PacsError
            The PACS fails, or its images take more than ``most_gb``; what was fetched before stays.
        OSError
            The folder cannot be written to.
        """
        missing, refused = self._fetch(progress, most_gb)
        return missing - len(refused)

    def _fetch(
        self, progress: Callable[[int, int], None] | None, most_gb: float = _MOST_GB
    ) -> tuple[int, list[tuple[str, str]]]:
        """Fetch; returns how many images were missing, and which of them the PACS does not give."""
        home = StudiesLayout(self.folder).home
        refused: list[tuple[str, str]] = []
        home.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # the files name patients
        with FileLock(home / _LOCK):
            with atomic(home / _SOURCE) as draft:
                draft.write_text(json.dumps({"url": self.url, "query": self.query}), encoding="utf-8")
            record = home / _FETCHED
            fetched = set(record.read_text(encoding="ascii").split()) if record.is_file() else set()
            pacs = Pacs(self.url)
            listed = list(pacs.instances(parsed_query(self.query)))
            missing = [instance for instance in listed if _digest(instance) not in fetched]
            size = sum(path.stat().st_size for path in self.files.rglob("*.dcm"))
            for done, instance in enumerate(missing, start=1):
                if size > most_gb * 1e9:
                    raise PacsError(f"the images take more than {most_gb:g} GB; ask for fewer by a query")
                path = self._path(instance)
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    dataset = pacs.file(instance)
                except GoneFromPacsError as error:
                    refused.append((instance.sop_uid, str(error)))
                    continue
                with atomic(path) as draft:
                    dcmwrite(draft, dataset, enforce_file_format=True)
                with record.open("a", encoding="ascii") as lines:
                    lines.write(f"{_digest(instance)}\n")
                size += path.stat().st_size
                if progress is not None:
                    progress(done, len(missing))
            return len(missing), refused

    def take(self, options: ImportOptions, *, progress: Callable[[int, int], None] | None = None) -> Prepared:
        """Fetch what is missing and import it.

        Raises
        ------
        DatasetError
            The PACS has no image for this query that can be used.
        PacsError, OSError
            As `fetch`; what is here already is imported first.
        """
        refused: list[tuple[str, str]] = []
        try:
            refused = self._fetch(progress)[1]
        finally:
            if needs_import(self.folder):
                prepared = import_folder(self.folder, self.folder, options)
            else:
                prepared = Prepared(0, 0, ())
        if not prepared.images:
            reason = f": {prepared.skipped[0][1]}" if prepared.skipped else ""
            raise DatasetError(f"{self.url}: no ultrasound or short-axis MR image for this query{reason}")
        return replace(prepared, skipped=(*prepared.skipped, *refused))

    def _path(self, instance: Instance) -> Path:
        return self.files / instance.study_uid / instance.series_uid / f"{instance.sop_uid}.dcm"


def mirror_of(url: str, query: str = "") -> Mirror:
    """Return the mirror of a PACS in the user's folder for states; errors as `state_folder`."""
    digest = hashlib.sha256(f"{url.rstrip('/')}\n{query}".encode()).hexdigest()[:16]
    return Mirror(state_folder() / "pacs" / digest, url.rstrip("/"), query)


def mirrored(folder: Path) -> Mirror | None:
    """Return the mirror that a studies folder is; None for one that follows no PACS."""
    try:
        content = json.loads((StudiesLayout(folder).home / _SOURCE).read_text(encoding="utf-8"))
        return Mirror(folder, str(content["url"]), str(content["query"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(instance: Instance) -> str:
    """Return a name of an image that does not tell it, as it stays when the image is deleted for good."""
    identity = f"{instance.study_uid}/{instance.series_uid}/{instance.sop_uid}"
    return hashlib.sha256(identity.encode()).hexdigest()
