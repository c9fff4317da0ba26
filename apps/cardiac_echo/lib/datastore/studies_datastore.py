"""MONAI Label's datastore interface over `cardiolabel.store`."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore
from numpy.typing import NDArray

from cardiolabel.errors import UnknownLabelError
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.records.layout import FINAL, ORIGINAL
from cardiolabel.store import datastore_v2
from cardiolabel.store.writer import Save
from cardiolabel.studies.corrections import Correction
from lib.datastore import label_fields
from lib.datastore.notes import (
    IMAGE_FIELDS,
    LABEL_FIELDS,
    checked_notes,
    writable_tag,
)
from lib.datastore.study_images import StudyImages
from lib.files import temporary
from lib.security.roles import Role, require, sender_name
from lib.server.engine import Engine
from lib.server.errors import refused


class StudiesDatastore(Datastore):
    """Datastore of a studies folder: plain files, with records in a database.

    Parameters
    ----------
    engine : Engine
        The studies and their store.
    read_only : bool
        Refuse every change.

    Attributes
    ----------
    images : StudyImages
        Changes of images.
    """

    def __init__(self, engine: Engine, *, read_only: bool = False) -> None:
        self._engine, self._store, self._studies = engine, engine.store, engine.studies
        self.images = StudyImages(engine, read_only=read_only)

    def name(self) -> str:
        """Return the studies folder's name."""
        return self._studies.folder.name

    def set_name(self, name: str) -> None:
        """Refuse: the folder has its name."""
        raise refused(422, "unsupported", "the datastore has its folder's name; rename the folder")

    def description(self) -> str:
        """Return a description of this datastore."""
        return "Cardiac studies"

    def set_description(self, description: str) -> None:
        """Refuse, as nothing shows it."""
        raise refused(422, "unsupported", "the datastore has no description of its own")

    def datalist(self) -> list[dict[str, Any]]:
        """Return ``image`` and ``label`` paths of every image with a final label."""
        records = self._studies.by_id()
        return [
            {
                "image": str(records[label.image_id].path),
                "label": str(self._store.label_path(label.image_id, FINAL)),
            }
            for label in self._store.all_labels(FINAL)
            if label.image_id in records
        ]

    def relative_datalist(self) -> list[dict[str, str]]:
        """Return `datalist` with paths relative to the studies folder."""
        folder = self._studies.folder
        return [
            {kind: Path(path).relative_to(folder).as_posix() for kind, path in case.items()}
            for case in self.datalist()
        ]

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Return the tags of an image's labels, each with the label's id, which is the image's."""
        return {label.tag: image_id for label in self._store.labels(image_id)}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Return the label's id, which is the image's, or nothing."""
        return image_id if tag in self.get_labels_by_image_id(image_id) else ""

    def get_image(self, image_id: str, params: Any = None) -> bytes:
        """Return the image's file."""
        return self._studies.record(image_id).path.read_bytes()

    def get_image_uri(self, image_id: str) -> str:
        """Return the image's path; nothing for an unknown id."""
        record = self._studies.by_id().get(image_id)
        return str(record.path) if record else ""

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> bytes:
        """Return the label's file."""
        return Path(self._label_uri(label_id, label_tag)).read_bytes()

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the label's path; nothing where there is no such label."""
        current = self._store.label(label_id, label_tag)
        return str(self._store.label_path(label_id, label_tag)) if current else ""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return an image's data and its notes."""
        record = self._studies.record(image_id)
        return {**self._store.image_info(image_id), **datastore_v2.image_info(record)}

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """Return author, time and version of a label, the patient's measurements with it, and its notes."""
        current = self._store.label(label_id, label_tag)
        if current is None:
            raise UnknownLabelError(f"{label_id}: there is no label {label_tag!r}")
        info = label_fields.with_label_names(
            datastore_v2.label_info(current), self._studies.by_id().get(label_id)
        )
        return {**info, "measurement": self._store.measurement(current)}

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images with a final label."""
        return self._store.image_ids(is_open=False)

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Return the images without a final label."""
        return self._store.image_ids(is_open=True)

    def list_images(self) -> list[str]:
        """Return all images."""
        return self._store.image_ids()

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return a ZIP file of every labelled image, its label and the records; the caller removes it."""
        require(Role.ADMIN)
        cases = self.datalist()
        if not cases:
            raise refused(404, "no_labels", "no image has a final label yet")
        handle = tempfile.NamedTemporaryFile(dir=temporary.home(), suffix=".zip", delete=False)
        try:
            with handle, zipfile.ZipFile(handle, mode="w") as archive:
                for case in cases[: limit_cases if limit_cases and limit_cases > 0 else None]:
                    for kind, path in case.items():
                        archive.write(path, arcname=f"{kind}/{Path(path).name}")
                archive.writestr("metadata.json", json.dumps(self.json(), default=str))
        except OSError:
            Path(handle.name).unlink(missing_ok=True)
            raise
        return handle.name

    def refresh(self) -> None:
        """Compare every file with its record."""
        self._store.sync.refresh()

    def add_image(self, image_id: str, image_filename: str | Path, image_info: dict[str, Any]) -> str:
        """Store a new image; returns its id. Parameters and errors as `StudyImages.add`."""
        return self.images.add(image_id, Path(image_filename), image_info or {}).image_id

    def remove_image(self, image_id: str, *, author: str = "") -> None:
        """Remove an image and its labels; the labels' versions and the image's checksum are kept."""
        self.images.remove(image_id, author=author)

    def save_label(
        self, image_id: str, label_filename: str | Path, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Save a label with MONAI Label's arguments, as `save`; returns the label's id, which is the
        image's.
        """
        self.save(image_id, Path(label_filename), label_tag, info=label_info or {})
        return image_id

    def save(
        self,
        image_id: str,
        file: Path,
        tag: str,
        *,
        info: dict[str, Any],
        author: str = "",
        base: int | None = None,
        model: dict[str, Any] | None = None,
    ) -> Correction:
        """Check a mask file, store it as ``.nii.gz`` with its image's shape and affine, and measure.

        Parameters
        ----------
        info : dict
            What the client says of the label; ``allow_empty`` in it takes a mask without labelled pixels,
            ``label_info`` names the values of a file whose segments are numbered in another way.
        author : str
            Who drew it; else the client's ``client_id``.
        base : int or None
            Version that the author had opened; else the client's ``base_version``.
        model : dict, optional
            The model that drew it; by default the one that is served for the image's view.

        Raises
        ------
        As `cardiolabel.studies.corrections.Corrections.save`.
        """
        self.images.allow_change(Role.ANNOTATOR)
        record = self._studies.record(image_id)
        writable_tag(tag)
        with self._studies.memory(record):
            frames = read_mask_on(
                file,
                self._studies.image(record).grid,
                record.labels,
                stack=record.is_stack,
                segments=label_fields.segment_names(checked_notes(info, LABEL_FIELDS).get("label_info")),
                alone=True,
            )
            return self.save_frames(image_id, frames, tag, info=info, author=author, base=base, model=model)

    def save_frames(
        self,
        image_id: str,
        frames: NDArray[np.uint8],
        tag: str,
        *,
        info: dict[str, Any],
        author: str = "",
        base: int | None = None,
        model: dict[str, Any] | None = None,
        reading: str = "",
    ) -> Correction:
        """Store masks ``(T, H, W)`` of an image and measure; parameters and errors as `save`.

        ``reading`` names a repeat reading, which is stored beside the label.
        """
        self.images.allow_change(Role.ANNOTATOR)
        record = self._studies.record(image_id)
        writable_tag(tag)
        notes = checked_notes(info, LABEL_FIELDS)
        with self._studies.memory(record):
            allow_empty = notes.pop("allow_empty", False) is True
            base_version = label_fields.base_version(notes.pop("base_version", None))
            author = sender_name() or author or str(notes.get("client_id") or "")[:200]
            base = base_version if base is None else base
            save = Save(author=author, base=base, model=model, info=notes, reading=reading)
            corrections = self._engine.corrections
            return corrections.save(image_id, frames, tag=tag, save=save, allow_empty=allow_empty)

    def save_prediction(self, image_id: str, frames: NDArray[np.uint8], *, model: dict[str, Any]) -> None:
        """Store predicted masks ``(T, H, W)``, beside any final label.

        Raises
        ------
        As `cardiolabel.studies.corrections.Corrections.save`.
        """
        self.images.allow_change(Role.ANNOTATOR)
        save = Save(author=sender_name(), base=None, model=model, info={})
        self._engine.corrections.save(
            image_id, frames, tag=ORIGINAL, save=save, allow_empty=True, measure=False
        )

    def roll_back(self, image_id: str, number: int, tag: str) -> Correction:
        """Make an earlier version the current one, as `Corrections.roll_back`."""
        self.images.allow_change(Role.ANNOTATOR)
        save = Save(author=sender_name())
        return self._engine.corrections.roll_back(image_id, number, tag=writable_tag(tag), save=save)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label; its versions are kept."""
        self.images.allow_change(Role.ADMIN)
        self._store.writer.remove_label(label_id, label_tag)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add notes to an image."""
        self.images.allow_change(Role.ANNOTATOR)
        notes = self._store.image_info(self._studies.record(image_id).image_id)
        self._store.update_image_info(image_id, checked_notes(info, IMAGE_FIELDS, beside=notes))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add notes to a label."""
        self.images.allow_change(Role.ANNOTATOR)
        current = self._store.label(label_id, writable_tag(label_tag))
        notes = checked_notes(info, LABEL_FIELDS, beside=current.info if current else None)
        self._store.update_label_info(label_id, label_tag, notes)

    def status(self) -> dict[str, Any]:
        """Return the number of images, of those with a final label, and of labels by tag."""
        total, tags = self._store.counted()
        return {"total": total, "completed": tags.get(FINAL, 0), "label_tags": tags}

    def json(self) -> dict[str, Any]:
        """Return the whole datastore in the form of MONAI Label's ``datastore_v2.json``."""
        records = self._studies.by_id()
        document = datastore_v2.document(
            self.name(), records.values(), self._store.all_labels(), self._store.all_image_info()
        )
        for image_id, entry in document["objects"].items():
            for label in entry["labels"].values():
                label["info"] = label_fields.with_label_names(label["info"], records.get(image_id))
        return document

    def _label_uri(self, label_id: str, label_tag: str) -> str:
        uri = self.get_label_uri(label_id, label_tag)
        if not uri:
            raise UnknownLabelError(f"{label_id}: there is no label {label_tag!r}")
        return uri
