"""Images in the form in which 3D Slicer opens them."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import ImageContentError, ImageReadError, InputError
from cardiolabel.io.files import atomic
from cardiolabel.io.grid import Grid
from cardiolabel.io.images import read_image_grid
from cardiolabel.io.shown_grid import copy_bytes, is_cine, opens_as_shown, shown_grid
from cardiolabel.records.layout import SUFFIX, StudiesLayout
from cardiolabel.studies.studies import Studies
from cardiolabel.system.file_cache import BoundedCache, FileState, file_state
from cardiolabel.system.user_folders import cache_folder
from lib.files import masks

logger = logging.getLogger(__name__)

_IMAGES = 10_000
"""Number of images whose checksums are remembered."""


@dataclass(frozen=True, eq=False)
class ViewerImage:
    """The file that a viewer opens for an image.

    Parameters
    ----------
    path : Path
        In a folder of its own, under a name of letters only.
    checksum : str
        ``SHA512:`` and the digest of what a download of the image gives.
    is_copy : bool
        Whether it differs from the image's own file.
    """

    path: Path
    checksum: str
    is_copy: bool


class ViewerImages:
    """Files that viewers open, one folder per image, made on demand.

    3D Slicer reads all files of a folder whose names differ only in numbers as one volume, and a viewer on
    another machine reuses a download of the same name. File names here are letters that depend on the image's
    id and content. Mostly a file is a link to the image; where viewers would show that in another geometry
    than `cardiolabel.io.shown_grid`, it is a copy.

    Parameters
    ----------
    studies : Studies
    read_only : bool
        Whether nothing may be written into the studies folder; they are then in the user's cache folder.
    """

    def __init__(self, studies: Studies, *, read_only: bool = False) -> None:
        self._studies, self._read_only = studies, read_only
        self._images: BoundedCache[ViewerImage] = BoundedCache(_IMAGES, size_of=lambda _: 1)

    def grid(self, record: Record) -> Grid:
        """Return the geometry in which viewers show an image; errors as `read_image_grid`."""
        grid = read_image_grid(record.path)
        return shown_grid(grid, cine=is_cine(record, grid))

    def opens_itself(self, record: Record) -> bool:
        """Return whether viewers open the image's own file, not a copy in another geometry."""
        try:
            grid = read_image_grid(record.path)
        except (InputError, OSError):
            return True  # the client that opens it is told what is wrong with it
        if record.is_stack and len(grid.shape) == 3:
            return True
        return opens_as_shown(grid, cine=is_cine(record, grid))

    def get(self, record: Record) -> ViewerImage:
        """Return the file that a viewer opens for the present image.

        Raises
        ------
        OSError
            The image is not there any more, or the disk is full.
        """
        state = file_state(record.path)
        key = record.image_id, record.view, record.phase, state
        image = self._images.get(key, lambda: self._make(record, state))
        return image if image.path.is_file() else self._make(record, state)

    def remove(self, image_id: str) -> None:
        """Remove the viewers' files of a removed image."""
        for home in self._homes:
            shutil.rmtree(home / image_id, ignore_errors=True)

    def _make(self, record: Record, state: FileState) -> ViewerImage:
        is_copy = not self.opens_itself(record)
        for home in self._homes:
            folder = home / record.image_id
            try:
                if is_copy:
                    with suppress(ImageReadError, ImageContentError):  # its own file tells what is wrong
                        return self._copy(record, state, folder)
                return self._link(record, folder)
            except OSError as error:
                logger.warning("no viewer's file in %s: %s", home, error.strerror)
        raise OSError(f"{record.image_id}: no folder can take what a viewer opens")

    @cached_property
    def _homes(self) -> tuple[Path, ...]:
        """Return possible folders of viewers' files, the preferred first."""
        studies = self._studies.folder.resolve()
        viewer = cache_folder() / "viewer"
        with suppress(OSError):
            viewer.mkdir(parents=True, exist_ok=True, mode=0o700)
        cache = viewer / hashlib.sha256(os.fsencode(studies)).hexdigest()[:16]
        return (cache,) if self._read_only else (StudiesLayout(studies).viewer_images, cache)

    def _link(self, record: Record, folder: Path) -> ViewerImage:
        source = record.path.resolve()
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").hexdigest()
        path = folder / _name(record.image_id, digest, masks.suffix(source.name) or source.suffix)
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            path.unlink(missing_ok=True)
            try:
                # Relative within the studies folder, which other machines may see under another name.
                studies = self._studies.folder.resolve()
                is_near = source.is_relative_to(studies) and folder.is_relative_to(studies)
                path.symlink_to(os.path.relpath(source, folder) if is_near else source)
            except OSError:  # a file system without links
                with atomic(path) as draft:
                    shutil.copyfile(source, draft)
        _remove_others(path)
        return ViewerImage(path, f"SHA512:{digest}", is_copy=False)

    def _copy(self, record: Record, state: FileState, folder: Path) -> ViewerImage:
        _, modified_ns, _ = state
        for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
            # A copy has the time of what it was made of.
            if not path.is_symlink() and path.stat().st_mtime_ns == modified_ns:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha512").hexdigest()
                if path.name == _name(record.image_id, digest, SUFFIX):
                    return ViewerImage(path, f"SHA512:{digest}", is_copy=True)
        with self._studies.memory(record):
            content = copy_bytes(self._studies.image(record), self.grid(record))
        digest = hashlib.sha512(content).hexdigest()
        path = folder / _name(record.image_id, digest, SUFFIX)
        with atomic(path) as draft:
            draft.write_bytes(content)
            os.utime(draft, ns=(modified_ns, modified_ns))
        _remove_others(path)
        return ViewerImage(path, f"SHA512:{digest}", is_copy=True)


def _name(image_id: str, digest: str, suffix: str) -> str:
    """Return a file name without digits that identifies an image and its content.

    >>> _name("patient0001_4CH_ED", "0f", ".nii.gz")
    'patient_CH_ED_fhpwrzkutkngnbox.nii.gz'
    """
    words = re.sub("[^A-Za-z]+", "_", image_id).strip("_")[:60]
    content = hashlib.sha256(f"{image_id} {digest}".encode()).digest()[:16]
    letters = "".join(chr(ord("a") + byte % 26) for byte in content)
    return "_".join(filter(None, (words, letters))) + suffix


def _remove_others(path: Path) -> None:
    """Remove the files of an image's earlier contents."""
    for file in path.parent.iterdir():
        if file != path and not file.name.startswith("."):
            with suppress(OSError):
                file.unlink()
