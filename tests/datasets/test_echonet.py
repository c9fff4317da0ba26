"""EchoNet-Dynamic's format: generated folders, whole and broken, and EF from tracing to table."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install 'cardiolabel[video]')")

from cardiolabel.datasets import echonet
from cardiolabel.datasets.echonet import Traced
from cardiolabel.datasets.prepare import Prepared, prepare
from cardiolabel.domain import CAMUS_LABELS, Convention, Method, Phase, View
from cardiolabel.errors import DatasetError, ImageReadError
from cardiolabel.io import nifti
from cardiolabel.measurements.study import measure_study
from cardiolabel.measurements.traced_discs import traced_ef_pct
from cardiolabel.records import manifest
from cardiolabel.studies.predicted import masked_image

from .echonet_files import SHAPE, HalfEllipse, Video, make_echonet

THREE = (
    Video(),
    Video("0X2", es=HalfEllipse(58.0, 33.0), ed_frame=8, es_frame=1, split="VAL"),
    Video("0X3", ed=HalfEllipse(50.0, 40.0), es=HalfEllipse(46.0, 20.0), frames=12, split="TEST"),
)


def replace_in(path: Path, old: str, new: str, count: int = -1) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, count))


def test_a_record_holds_what_the_tables_say(tmp_path: Path) -> None:
    listing = echonet.listing(make_echonet(tmp_path, THREE))
    assert not listing.problems
    first, second, third = listing.records
    assert (first.image_id, first.patient) == ("0X1A2B3C_4CH_cine", "0X1A2B3C")
    assert (first.view, first.phase, first.dataset) == (View.A4C, Phase.CINE, "echonet")
    assert (first.ed_frame, first.es_frame, first.frame_rate_hz) == (3, 8, 50)
    assert first.reference_ef_pct == pytest.approx(THREE[0].ef_pct)
    assert first.reference_convention is Convention.GUIDELINE
    assert [record.split for record in (first, second, third)] == ["TRAIN", "VAL", "TEST"]


def test_ed_is_the_larger_tracing_wherever_it_is(tmp_path: Path) -> None:
    second = echonet.listing(make_echonet(tmp_path, THREE)).records[1]
    assert (second.ed_frame, second.es_frame) == (9, 2)


def test_ef_of_the_tracings_is_the_table_s(tmp_path: Path) -> None:
    traced = echonet.read_tracings(make_echonet(tmp_path, THREE) / "VolumeTracings.csv")
    for video in THREE:
        result = traced[video.name]
        assert isinstance(result, Traced)
        ed, es = result.tracings[result.ed_frame], result.tracings[result.es_frame]
        ef = traced_ef_pct(ed.diameters_px, es.diameters_px, ed_length=ed.length_px, es_length=es.length_px)
        assert ef == pytest.approx(video.ef_pct, abs=0.05)


def test_a_studies_folder(tmp_path: Path) -> None:
    source, dest = make_echonet(tmp_path / "in", THREE), tmp_path / "out"
    assert prepare("echonet", source, dest) == Prepared(3, 3, ())
    rows = manifest.scan(dest, strict=True)
    assert rows == echonet.listing(source).records
    image = nifti.read(rows[0].path)
    assert image.clip.shape == (10, *SHAPE) and image.clip.spacing is None
    assert np.abs(image.clip.pixels.astype(int) - THREE[0].pixels()).mean() < 2
    masks = nifti.read_mask(dest / "labels" / "final" / rows[0].path.name)
    assert masks.shape == image.clip.shape
    assert np.flatnonzero(masks.any(axis=(1, 2))).tolist() == [2, 7]
    assert set(np.unique(masks)) == {0, CAMUS_LABELS.value("lv_cavity")}
    for frame, shape in ((2, THREE[0].ed), (7, THREE[0].es)):
        cavity, mask = shape.inside(), masks[frame] > 0
        assert 2 * (mask & cavity).sum() / (mask.sum() + cavity.sum()) > 0.95


def test_ef_of_the_masks_is_the_table_s(tmp_path: Path) -> None:
    source, dest = make_echonet(tmp_path / "in", THREE), tmp_path / "out"
    prepare("echonet", source, dest)
    for video, record in zip(THREE, manifest.scan(dest, strict=True), strict=True):
        masks = nifti.read_mask(dest / "labels" / "final" / record.path.name)
        image = masked_image(record, masks, nifti.read(record.path).grid, CAMUS_LABELS)
        row = next(
            row
            for row in measure_study([image]).rows
            if row.method is Method.SINGLE_PLANE_A4C and row.convention is Convention.GUIDELINE
        )
        assert row.edv_ml is None and row.ef_pct == pytest.approx(video.ef_pct, abs=2.5)


def test_twice_changes_nothing(tmp_path: Path) -> None:
    source, dest = make_echonet(tmp_path / "in", THREE[:1]), tmp_path / "out"
    first = prepare("echonet", source, dest)
    before = {path: path.stat().st_mtime_ns for path in dest.rglob("*.nii.gz")}
    assert prepare("echonet", source, dest) == first
    assert {path: path.stat().st_mtime_ns for path in dest.rglob("*.nii.gz")} == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",2\n", ",\n", "VolumeTracings.csv, line 2: Frame is ''; expected a frame number from 0"),
        (",2\n", ",-2\n", "line 2: Frame is '-2'"),
        ("0X1A2B3C.avi,", "0X1A2B3C.avi,wide", r"line 2: X1 is 'wide[\d.]+'; expected pixels"),
        (",2\n", ",3\n", r"3 frames were traced, expected two"),
        ("0X1A2B3C.avi", "0X9.avi", r"frame 2: 20 lines were traced, expected 21"),
    ],
)
def test_broken_tracings_cost_the_mask_only(tmp_path: Path, old: str, new: str, says: str) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    replace_in(source / "VolumeTracings.csv", old, new, 1)
    report = prepare("echonet", source, tmp_path / "out")
    assert (report.images, report.labels) == (3, 2)
    assert [name for name, _ in report.skipped] == ["0X1A2B3C_4CH_cine"]
    assert re.search(says, report.skipped[0][1])
    row = manifest.read(tmp_path / "out")[0]
    assert (row.ed_frame, row.es_frame) == (None, None)


def test_a_video_that_was_not_traced(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    table = source / "VolumeTracings.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "0X2" not in line))
    report = prepare("echonet", source, tmp_path / "out")
    assert report.skipped == (("0X2_4CH_cine", "0X2: no tracings in VolumeTracings.csv"),)


def test_a_table_that_was_cut_off(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    text = (source / "VolumeTracings.csv").read_text()
    (source / "VolumeTracings.csv").write_text(text[: len(text) - 400])
    report = prepare("echonet", source, tmp_path / "out")
    assert (report.images, report.labels) == (3, 2)
    assert report.skipped[0][0] == "0X3_4CH_cine"


def test_a_frame_behind_the_end(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", (Video(es_frame=12, frames=10),))
    report = prepare("echonet", source, tmp_path / "out")
    assert report.skipped[0][1] == "frame 12 was traced, but the video has 10, counted from 0"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",TRAIN", ",train set", "line 2: Split is 'TRAIN SET'; expected one of TRAIN, VAL, TEST"),
        (",50,10,", ",0,10,", "FPS is '0'; expected frames per second"),
        (",50,10,", ",50,ten,", "NumberOfFrames is 'ten'; expected 1 or more"),
        (",50,10,TRAIN", "", "NumberOfFrames is ''"),
        ("0X1A2B3C,", "../0X1A2B3C,", "FileName is '../0X1A2B3C'; expected the name of a video"),
        ("0X1A2B3C,", "0X2,", "0X2 occurs twice"),
        ("0X1A2B3C,", "0X1A2B3C,1", r"EF is '1\d\d.*'; expected a percentage"),
    ],
)
def test_a_broken_row_is_skipped_and_the_rest_goes_on(tmp_path: Path, old: str, new: str, says: str) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    replace_in(source / "FileList.csv", old, new, 1)
    report = prepare("echonet", source, tmp_path / "out")
    assert report.images == 2 and len(report.skipped) == 1
    assert re.search(says, report.skipped[0][1])


def test_names_with_their_suffix_are_the_same_videos(tmp_path: Path) -> None:
    source = make_echonet(tmp_path, THREE)
    replace_in(source / "FileList.csv", "0X2,", "0X2.avi,")
    assert [record.patient for record in echonet.listing(source).records] == ["0X1A2B3C", "0X2", "0X3"]


@pytest.mark.parametrize("listed", ["", ".avi", ".AVI", ".Avi"])
@pytest.mark.parametrize("traced", ["", ".avi", ".AVI"])
@pytest.mark.parametrize("stored", [".avi", ".AVI"])
def test_both_tables_name_videos_with_their_suffix_or_without(
    tmp_path: Path, listed: str, traced: str, stored: str
) -> None:
    source = make_echonet(tmp_path, THREE)
    replace_in(source / "FileList.csv", "0X2,", f"0X2{listed},")
    replace_in(source / "VolumeTracings.csv", "0X2.avi,", f"0X2{traced},")
    video = source / "Videos" / "0X2.avi"
    video.rename(video.with_suffix(stored))
    listing = echonet.listing(source)
    (entry,) = (entry for entry in listing.entries if entry.record.patient == "0X2")
    assert callable(entry.image) and callable(entry.masks)
    clip = entry.image()
    assert clip.pixels.shape[0] == len(THREE[1].pixels()) and entry.masks(clip.pixels.shape).any()
    assert entry.record.path.suffix == stored and entry.record.image_id == "0X2_4CH_cine"


def test_missing_videos_are_counted_and_not_listed_one_by_one(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    for name in ("0X2", "0X3"):
        (source / "Videos" / f"{name}.avi").unlink()
    report = prepare("echonet", source, tmp_path / "out")
    assert (report.images, report.labels) == (1, 1)
    assert report.skipped == (("Videos", "2 of 3 videos are missing, the first is 0X2.avi; download them"),)


def test_a_truncated_video_costs_itself(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", THREE)
    path = source / "Videos" / "0X2.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = prepare("echonet", source, tmp_path / "out")
    assert (report.images, report.labels) == (2, 2)
    assert report.skipped[0][0] == "0X2_4CH_cine" and "0X2.avi" in report.skipped[0][1]
    assert not (tmp_path / "out" / "0X2_4CH_cine.nii.gz").exists()


def test_a_video_shorter_than_the_table_says(tmp_path: Path) -> None:
    source = make_echonet(tmp_path / "in", THREE[:1])
    replace_in(source / "FileList.csv", ",50,10,", ",50,170,")
    report = prepare("echonet", source, tmp_path / "out")
    assert "0X1A2B3C.avi: truncated, 10 of 170 frames" in report.skipped[0][1]


@pytest.mark.parametrize("lost", ["FileList.csv", "VolumeTracings.csv", "Videos"])
def test_partial_downloads_say_what_is_missing(tmp_path: Path, lost: str) -> None:
    source = make_echonet(tmp_path / "in")
    (source / lost).rename(tmp_path / lost)
    with pytest.raises(DatasetError, match=rf"no {re.escape(lost)}; expected FileList\.csv, VolumeTracings"):
        prepare("echonet", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "column"), [("FileList.csv", "Split"), ("VolumeTracings.csv", "Frame")])
def test_other_tables(tmp_path: Path, name: str, column: str) -> None:
    source = make_echonet(tmp_path)
    replace_in(source / name, column, "Other", 1)
    with pytest.raises(DatasetError, match=rf"{name}, line 1: no column {column}"):
        echonet.listing(source)
    (source / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read as text"):
        echonet.listing(source)


def test_without_pyav_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_echonet(tmp_path / "in")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageReadError, match=r"pip install 'cardiolabel\[video\]'"):
        prepare("echonet", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
