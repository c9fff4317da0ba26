"""Reference masks of real patients against the dataset's own EF, where the data are here."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets import camus, camus_mhd
from cardiolabel.datasets.folder import reference_path
from cardiolabel.domain import CAMUS_LABELS, Convention, Method, Record
from cardiolabel.io import metaimage, nifti
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.study import measure_study

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SUSPECT = {"patient0185", "patient0401"}  # their cfg EF does not fit their own masks
"""See ../shared/data/README.md."""


def masked(record: Record, reference: Path) -> MaskedImage:
    if reference.name.endswith(nifti.SUFFIXES):
        masks, spacing = nifti.read_mask(reference), nifti.read(record.path).grid.spacing
    else:
        masks, spacing = metaimage.read_placed_mask(reference)[0], metaimage.read(record.path).clip.spacing
    return MaskedImage(
        record.image_id, record.patient, record.view, record.phase, masks, spacing, CAMUS_LABELS
    )


def biplane_ef(images: list[MaskedImage], convention: Convention) -> float | None:
    study = measure_study(images)
    return next(
        row.ef_pct for row in study.rows if (row.method, row.convention) == (Method.BIPLANE, convention)
    )


@pytest.mark.skipif(not (DATA / "camus").is_dir(), reason="CAMUS (NIfTI) is not in ../shared/data")
def test_camus_convention_is_the_ef_field_of_the_nifti_release() -> None:
    by_patient: dict[str, list[Record]] = defaultdict(list)
    for record in camus.listing(DATA / "camus").records:
        by_patient[record.patient].append(record)
    patients = [patient for patient in sorted(by_patient) if patient not in SUSPECT][::8]
    assert len(patients) > 40
    measured, stated = [], []
    for patient in patients:
        images = [
            masked(record, reference)
            for record in by_patient[patient]
            if (reference := reference_path(record)) is not None
        ]
        ef = biplane_ef(images, Convention.CAMUS)
        reference_ef = by_patient[patient][0].reference_ef_pct
        assert ef is not None and reference_ef is not None, patient
        assert by_patient[patient][0].reference_convention is Convention.CAMUS
        measured.append(ef)
        stated.append(reference_ef)
    difference = np.subtract(measured, stated)
    assert np.corrcoef(measured, stated)[0, 1] >= 0.97
    assert np.abs(difference).mean() <= 1.6
    assert abs(difference.mean()) < 1.0


@pytest.mark.skipif(not (DATA / "camus_mhd").is_dir(), reason="CAMUS (.mhd) is not in ../shared/data")
def test_guideline_is_the_lvef_of_the_mhd_release() -> None:
    records = camus_mhd.listing(DATA / "camus_mhd").records
    images = [
        masked(record, reference) for record in records if (reference := reference_path(record)) is not None
    ]
    assert len(images) == 4
    assert biplane_ef(images, Convention.GUIDELINE) == pytest.approx(records[0].reference_ef_pct, abs=1.5)
