"""MONAI Label's local datastore, with every image and label checked before it is stored."""

from __future__ import annotations

import re
import tempfile
import threading
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from cardiolabel.datasets import file_names
from cardiolabel.domain import CAMUS_LABELS
from cardiolabel.errors import ImageContentError
from cardiolabel.io import nifti
from lib import masks
from lib.errors import refused

IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class StudiesDatastore(LocalDatastore):
    """A studies folder.

    Parameters
    ----------
    folder : str
        The studies folder; MONAI Label's index and ``labels/`` are made in it.
    auto_reload, read_only : bool
        As `LocalDatastore`.
    """

    def __init__(self, folder: str, *, auto_reload: bool, read_only: bool) -> None:
        extensions = [f"*{suffix}" for suffix in nifti.SUFFIXES]
        self._writing = threading.RLock()
        super().__init__(folder, extensions=extensions, auto_reload=auto_reload, read_only=read_only)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store a new image under an id that can be a file name anywhere."""
        if not IMAGE_ID.fullmatch(image_id or ""):
            raise refused(422, "bad_name", f"image id {image_id!r}: expected letters, digits and ._-")
        nifti.read(Path(image_filename))
        return str(super().add_image(image_id, image_filename, image_info))

    def save_label(
        self, image_id: str, label_filename: str | Path, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Store a label as ``.nii.gz`` with the shape and the affine of its image.

        Raises
        ------
        ImageReadError, ImageContentError
            The label is not a mask of this image; nothing is stored.
        """
        uri = self.get_image_uri(image_id)
        if not uri:
            raise ImageNotFoundException(f"no image {image_id!r} in this studies folder")
        image = nifti.read(Path(uri))
        frames = masks.read(Path(label_filename), CAMUS_LABELS, grid=image.grid)
        if frames.shape != image.clip.shape:
            raise ImageContentError(
                f"a label of {_axes(frames.shape)} for {image_id}; expected {_axes(image.clip.shape)}"
            )
        with tempfile.TemporaryDirectory() as folder:
            stored = Path(folder) / f"{image_id}.nii.gz"
            nifti.write_mask_like(frames, stored, grid=image.grid)
            with self._writing:
                return str(super().save_label(image_id, str(stored), label_tag, label_info))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """As stock, from one thread at a time."""
        with self._writing:
            super().update_label_info(label_id, label_tag, info)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """As stock, without hidden files and reference masks that lie beside their images."""
        files = super()._list_files(path, patterns)
        return {name: file for name, file in files.items() if file_names.is_image_name(Path(name))}


def _axes(shape: tuple[int, ...]) -> str:
    frames, rows, cols = shape
    return f"{frames} frames of {rows} x {cols}"
