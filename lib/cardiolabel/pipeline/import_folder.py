"""Import of what scanners and PACS export (DICOM, videos, pictures) as NIfTI images of a studies folder.

The files stay where and as they are. The studies folder notes what was imported, so that nothing is read
again as long as the files stay the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cardiolabel.datasets import dicom, folder
from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.datasets.prepare import Prepared, place
from cardiolabel.errors import DatasetError
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image_grid
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pipeline.recognised_views import recognise_views
from cardiolabel.pipeline.short_axis_phases import phase_choice
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.pseudonyms import pseudonym_key

__all__ = [
    "ImportOptions",
    "files_state",
    "import_dicom",
    "import_folder",
    "imported_files",
    "is_imported",
    "needs_import",
]


Slices = tuple[tuple[Path, int | None], ...]
"""File of an ultrasound image, or of each slice of a stack with its frame (from 0) in a file of several."""


@dataclass(frozen=True)
class ImportOptions:
    """How files are imported.

    Parameters
    ----------
    models : ModelFolders
        Where the models lie that find ED and ES of short-axis cines, and recognise views.
    keep_names : bool
        Use the patient ids of DICOM files as they are, not pseudonyms.
    mm_per_pixel : float or None
        Side of a square pixel in mm, for files that state no size.
    """

    models: ModelFolders
    keep_names: bool = False
    mm_per_pixel: float | None = None


def needs_import(folder_path: Path) -> bool:
    """Return whether a folder, or a subfolder, holds DICOM files, videos, pictures or MetaImage files."""
    return any(True for _ in _files(folder_path))


def files_state(folder_path: Path) -> str:
    """Return a digest that changes with the files that `needs_import` looks for."""
    return _state(list(_files(folder_path)), folder_path)


def is_imported(folder_path: Path, options: ImportOptions) -> bool:
    """Return whether a folder was imported into itself and has not changed since."""
    earlier = _Earlier.read(folder_path)
    return earlier is not None and earlier.is_same(files_state(folder_path), options)


def imported_files(folder_path: Path) -> dict[str, Slices]:
    """Return the DICOM files within a studies folder that its images come from, by image id.

    Raises
    ------
    DatasetError
        The folder's note of them is damaged.
    """
    earlier = _Earlier.read(folder_path)
    if earlier is None:
        return {}
    return {
        image_id: tuple((folder_path / name, frame) for name, frame in slices)
        for image_id, slices in earlier.slices.items()
    }


def import_dicom(
    source: Path,
    dest: Path,
    options: ImportOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write the DICOM images of a folder into another; parameters and errors as `import_folder`."""
    if dest.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"{dest} is inside {source}; choose a folder outside it")
    placed = place(_dicom_listing(source, options), source, dest, has_own_ids=True, progress=progress)
    return replace(placed, notes=(*placed.notes, *recognise_views(dest, options.models.shipped)))


def import_folder(
    source: Path,
    dest: Path,
    options: ImportOptions,
    *,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write every image of a folder that is not NIfTI into a studies folder.

    Nothing is read again while the files stay the same. An image that was imported before and is gone from
    ``dest`` was removed there, and stays so. Patients are called as in the first import into ``dest``.

    Parameters
    ----------
    source : Path
        The folder, which is only read.
    dest : Path
        The studies folder; it may be ``source`` itself. Into another folder, the NIfTI images directly in
        ``source`` are copied too.
    options : ImportOptions
    again : bool
        Look at all files, even if none has changed, and at NIfTI images in subfolders as well.
    progress : callable, optional
        Called with images done and images in all.

    Returns
    -------
    Prepared
        Files that hold no usable image are in ``skipped``, with the reason.

    Raises
    ------
    DatasetError, ManifestError
        ``source`` holds no image, or ``dest`` cannot be made or has a malformed manifest.
    InputError, OSError
        The key of the pseudonyms is damaged or cannot be made.
    """
    files = list(_files(source))
    state, earlier = _state(files, source), _Earlier.read(dest)
    if earlier is not None:
        options = replace(options, keep_names=earlier.keep_names)
        if not again and earlier.is_same(state, options):
            return earlier.result
    listings = list(_listings(source, dest, files, options, nested=again))
    if not listings:
        raise DatasetError(f"{source}: found no image; expected NIfTI, DICOM, video or picture files")
    ids = frozenset() if again or earlier is None else earlier.ids
    placed = [
        place(
            _without_removed(listing, ids, dest),
            source,
            dest,
            has_own_ids=has_own_ids,
            mm_per_pixel=options.mm_per_pixel,
            progress=progress,
        )
        for listing, has_own_ids in listings
    ]
    if options.mm_per_pixel is not None:
        _give_size(dest, options.mm_per_pixel)
    result = Prepared(
        images=sum(part.images for part in placed),
        labels=sum(part.labels for part in placed),
        skipped=tuple(pair for part in placed for pair in part.skipped),
        notes=(
            *(pair for part in placed for pair in part.notes),
            *recognise_views(dest, options.models.shipped),
        ),
    )
    new_ids = ids | {record.image_id for record in manifest.read(dest)}
    sources = {
        entry.record.image_id: _places(entry, source, dest)
        for listing, has_own_ids in listings
        for entry in (listing.entries if has_own_ids else ())
    }
    slices = {
        entry.record.image_id: [
            (path.relative_to(source).as_posix(), frame)
            for path, frame in entry.slices or ((entry.record.path, None),)
        ]
        for listing, has_own_ids in listings
        for entry in (listing.entries if has_own_ids and source.resolve() == dest.resolve() else ())
    }
    if earlier is not None:
        sources, slices = {**earlier.sources, **sources}, {**earlier.slices, **slices}
    _Earlier(state, options.keep_names, options.mm_per_pixel, new_ids, result, sources, slices).write(dest)
    return result


def _places(entry: Entry, source: Path, dest: Path) -> list[str]:
    """Return the files within the studies folder that an image comes from, relative to it."""
    if source.resolve() != dest.resolve():
        return []
    return [path.relative_to(source).as_posix() for path in entry.files or (entry.record.path,)]


def _without_removed(listing: Listing, ids: frozenset[str], dest: Path) -> Listing:
    """Leave out images that were imported before and are gone."""
    entries = tuple(
        entry
        for entry in listing.entries
        if (image_id := entry.record.image_id) not in ids or StudiesLayout(dest).image(image_id).exists()
    )
    return Listing(entries, listing.problems, listing.notes)


def _give_size(dest: Path, mm_per_pixel: float) -> None:
    """Write the size into the rows of all images whose files state none."""
    rows = manifest.read(dest)
    sized = [
        replace(row, mm_per_pixel=mm_per_pixel)
        if row.mm_per_pixel != mm_per_pixel
        and row.path.is_file()
        and read_image_grid(row.path).spacing is None
        else row
        for row in rows
    ]
    manifest.write(sized, dest)


def _listings(
    source: Path, dest: Path, files: list[Path], options: ImportOptions, *, nested: bool
) -> Iterator[tuple[Listing, bool]]:
    """Yield what is to be imported, and whether its ids depend on the images alone."""
    if any(dicom.is_dicom_file(path) for path in files):
        yield _dicom_listing(source, options), True
    others = folder.listing(source, is_empty_allowed=True)
    is_same = dest.resolve() == source.resolve()
    entries = tuple(
        entry
        for entry in others.entries
        if not nifti.is_nifti(path := entry.record.path)
        or (not is_same and (nested or path.parent == source))
    )
    others = Listing(entries, others.problems)
    if others.entries or others.problems:
        yield others, False


def _dicom_listing(source: Path, options: ImportOptions) -> Listing:
    key, phases = pseudonym_key(), phase_choice(options.models)
    return dicom.listing(source, key=key, choose_phases=phases, keep_names=options.keep_names)


def _files(source: Path) -> Iterator[Path]:
    for path in folder.files(source):
        if not nifti.is_nifti(path) and (folder.is_image_file(path) or dicom.is_dicom_file(path)):
            yield path


def _state(files: list[Path], source: Path) -> str:
    """Return a digest that changes with the files."""
    parts = [
        (path.relative_to(source).as_posix(), status.st_size, status.st_mtime_ns)
        for path in files
        for status in (path.stat(),)
    ]
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class _Earlier:
    """An import into a studies folder, as the folder notes it."""

    state: str
    keep_names: bool
    mm_per_pixel: float | None
    ids: frozenset[str]
    result: Prepared
    sources: dict[str, list[str]] = field(default_factory=dict)
    slices: dict[str, list[tuple[str, int | None]]] = field(default_factory=dict)

    def is_same(self, state: str, options: ImportOptions) -> bool:
        return self.state == state and options.mm_per_pixel in (None, self.mm_per_pixel)

    @classmethod
    def read(cls, dest: Path) -> _Earlier | None:
        """Return the note; None where there is none.

        Raises
        ------
        DatasetError
            It is damaged. Without it, patients could be imported again under other names.
        """
        path = StudiesLayout(dest).imported
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            pairs = [
                tuple((str(place), str(reason)) for place, reason in content[name])
                for name in ("skipped", "notes")
            ]
            # A note without slices is of an earlier version: the files are looked at once more.
            return cls(
                str(content["state"]) if "slices" in content else "",
                bool(content["keep_names"]),
                content["mm_per_pixel"],
                frozenset(map(str, content["ids"])),
                Prepared(int(content["images"]), int(content["labels"]), pairs[0], pairs[1]),
                {str(key): list(map(str, paths)) for key, paths in content.get("sources", {}).items()},
                {
                    str(key): [(str(name), None if frame is None else int(frame)) for name, frame in slices]
                    for key, slices in content.get("slices", {}).items()
                },
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}: cannot be read ({error}); restore it") from error

    def write(self, dest: Path) -> None:
        content = {
            "state": self.state,
            "keep_names": self.keep_names,
            "mm_per_pixel": self.mm_per_pixel,
            "ids": sorted(self.ids),
            "sources": self.sources,
            "slices": self.slices,
            **asdict(self.result),
        }
        with atomic(StudiesLayout(dest).imported) as draft:
            draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
