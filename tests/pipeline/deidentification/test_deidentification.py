"""De-identification: tags, pixels, names, and the way back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Clip, Spacing, View
from cardiolabel.errors import DatasetError
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.io.images import read_image
from cardiolabel.pipeline.deidentification import text_search
from cardiolabel.pipeline.deidentification.replacements import Replacements
from cardiolabel.pipeline.deidentification.run import LOG_NAME, Deidentified, deidentify
from cardiolabel.pipeline.deidentification.tags import TagChoices

KEY = b"k" * 32
SECRETS = ("Muster", "Erika", "MRN4711", "Hospital", "19600102", "ACC99", "Smith")


@pytest.fixture(autouse=True)
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the search for text, which takes a second a frame, where it is not what is tested."""
    monkeypatch.setattr(text_search, "is_available", lambda: False)


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 64, 80), dtype=np.uint8)


def write(path: Path, *, number: int = 1, patient: str = "MRN4711") -> Path:
    """A clip whose tags hold a name at every depth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clip = Clip(pixels(), Spacing(0.4, 0.3), 25.0)
    write_ultrasound(clip, path, Identity(patient), view=View.A4C, number=number)
    dataset = dcmread(path)
    dataset.PatientName, dataset.PatientBirthDate = "Muster^Erika", "19600102"
    dataset.InstitutionName, dataset.AccessionNumber = "Hospital of Somewhere", "ACC99"
    dataset.ReferringPhysicianName = "Smith^Jane"
    dataset.StudyDate = dataset.SeriesDate = "20200615"
    dataset.PatientSex, dataset.PatientAge = "F", "060Y"
    dataset.SeriesDescription = "Apical 4 chamber, Muster"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    inner.ScheduledPerformingPhysicianName = "Smith^Jane"
    dataset.RequestAttributesSequence = Sequence([inner])
    block = dataset.private_block(0x0099, "VENDOR", create=True)
    block.add_new(1, "LO", "Muster")
    dataset.save_as(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "in" / "MUSTER" / "IM1")
    write(tmp_path / "in" / "MUSTER" / "IM2", number=2)
    return tmp_path / "in"


def run(source: Path, **options: object) -> tuple[Deidentified, Path]:
    dest = source.parent / "out"
    done = deidentify(source, dest, key=KEY, key_file=source.parent / "out.key.csv", **options)  # type: ignore[arg-type]
    return done, dest


def copies(dest: Path) -> list[Path]:
    return sorted(dest.rglob("*.dcm"))


def test_nothing_identifying_is_left_in_files_names_or_log(source: Path) -> None:
    done, dest = run(source)
    assert done.files == 2 and not done.skipped
    for path in (path for path in dest.rglob("*") if path.is_file()):
        content = path.read_bytes() + str(path.relative_to(dest)).encode()
        assert not [secret for secret in SECRETS if secret.encode() in content]


def test_uids_stay_consistent_and_dates_keep_their_distance(source: Path) -> None:
    later = dcmread(source / "MUSTER" / "IM2")
    later.StudyDate = "20200715"
    later.save_as(source / "MUSTER" / "IM2")
    first, second = (dcmread(path) for path in copies(run(source)[1]))
    assert first.StudyInstanceUID == second.StudyInstanceUID and first.PatientID == second.PatientID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    from datetime import date

    days = [date.fromisoformat(str(each.StudyDate)) for each in (first, second)]
    assert abs((days[0] - days[1]).days) == 30 and max(days) < date(2020, 6, 15)


def test_only_the_picture_is_left_of_the_pixels(source: Path) -> None:
    for path in copies(run(source)[1]):
        frames = dcmread(path).pixel_array
        np.testing.assert_array_equal(frames[:, 32:96, 48:128], pixels())
        frames[:, 32:96, 48:128] = 0
        assert not frames.any()
        np.testing.assert_array_equal(read_image(path).clip.pixels, pixels())


def test_the_views_name_survives_without_the_rest_of_the_text(source: Path) -> None:
    assert {dcmread(path).SeriesDescription for path in copies(run(source)[1])} == {"apical four-chamber"}


def test_the_way_back_is_private_and_complete(source: Path) -> None:
    _, dest = run(source)
    key_file = source.parent / "out.key.csv"
    assert key_file.stat().st_mode & 0o077 == 0
    with key_file.open(newline="") as file:
        back = {(row["kind"], row["replacement"]): row["original"] for row in csv.DictReader(file)}
    copy = dcmread(copies(dest)[0])
    assert back["patient", copy.PatientID] == "/MRN4711"
    originals = {dcmread(path).SOPInstanceUID for path in source.rglob("IM*")}
    assert back["uid", copy.SOPInstanceUID] in originals


def test_choices_for_single_tags(source: Path) -> None:
    choices = TagChoices(
        remove=("Manufacturer",), pseudonymise=("AccessionNumber",), keep=("PatientSex", "PatientAge")
    )
    copy = dcmread(copies(run(source, choices=choices)[1])[0])
    assert (copy.PatientSex, copy.PatientAge) == ("F", "060Y") and "Manufacturer" not in copy
    assert copy.AccessionNumber.startswith("x") and copy.AccessionNumber != "ACC99"
    with pytest.raises(DatasetError, match="no DICOM keyword"):
        TagChoices(keep=("Patient's Sex",))


def test_files_whose_text_cannot_be_masked_are_left_out_unless_asked_for(source: Path) -> None:
    Image.fromarray(pixels()[0]).save(source / "Muster.png", exif=Image.Exif())
    dataset = dcmread(source / "MUSTER" / "IM1")
    del dataset.SequenceOfUltrasoundRegions
    dataset.save_as(source / "MUSTER" / "IM1")
    done, dest = run(source)
    assert {place for place, _ in done.skipped} == {"Muster.png", "MUSTER/IM1"} and done.files == 1
    other = dest.with_name("unmasked")
    done = deidentify(source, other, key=KEY, key_file=dest.with_name("k.csv"), keep_unmasked=True)
    assert done.files == 3 and not done.skipped
    with (other / LOG_NAME).open(newline="") as file:
        assert sum("kept whole" in row["done"] for row in csv.DictReader(file)) == 1


def test_reports_and_directories_are_left_out(source: Path) -> None:
    report = dcmread(source / "MUSTER" / "IM1")
    del report.PixelData
    report.save_as(source / "SR.dcm")
    ((place, reason),) = run(source)[0].skipped
    assert place == "SR.dcm" and "holds no image" in reason


def test_folders_that_would_mix_or_give_the_key_away_are_refused(source: Path) -> None:
    with pytest.raises(DatasetError, match="is inside"):
        deidentify(source, source / "out", key=KEY, key_file=source.parent / "k.csv")
    out = source.parent / "out"
    with pytest.raises(DatasetError, match="given away"):
        deidentify(source, out, key=KEY, key_file=out / "k.csv")
    out.mkdir()
    (out / "x").write_text("")
    with pytest.raises(DatasetError, match="not empty"):
        deidentify(source, out, key=KEY, key_file=source.parent / "k.csv")


def test_videos_lose_their_metadata(source: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    from cardiolabel.io.video_writer import write_mp4

    plain = tmp_path / "plain.mp4"
    write_mp4(Clip(pixels(), None, 25.0), plain)
    with av.open(str(plain)) as old, av.open(str(source / "Muster.mp4"), "w") as new:
        new.metadata["title"] = "Muster Erika"
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert b"Muster Erika" in (source / "Muster.mp4").read_bytes()
    _, dest = run(source, keep_unmasked=True)
    (copy,) = dest.glob("*.mp4")
    assert b"Muster" not in copy.read_bytes()
    np.testing.assert_array_equal(read_image(copy).clip.pixels, read_image(plain).clip.pixels)


def test_replacements_depend_on_the_key_alone() -> None:
    first, same, other = Replacements(KEY), Replacements(KEY), Replacements(b"o" * 32)
    assert first.uid("1.2.3") == same.uid("1.2.3") != other.uid("1.2.3")
    assert first.date("20200615", "a") == same.date("20200615", "a")
    assert first.date("no date", "a") == ""


def test_text_is_seen_and_tissue_is_not() -> None:
    pytest.importorskip("rapidocr", reason="rapidocr is not installed (pip install 'cardiolabel[ocr]')")
    study = make_study("p", seed=1, shape=(256, 320), spacing=Spacing(0.58, 0.58), cine=False)
    frame = study.images[0].clip.pixels[0].copy()
    assert text_search.words_in(frame) == 0
    picture = Image.fromarray(frame)
    ImageDraw.Draw(picture).text((10, 10), "Erika Muster", fill=255, font_size=24)
    assert text_search.words_in(np.asarray(picture)) > 0


def test_text_that_is_left_is_counted(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.setattr(text_search, "is_available", lambda: True)
    monkeypatch.setattr(text_search, "words_in", lambda frame: 2)
    with (run(source)[1] / LOG_NAME).open(newline="") as file:
        assert all("WARNING: 2 words" in row["done"] for row in csv.DictReader(file))
