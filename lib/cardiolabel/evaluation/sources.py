"""What is compared with what: predicted masks, reference masks, and the patients asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import LabelSet, Record
from cardiolabel.errors import DatasetError
from cardiolabel.io.mask_files import holds_masks
from cardiolabel.measurements.structures import structure_values
from cardiolabel.records.layout import MANIFEST, SUFFIX, StudiesLayout
from cardiolabel.records.patient_list import read_patient_list
from cardiolabel.studies.predicted import MODEL_NAME
from cardiolabel.studies.studies import Studies


@dataclass(frozen=True, eq=False)
class Sources:
    """Two folders of masks over the images of one studies folder.

    Parameters
    ----------
    studies : Studies
        Where the images are; their files carry the pixel size.
    predicted, reference : Path
        Folders of masks, named ``<image_id>`` with an ending of `cardiolabel.io.mask_files.SUFFIXES`.
    records : tuple of Record
        Selected images that have a reference mask.
    selection : str
        Which patients were asked for, in words.
    without_reference : int
        How many selected images have no reference mask.
    absent_patients : tuple of str
        Patients asked for who have no image here.
    segmented : frozenset of str or None
        Structures that the model is for, where the predicted masks say which model it was.
    """

    studies: Studies
    predicted: Path
    reference: Path
    records: tuple[Record, ...]
    selection: str
    without_reference: int
    absent_patients: tuple[str, ...]
    segmented: frozenset[str] | None = None

    def predicted_file(self, record: Record) -> Path:
        """Return where the image's predicted mask is, or would be."""
        return self.studies.label_file(self.predicted, record)

    def reference_file(self, record: Record) -> Path:
        """Return where the image's reference mask is."""
        return self.studies.label_file(self.reference, record)


def open_sources(
    predicted: Path,
    reference: Path,
    *,
    studies: Path | None = None,
    patients: Path | None = None,
    splits: Sequence[str] = (),
) -> Sources:
    """Find masks and images.

    Parameters
    ----------
    predicted : Path
        A folder of masks, or one that holds them in ``labels``, as ``cardiolabel infer`` leaves it.
    reference : Path
        A studies folder with ``labels/final``; with ``studies``, any folder of masks.
    studies : Path, optional
        The studies folder of the images, if it is not ``reference``.
    patients : Path, optional
        A text file of patients, separated by blanks, commas or lines: no others are compared.
    splits : sequence of str
        Parts of the official split (``VAL``, ``TEST``): patients of no other part are compared.

    Raises
    ------
    DatasetError
        A folder or a file is not there or holds nothing to compare; patients and splits are both given.
    ManifestError
        The studies folder's manifest is malformed.
    """
    ours = _masks_folder(predicted, "predicted", (StudiesLayout(predicted).labels, predicted))
    final = StudiesLayout(reference).final
    if studies is None and not final.is_dir():
        raise DatasetError(
            f"{reference}: no folder labels/final; expected a studies folder with reference masks, or give "
            "the studies folder of these masks with --studies"
        )
    theirs = _masks_folder(reference, "reference", (final,) if final.is_dir() else (reference,))
    opened = Studies(studies or reference)
    records, selection, absent = _selected(opened.records(), patients, splits)
    labelled = tuple(record for record in records if opened.label_file(theirs, record).is_file())
    sources = Sources(
        opened,
        ours,
        theirs,
        labelled,
        selection,
        len(records) - len(labelled),
        absent,
        _segmented(predicted / MODEL_NAME, ours.parent / MODEL_NAME),
    )
    if not labelled:
        raise DatasetError(f"{theirs}: no mask of the images of {selection} in {opened.folder}")
    if not any(sources.predicted_file(record).is_file() for record in labelled):
        raise DatasetError(
            f"{ours}: no mask of the {len(labelled)} images that have a reference; expected "
            f"{labelled[0].image_id}{SUFFIX} and others"
        )
    return sources


def _segmented(*paths: Path) -> frozenset[str] | None:
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        labels = LabelSet("model", tuple(json.loads(path.read_text(encoding="utf-8"))["labels"].items()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: not what cardiolabel infer writes; remove it ({error})") from error
    return frozenset(structure_values(labels))


def _masks_folder(folder_given: Path, what: str, candidates: Sequence[Path]) -> Path:
    if not folder_given.is_dir():
        raise DatasetError(f"{folder_given}: no such folder of {what} masks")
    for folder in candidates:
        if folder.is_dir() and holds_masks(folder):
            if (folder / MANIFEST).exists():
                raise DatasetError(
                    f"{folder}: a studies folder, which holds images; expected {what} masks, such as its "
                    "labels/final"
                )
            return folder
    raise DatasetError(f"{folder_given}: no {what} masks; expected files <image_id>{SUFFIX}")


def _selected(
    records: Sequence[Record], patients: Path | None, splits: Sequence[str]
) -> tuple[list[Record], str, tuple[str, ...]]:
    """Return the records of the patients asked for, who that is, and who of them is not there."""
    if patients is not None and splits:
        raise DatasetError(
            "patients are chosen by a list or by the split; give one of --patients and --split"
        )
    if patients is not None:
        return _listed(records, patients)
    if splits:
        return _of_split(records, splits)
    return list(records), "all patients", ()


def _listed(records: Sequence[Record], path: Path) -> tuple[list[Record], str, tuple[str, ...]]:
    listed = read_patient_list(path)
    present = {record.patient for record in records}
    if not listed & present:
        raise DatasetError(
            f"{path}: none of its {len(listed)} patients is in the studies folder, which has "
            f"{', '.join(sorted(present)[:3]) or 'none'} and others"
        )
    chosen = [record for record in records if record.patient in listed]
    return chosen, f"the {len(listed)} patients of {path.name}", tuple(sorted(listed - present))


def _of_split(records: Sequence[Record], splits: Sequence[str]) -> tuple[list[Record], str, tuple[str, ...]]:
    present = {record.split for record in records if record.split}
    requested = dict.fromkeys(name.upper() for name in splits)
    unknown = [name for name in requested if name not in present]
    if unknown:
        shown = ", ".join(sorted(present))
        raise DatasetError(
            f"no image is of split {unknown[0]!r}; the manifest has "
            + (f"{shown}" if shown else "no split: prepare the studies again, or give a list with --patients")
        )
    return [record for record in records if record.split in requested], f"split {', '.join(requested)}", ()
