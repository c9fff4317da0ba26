"""A studies folder that follows a real PACS: whole, resumable, and back with results."""

from __future__ import annotations

import random
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dicomweb_client", reason="needs cardiolabel[server]")

from highdicom import sr
from pydicom import dcmread

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.dicom_results.export_folder import export_folder
from cardiolabel.domain import Clip, View
from cardiolabel.errors import DatasetError, PacsError
from cardiolabel.io import nifti
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pacs import dicomweb
from cardiolabel.pacs.dicomweb import Instance, Pacs
from cardiolabel.pacs.mirror import Mirror, mirror_of, mirrored
from cardiolabel.pacs.pacs_studies import PacsStudies
from cardiolabel.pacs.stored import store_folder
from cardiolabel.pipeline.import_folder import ImportOptions
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.store.erasure import Erasure
from cardiolabel.store.image_files import ImageFiles
from cardiolabel.store.store import Store
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.studies import Studies

from .orthanc import Orthanc, needs_orthanc

pytestmark = [needs_orthanc, pytest.mark.filterwarnings("ignore::ResourceWarning")]
OPTIONS = ImportOptions(ModelFolders(Path("no"), Path("no")))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms' apical cines as NIfTI with true masks, and as ultrasound DICOM."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder / "nifti", patients=3, seed=1)
    for patient in ("phantom02", "phantom03"):
        for number, (name, view) in enumerate((("4CH", View.A4C), ("2CH", View.A2C)), start=1):
            clip = nifti.read(folder / "nifti" / f"{patient}_{name}_cine.nii.gz").clip
            path = folder / "dicom" / patient / f"{view}.dcm"
            write_ultrasound(clip, path, Identity(patient), view=view, number=number)
    return folder


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Orthanc]:
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc")).start()
    try:
        store_folder(sample / "dicom", orthanc.url)
        yield orthanc
    finally:
        orthanc.kill()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIOLABEL_STATE", str(tmp_path / "state"))


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "dicom").rglob("*") if path.is_file()}


def test_images_are_listed_in_pages_and_by_a_query(pacs: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "_PAGE", 1)
    listed = list(Pacs(pacs.url).instances())
    assert len(listed) == 4 == len({each.sop_uid for each in listed})
    assert len(list(Pacs(pacs.url).instances({"PatientID": "phantom02"}))) == 2
    assert not list(Pacs(pacs.url).instances({"PatientID": "nobody"}))


def test_images_are_fetched_once_and_imported(pacs: Orthanc) -> None:
    mirror = mirror_of(pacs.url)
    assert mirror.take(OPTIONS).images == 4
    assert mirrored(mirror.folder) == mirror
    assert stat.S_IMODE(mirror.folder.stat().st_mode) == 0o700
    records = Studies(mirror.folder).records()
    assert sorted(record.view for record in records) == [View.A2C, View.A2C, View.A4C, View.A4C]
    assert not any("phantom" in record.patient for record in records)  # pseudonyms
    before = {path: path.stat().st_mtime_ns for path in mirror.folder.rglob("*.dcm")}
    assert mirror.fetch() == 0
    assert before == {path: path.stat().st_mtime_ns for path in mirror.folder.rglob("*.dcm")}


def test_a_query_without_images_says_so(pacs: Orthanc) -> None:
    with pytest.raises(DatasetError, match="no ultrasound or short-axis MR image"):
        mirror_of(pacs.url, "PatientID=nobody").take(OPTIONS)


def test_numbers_and_contours_come_back_as_a_report(pacs: Orthanc, sample: Path, tmp_path: Path) -> None:
    """From the PACS and to it: the EF of the true masks, within a point of the same masks as files."""
    mirror = mirror_of(pacs.url, "PatientID=phantom02")
    mirror.take(OPTIONS)
    studies = Studies(mirror.folder)
    for record in studies.records():
        name = "4CH" if record.view is View.A4C else "2CH"
        masks = nifti.read_mask(sample / "nifti" / "truth" / f"phantom02_{name}_cine.nii.gz")
        label = StudiesLayout(mirror.folder).label(record.image_id)
        nifti.write_mask_like(masks, label, grid=studies.image(record).grid)
    out = tmp_path / "out"
    export_folder(mirror.folder, mirror.folder, out, models=OPTIONS.models, predict=False)
    before = pacs.count()
    assert store_folder(out, pacs.url) == 2 and pacs.count() == before + 2
    assert store_folder(out, pacs.url) == 2 and pacs.count() == before + 2  # the same again is no other

    (path,) = (path for path in out.rglob("*.dcm") if dcmread(path, stop_before_pixels=True).Modality == "SR")
    made = dcmread(path)
    back = Pacs(pacs.url).file(
        dicomweb.Instance(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    )
    groups = sr.ComprehensiveSR.from_dataset(back).content.get_image_measurement_groups()
    (ef,) = (
        one.value
        for group in groups
        if group.tracking_identifier == "LV volumes, biplane, guideline"
        for one in group.get_measurements()
        if one.name.value == "79991-6"
    )
    layout = StudiesLayout(tmp_path / "files")
    layout.final.mkdir(parents=True)
    for name in ("4CH", "2CH"):
        image = f"phantom02_{name}_cine.nii.gz"
        (tmp_path / "files" / image).write_bytes((sample / "nifti" / image).read_bytes())
        (layout.final / image).write_bytes((sample / "nifti" / "truth" / image).read_bytes())
    as_files = PatientReports(Studies(tmp_path / "files")).measure("phantom02", predict=False).study.best()
    assert as_files is not None and as_files.ef_pct is not None
    assert abs(ef - as_files.ef_pct) <= 1.0
    assert not mirror.fetch()  # its own results are no images


def test_a_patient_deleted_for_good_is_not_fetched_again(pacs: Orthanc, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "studies", pacs.url)
    mirror.take(OPTIONS)
    studies = Studies(mirror.folder)
    store = Store(mirror.folder, records=studies.by_id, watch=False)
    gone = studies.records()[0].patient
    erased = Erasure(studies, store, ImageFiles(studies, store)).erase(studies.of_patient(gone))
    store.close()
    assert erased.left == () and len(files(mirror.folder)) == 2
    assert mirror.fetch() == 0 and mirror.take(OPTIONS).images == 2
    assert gone not in Studies(mirror.folder).by_patient()


def test_instances_that_share_an_identifier_stay_apart(tmp_path: Path, sample: Path) -> None:
    """Two scanners, or a copy that was changed: the same SOP Instance UID in two studies."""
    orthanc = Orthanc(tmp_path / "orthanc").start()
    try:
        first = dcmread(sample / "dicom" / "phantom02" / "A4C.dcm")
        other = dcmread(sample / "dicom" / "phantom03" / "A4C.dcm")
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
        Pacs(orthanc.url).store([first])
        Pacs(orthanc.url).store([other])
        mirror = Mirror(tmp_path / "studies", orthanc.url)
        taken = mirror.take(OPTIONS)
        assert taken.images == 2 and not taken.skipped and mirror.fetch() == 0
        studies = PacsStudies(Studies(mirror.folder))
        assert studies.records().keys() == {first.StudyInstanceUID, other.StudyInstanceUID}
        for study, records in studies.records().items():
            original = studies.original(records[0].image_id)
            assert original is not None and original.instances[0].StudyInstanceUID == study
    finally:
        orthanc.kill()


def test_an_image_that_is_listed_and_not_given_is_left_out(
    pacs: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Pacs.instances

    def with_another(self: Pacs, query: object = None) -> Iterator[Instance]:
        yield Instance("1.2.3", "1.2.3.4", "1.2.3.4.5")
        yield from listed(self)

    monkeypatch.setattr(Pacs, "instances", with_another)
    taken = Mirror(tmp_path / "studies", pacs.url).take(OPTIONS)
    ((identifier, reason),) = taken.skipped
    assert taken.images == 4 and identifier == "1.2.3.4.5" and "answered 404" in reason


def test_logins(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc = Orthanc(tmp_path / "orthanc", users={"ada": "secret word"}).start()
    try:
        with pytest.raises(PacsError, match=r"refuses the login \(401\); set CARDIOLABEL_PACS_USER"):
            list(Pacs(orthanc.url).instances())
        monkeypatch.setenv(dicomweb.USER, "ada")
        monkeypatch.setenv(dicomweb.PASSWORD, "a wrong word")
        with pytest.raises(PacsError) as refused:
            list(Pacs(orthanc.url).instances())
        assert "wrong word" not in str(refused.value)
        monkeypatch.setenv(dicomweb.PASSWORD, "secret word")
        store_folder(sample / "dicom", orthanc.url)
        assert len(list(Pacs(orthanc.url).instances())) == 4
        monkeypatch.setenv(dicomweb.TOKEN, "both")
        with pytest.raises(PacsError, match="not both"):
            Pacs(orthanc.url)
    finally:
        orthanc.kill()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.long
def test_a_pacs_killed_at_any_moment_leaves_nothing_half_stored(
    tmp_path: Path, sample: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "_RETRIES", 0)
    orthanc = Orthanc(tmp_path / "orthanc").start()
    try:
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 255, (6, 200, 200), dtype=np.uint8)
            spacing = nifti.read(sample / "nifti" / "phantom02_4CH_cine.nii.gz").clip.spacing
            clip = Clip(pixels, spacing, frame_rate_hz=25.0)
            path = tmp_path / "dicom" / f"p{number}" / "a4c.dcm"
            write_ultrasound(clip, path, Identity(f"p{number}"), view=View.A4C)
        store_folder(tmp_path / "dicom", orthanc.url)
        mirror = Mirror(tmp_path / "studies", orthanc.url)
        killer = threading.Timer(random.Random(seed).uniform(0.05, 0.8), orthanc.kill)  # noqa: S311
        killer.start()
        failed = False
        try:
            mirror.fetch()
        except PacsError as error:
            failed = True
            assert "does not answer" in str(error) or "answered" in str(error)
        killer.join()
        fetched = files(mirror.folder)
        for path in (mirror.folder / "dicom").rglob("*.dcm"):
            assert dcmread(path).pixel_array.shape == (6, 248, 264)
        orthanc.kill()
        orthanc.start()
        time.sleep(0.2)
        assert mirror.fetch() == 20 - len(fetched)
        assert len(files(mirror.folder)) == 20 and (failed or len(fetched) == 20)
    finally:
        orthanc.kill()
