"""Folders of DICOM files: patients, views, series, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from tests.io.dicom_files import write_cine

from cardiolabel.datasets import dicom
from cardiolabel.datasets.listing import Listing
from cardiolabel.domain import Clip, Phase, Spacing, View
from cardiolabel.errors import DatasetError
from cardiolabel.io.dicom_cine import CineSeries
from cardiolabel.io.dicom_writer import Identity, write_ultrasound

KEY = b"k" * 32


def phases(cine: CineSeries) -> tuple[int, int]:
    return 0, cine.phases - 1


def listing(root: Path, **options: bool) -> Listing:
    return dicom.listing(root, key=KEY, choose_phases=phases, **options)


def clip(seed: int) -> Clip:
    pixels = np.random.default_rng(seed).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    return Clip(pixels, Spacing(0.5, 0.5), 20.0)


def write(
    path: Path, *, patient: str = "MRN 4711", seed: int = 0, view: View = View.A4C, **tags: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ultrasound(clip(seed), path, Identity(patient), view=view, number=seed + 1)
    dataset = dcmread(path)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def test_patients_get_pseudonyms_that_say_nothing(tmp_path: Path) -> None:
    write(tmp_path / "PAT1" / "IMG1", PatientName="Muster^Erika", PatientSex="F", PatientAge="054Y")
    write(tmp_path / "PAT1" / "IMG2", seed=1, view=View.A2C)
    write(tmp_path / "PAT2" / "IMG1", patient="MRN 4712")
    records = listing(tmp_path).records
    assert [record.view for record in records] == [View.A4C, View.A2C, View.A4C]
    assert records[0].patient == records[1].patient != records[2].patient
    assert (records[0].sex, records[0].age_years, records[0].frame_rate_hz) == ("F", 54, 20.0)
    shown = " ".join(f"{record.image_id} {record.patient}" for record in records)
    assert "4711" not in shown and "Muster" not in shown and "PAT" not in shown


def test_another_key_gives_other_pseudonyms(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    other = dicom.listing(tmp_path, key=b"o" * 32, choose_phases=phases).records[0]
    assert listing(tmp_path).records[0].patient != other.patient


def test_names_are_kept_on_request(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    (record,) = listing(tmp_path, keep_names=True).records
    assert record.patient == "MRN 4711" and record.image_id.startswith("MRN_4711_")


def test_nobody_older_than_89_years_has_an_age(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", PatientAge="095Y")
    assert listing(tmp_path).records[0].age_years is None


def test_the_same_file_twice_is_one_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b").write_bytes(path.read_bytes())
    assert len(listing(tmp_path).entries) == 1


def test_the_view_comes_from_code_or_words(tmp_path: Path) -> None:
    write(tmp_path / "code.dcm", view=View.A2C, SeriesDescription="")
    words = write(tmp_path / "words.dcm", seed=1, SeriesDescription="Apical 4 chamber")
    dataset = dcmread(words)
    del dataset.ViewCodeSequence
    dataset.save_as(words)
    assert [record.view for record in listing(tmp_path).records] == [View.A2C, View.A4C]


def test_another_views_name_is_a_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", SeriesDescription="PLAX")
    dataset = dcmread(path)
    del dataset.ViewCodeSequence
    dataset.save_as(path)
    ((place, reason),) = listing(tmp_path).problems
    assert place == "a.dcm" and "another view (PLAX)" in reason


def test_several_studies_of_a_patient_are_patients_apart_and_one_person(tmp_path: Path) -> None:
    first = write(tmp_path / "2021" / "a.dcm", StudyInstanceUID="1.2.3")
    alone = listing(first.parent).records[0]
    write(tmp_path / "2021" / "b.dcm", seed=1, view=View.A2C, StudyInstanceUID="1.2.3")
    write(tmp_path / "2024" / "c.dcm", seed=2, StudyInstanceUID="1.2.4")
    studies = listing(tmp_path)
    a, b, c = studies.records
    assert a.patient == b.patient != c.patient
    assert {record.person for record in studies.records} == {alone.patient} and alone.person is None
    assert {record.split_unit for record in (*studies.records, alone)} == {alone.patient}
    assert a.image_id == alone.image_id  # an image that was imported alone is no other one now
    ((patient, note),) = studies.notes
    assert patient == alone.patient and note.startswith("2 studies") and a.patient in note


def test_a_series_becomes_ed_and_es(tmp_path: Path) -> None:
    write_cine(tmp_path / "SERIES", slices=3, phases=4)
    entries = listing(tmp_path).entries
    assert [(entry.record.view, entry.record.phase) for entry in entries] == [
        (View.SAX, Phase.ED),
        (View.SAX, Phase.ES),
    ]
    ed, es = (entry.image() for entry in entries)  # type: ignore[operator]
    assert ed.pixels.shape == (3, 6, 5) and ed.slice_spacing_mm == 8.0
    assert not np.array_equal(ed.pixels, es.pixels)


def test_two_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for uid, slices in (("1.2.3", 3), ("1.2.4", 5)):
        for path in write_cine(tmp_path, slices=slices, phases=4, name=f"{uid}-{{number}}.dcm"):
            dataset = dcmread(path)
            dataset.SeriesInstanceUID, dataset.PatientID = uid, "one"
            dataset.save_as(path)
    result = listing(tmp_path)
    assert [entry.image().pixels.shape[0] for entry in result.entries] == [5, 5]  # type: ignore[operator]
    ((_, reason),) = result.problems
    assert "of 3 slices, beside one of 5" in reason


def test_a_lost_slice_is_named(tmp_path: Path) -> None:
    paths = write_cine(tmp_path, slices=5, phases=2)
    for path in paths[4:6]:
        path.unlink()
    ((_, reason),) = listing(tmp_path).problems
    assert "mm apart" in reason and "complete the download" in reason


def test_one_slice_is_no_stack(tmp_path: Path) -> None:
    write_cine(tmp_path, slices=1, phases=4)
    ((_, reason),) = listing(tmp_path).problems
    assert "expected two slices or more" in reason


def test_files_without_an_image_have_a_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "report.dcm")
    dataset = dcmread(path)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    del dataset.Rows
    dataset.save_as(path)
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    reasons = dict(listing(tmp_path).problems)
    assert "Comprehensive SR" in reasons["report.dcm"] and "not a readable DICOM" in reasons["broken.dcm"]


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(DatasetError, match="found no DICOM file"):
        listing(tmp_path)
