"""Results as DICOM: read back by others' readers, on the pixels of the originals, the same every time."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from highdicom import seg, sr
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.dicom_results.export import results, write_results
from cardiolabel.dicom_results.export_folder import export_folder
from cardiolabel.dicom_results.originals import Original, originals
from cardiolabel.dicom_results.uids import content_uid
from cardiolabel.domain import Phase, View
from cardiolabel.errors import DatasetError, MeasurementError
from cardiolabel.geometry.polygon import fill_polygon
from cardiolabel.io import nifti
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pipeline.import_folder import ImportOptions, import_dicom
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.pseudonyms import pseudonym_key
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.studies import Studies

NO_MODELS = ModelFolders(Path("no"), Path("no"))


def no_phases(cine: object) -> tuple[int, int]:
    return 0, 5


@dataclass
class Case:
    """A patient's DICOM files, and the studies folder made of them, with masks that are known."""

    dicom: Path
    studies: Studies
    found: dict[str, Original]
    masks: dict[str, NDArray[np.uint8]]
    true_ef_pct: float = float("nan")

    @property
    def patient(self) -> str:
        (patient,) = self.studies.by_patient()
        return patient

    def export(self, out: Path) -> list[Dataset]:
        made = results(PatientReports(self.studies), self.patient, self.found, predict=False)
        return [dcmread(path) for path in write_results(made.objects, out)]


def case_of(dicom: Path, folder: Path) -> Case:
    import_dicom(dicom, folder, ImportOptions(NO_MODELS))
    studies = Studies(folder)
    ids = [record.image_id for record in studies.records()]
    found = originals(dicom, ids, key=pseudonym_key(), choose_phases=no_phases)
    return Case(dicom, studies, found, {})


def store(case: Case, image_id: str, masks: NDArray[np.uint8]) -> None:
    record = case.studies.record(image_id)
    label = StudiesLayout(case.studies.folder).label(image_id)
    nifti.write_mask_like(masks, label, grid=case.studies.image(record).grid)
    case.masks[image_id] = masks


@pytest.fixture
def cines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The cines of a phantom as ultrasound DICOM, with its true masks."""
    monkeypatch.setenv("CARDIOLABEL_STATE", str(tmp_path / "state"))
    sample = tmp_path / "sample"
    write_sample(sample, patients=2, seed=1)
    for number, view in enumerate((View.A4C, View.A2C), start=1):
        name = f"phantom02_{'4CH' if view is View.A4C else '2CH'}_cine"
        clip = nifti.read(sample / f"{name}.nii.gz").clip
        write_ultrasound(clip, tmp_path / "dicom" / f"{view}.dcm", Identity("p"), view=view, number=number)
    case = case_of(tmp_path / "dicom", tmp_path / "studies")
    for record in case.studies.records():
        name = "4CH" if record.view is View.A4C else "2CH"
        store(case, record.image_id, nifti.read_mask(sample / "truth" / f"phantom02_{name}_cine.nii.gz"))
    with (sample / "truth.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if row["patient"] == "phantom02")
    return replace(case, true_ef_pct=float(row["ef_pct"]))


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A short-axis series with discs for masks."""
    home = tmp_path / "stack"
    monkeypatch.setenv("CARDIOLABEL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("cardiolabel.pipeline.import_folder.phase_choice", lambda _: no_phases)
    write_sample(home / "sample", patients=1, seed=2, kind=SampleFormat.DICOM)
    shutil.copytree(home / "sample" / "DICOM" / "phantom01" / "SAX", home / "dicom")
    case = case_of(home / "dicom", home / "studies")
    for record in case.studies.records():
        masks = np.zeros(case.studies.image(record).grid.frames_shape, np.uint8)
        rows, cols = np.indices(masks.shape[1:])
        for index in range(2, len(masks) - 2):
            radius = (30 if record.phase is Phase.ED else 22) - index
            away = np.hypot(rows - 100 - index, cols - 120)
            masks[index][away < radius + 10] = record.labels.value("myocardium")
            masks[index][away < radius] = record.labels.value("lv_cavity")
        store(case, record.image_id, masks)
    return case


def numbers(report: Dataset) -> dict[tuple[str, str, str], float]:
    """Values by tracking identifier, code and derivation, read by highdicom."""
    content = sr.ComprehensiveSR.from_dataset(report).content
    return {
        (group.tracking_identifier, one.name.value, one.derivation.value if one.derivation else ""): one.value
        for group in content.get_image_measurement_groups()
        for one in group.get_measurements()
    }


def test_the_report_says_what_was_measured(cines: Case, tmp_path: Path) -> None:
    report, figure = cines.export(tmp_path / "out")
    assert (report.Modality, figure.Modality) == ("SR", "OT")
    read = numbers(report)
    study = PatientReports(cines.studies).measure(cines.patient, predict=False).study
    for row in study.rows:
        if row.ef_pct is not None:
            name = f"LV volumes, {row.method}, {row.convention}"
            values = [value for (group, *_), value in read.items() if group == name]
            expected = [row.ef_pct, row.edv_ml, row.esv_ml]
            assert values == pytest.approx([round(value, 1) for value in expected if value is not None])
    ef = read["LV volumes, biplane, guideline", "79991-6", ""]
    assert abs(ef - cines.true_ef_pct) <= 1.0


def test_contours_lie_on_the_masks_in_the_originals_pixels(cines: Case, tmp_path: Path) -> None:
    report, _ = cines.export(tmp_path / "out")
    content = sr.ComprehensiveSR.from_dataset(report).content
    groups = content.get_planar_roi_measurement_groups()
    beats = PatientReports(cines.studies).measure(cines.patient, predict=False).study.beats
    assert len(groups) == 2 * 2 * 3  # views, phases, structures
    for group in groups:
        view, phase, _, _, structure = group.tracking_identifier.split()
        (image_id,) = (key for key, each in cines.found.items() if cines.studies.record(key).view == view)
        original = cines.found[image_id]
        region = group.roi
        (source,) = region.ContentSequence
        reference = source.ReferencedSOPSequence[0]
        beat = beats[image_id][0]
        frame = beat.ed if phase == "ED" else beat.es
        assert reference.ReferencedSOPInstanceUID == original.instances[0].SOPInstanceUID
        assert reference.ReferencedFrameNumber == frame + 1
        header = original.instances[0]
        drawn = fill_polygon(region.value[:, ::-1] - 0.5, (header.Rows, header.Columns))
        mask = cines.masks[image_id][frame]
        values = cines.studies.record(image_id).labels
        wanted = mask == values.value(structure)
        if structure == "myocardium":
            wanted |= mask == values.value("lv_cavity")
        whole = np.zeros_like(drawn)
        rows, cols = wanted.shape
        whole[original.top : original.top + rows, original.left : original.left + cols] = wanted
        assert 2 * (drawn & whole).sum() / (drawn.sum() + whole.sum()) > 0.98


def test_slices_are_segmented_and_refer_to_their_files(stack: Case, tmp_path: Path) -> None:
    report, *segmentations, _ = stack.export(tmp_path / "out")
    assert len(segmentations) == 2
    for image_id, dataset in zip(stack.found, segmentations, strict=True):
        made = seg.Segmentation.from_dataset(dataset)
        record, original = stack.studies.record(image_id), stack.found[image_id]
        uids = [str(each.SOPInstanceUID) for each in original.instances]
        read = made.get_pixels_by_source_instance(
            uids,
            combine_segments=True,
            skip_overlap_checks=True,
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
        expected = np.zeros_like(stack.masks[image_id])
        for number, name in enumerate(
            made.get_segment_description(k).segment_label for k in made.segment_numbers
        ):
            value = record.labels.value(str(name).replace(" ", "_"))
            expected[stack.masks[image_id] == value] = number + 1
        assert np.array_equal(read, expected)
    groups = sr.ComprehensiveSR.from_dataset(report).content.get_planar_roi_measurement_groups()
    slices = sum(bool(masks[index].any()) for masks in stack.masks.values() for index in range(len(masks)))
    assert len(groups) == 2 * slices
    assert numbers(report)["LV volumes, slice-summation, guideline", "8811-2", ""] > 0


def test_a_still_is_segmented_on_the_whole_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIOLABEL_STATE", str(tmp_path / "state"))
    write_sample(tmp_path / "sample", patients=1, seed=1)
    for number, phase in enumerate(("ED", "ES"), start=1):
        clip = nifti.read(tmp_path / "sample" / f"phantom01_4CH_{phase}.nii.gz").clip
        path = tmp_path / "dicom" / f"{phase}.dcm"
        write_ultrasound(clip, path, Identity("p"), view=View.A4C, number=number)
    case = case_of(tmp_path / "dicom", tmp_path / "studies")
    rows = []
    for record in case.studies.records():
        header = case.found[record.image_id].instances[0]
        phase = Phase.ED if header.InstanceNumber == 1 else Phase.ES
        rows.append(replace(record, phase=phase))
        store(
            case,
            record.image_id,
            nifti.read_mask(tmp_path / "sample" / "truth" / f"phantom01_4CH_{phase}.nii.gz"),
        )
    manifest.write(rows, case.studies.folder)
    report, first, other, _ = case.export(tmp_path / "out")
    assert numbers(report)["LV volumes, single-plane-A4C, guideline", "79993-2", ""] > 20
    of_file = {str(each.instances[0].SOPInstanceUID): key for key, each in case.found.items()}
    for dataset in (first, other):
        source = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
        image_id = of_file[str(source.ReferencedSOPInstanceUID)]
        original, mask = case.found[image_id], case.masks[image_id]
        _, rows, cols = mask.shape
        cut = np.s_[..., original.top : original.top + rows, original.left : original.left + cols]
        read = dataset.pixel_array
        assert read.sum() == read[cut].sum() == (mask > 0).sum()
        assert np.array_equal(read[cut].any(axis=0), mask[0] > 0)


def test_the_same_results_give_the_same_objects(cines: Case, tmp_path: Path) -> None:
    first, again = cines.export(tmp_path / "out"), cines.export(tmp_path / "again")
    assert [each.SOPInstanceUID for each in first] == [each.SOPInstanceUID for each in again]
    assert [each.SeriesInstanceUID for each in first] == [each.SeriesInstanceUID for each in again]
    image_id, masks = next(iter(cines.masks.items()))
    changed = masks.copy()
    changed[:, :20] = 0
    changed[0, changed[0] == 1] = 2
    store(cines, image_id, changed)
    other = cines.export(tmp_path / "other")
    assert not {each.SOPInstanceUID for each in other} & {each.SOPInstanceUID for each in first}


def test_originals_stay_as_they_are_and_lend_the_patient(cines: Case, tmp_path: Path) -> None:
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in cines.dicom.rglob("*.dcm")}
    for made in cines.export(tmp_path / "out"):
        header = next(iter(cines.found.values())).instances[0]
        assert (made.PatientID, made.StudyInstanceUID) == (header.PatientID, header.StudyInstanceUID)
        assert made.SeriesInstanceUID != header.SeriesInstanceUID
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in cines.dicom.rglob("*.dcm")}


def test_images_without_an_original_are_named(cines: Case, tmp_path: Path) -> None:
    kept = dict(list(cines.found.items())[:1])
    (missing,) = cines.found.keys() - kept.keys()
    made = results(PatientReports(cines.studies), cines.patient, kept, predict=False)
    assert (missing, "not among the DICOM originals; no contours in the report") in made.notes
    with pytest.raises(MeasurementError, match="none of its images"):
        results(PatientReports(cines.studies), cines.patient, {}, predict=False)


def test_a_whole_folder_is_exported(cines: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = export_folder(cines.studies.folder, cines.dicom, out, models=NO_MODELS, predict=False)
    assert (exported.patients, exported.objects) == (1, 2)
    assert {note for _, note in exported.notes} == {
        "its frames are in one file: no segmentation, its contours are in the report"
    }
    written = {path: path.read_bytes() for path in out.rglob("*.dcm")}
    assert export_folder(cines.studies.folder, cines.dicom, out, models=NO_MODELS, predict=False) == exported
    assert written == {path: path.read_bytes() for path in out.rglob("*.dcm")}
    with pytest.raises(DatasetError, match="no patient nobody"):
        export_folder(cines.studies.folder, cines.dicom, out, models=NO_MODELS, patients=["nobody"])


@pytest.mark.parametrize("command", [["dciodvfy"], ["dsrdump", "+Ee"]], ids=["dciodvfy", "dsrdump"])
def test_other_programs_find_the_objects_valid(
    cines: Case, stack: Case, tmp_path: Path, command: list[str]
) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]} (Debian's packages dicom3tools and dcmtk)")
    for case, name in ((cines, "cines"), (stack, "stack")):
        case.export(tmp_path / name)
        for path in (tmp_path / name).glob("*.dcm"):
            if command[0] == "dsrdump" and dcmread(path).Modality != "SR":
                continue
            ended = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
            text = ended.stdout + ended.stderr
            assert not [line for line in text.splitlines() if line.startswith(("Error", "E:"))], text[:2000]


def test_identifiers_follow_from_all_of_the_content() -> None:
    uids = {content_uid("a", "bc"), content_uid("ab", "c"), content_uid("abc"), content_uid("a", "bc", "")}
    assert len(uids) == 4 and all(uid.is_valid for uid in uids)
