"""Cines of DICOM files: order by space and time, spacing from positions, and broken series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cardiolabel.domain import Stack
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.dicom_cine import CineSeries, read_series

from .dicom_files import NORMAL, OBLIQUE, numbered, write_cine, write_dicom, write_enhanced


def number_of(path: Path) -> int:
    return int(path.stem)


def change(path: Path, **tags: object) -> None:
    file = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    file.save_as(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cine(tmp_path)
    return tmp_path


def series(folder: Path) -> CineSeries:
    return read_series(folder.glob("*.dcm"))


def test_slices_go_along_the_normal_and_phases_along_time(folder: Path) -> None:
    result = series(folder)
    assert [[number_of(path) for path in of_slice] for of_slice in result.files] == [
        [9, 10, 11, 12],
        [5, 6, 7, 8],
        [1, 2, 3, 4],
    ]
    assert (result.phases, result.shape) == (4, (6, 5))
    assert (result.spacing.row_mm, result.spacing.col_mm, result.slice_spacing_mm) == (1.5, 1.2, 8.0)
    assert result.places()[folder / "6.dcm"] == (1, 1)


def test_time_counts_before_the_instance_number_and_names_count_nothing(folder: Path) -> None:
    for path, instance in zip(sorted(folder.glob("*.dcm")), range(500, 0, -1), strict=False):
        change(path, InstanceNumber=str(instance))
        path.rename(path.with_name(f"{instance}-{path.name}"))
    assert [number_of(Path(path.stem.split("-")[1])) for path in series(folder).files[2]] == [1, 2, 3, 4]


def test_without_trigger_times_the_instance_number_counts(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        change(path, TriggerTime=None)
    assert [number_of(path) for path in series(folder).files[0]] == [9, 10, 11, 12]


def test_the_whole_cine_and_one_phase_of_it(folder: Path) -> None:
    result = series(folder)
    cine, stack = result.pixels(), result.stack(2)
    assert cine.shape == (4, 3, 6, 5) and cine.dtype == np.int16
    np.testing.assert_array_equal(cine[2], stack.pixels)
    np.testing.assert_array_equal(stack.pixels[0], numbered(11))
    assert isinstance(stack, Stack) and stack.slice_spacing_mm == 8.0


def test_the_affine_places_pixels_where_dicom_does(folder: Path) -> None:
    result = series(folder)
    row, col, index = 4, 3, 2
    lps = (
        np.array([10.0, 20.0, 30.0])
        + index * 8.0 * NORMAL
        + col * 1.2 * np.array(OBLIQUE[:3])
        + row * 1.5 * np.array(OBLIQUE[3:])
    )
    ras = result.affine @ [col, row, index, 1]
    np.testing.assert_allclose(ras, [-lps[0], -lps[1], lps[2], 1], atol=1e-6)


def test_rounded_positions_and_directions_are_one_stack(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        if number_of(path) % 2:
            change(path, ImageOrientationPatient=["0.80001", "0.59999", "0", "0", "0.00001", "-1"])
    moved = np.array([10.01, 20, 30]) + 16 * NORMAL
    change(folder / "1.dcm", ImagePositionPatient=[f"{value:.3f}" for value in moved])
    assert series(folder).slice_spacing_mm == pytest.approx(8, abs=0.01)


def test_the_distance_is_not_what_the_header_says_of_thickness(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        change(path, SliceThickness="6", SpacingBetweenSlices="6")
    assert series(folder).slice_spacing_mm == 8.0


def test_rescaled_values_are_what_they_mean(folder: Path) -> None:
    for path in folder.glob("*.dcm"):
        change(path, RescaleSlope="0.5", RescaleIntercept="-1")
    np.testing.assert_allclose(series(folder).stack(0).pixels[0], numbered(9) * 0.5 - 1)


def lose_a_slice(folder: Path) -> None:
    write_cine(folder, slices=4)
    for number in (5, 6, 7, 8):
        (folder / f"{number}.dcm").unlink()


def move_a_slice(folder: Path) -> None:
    for number in (1, 2, 3, 4):
        moved = np.array([10.0, 20.0, 30.0]) + 16 * NORMAL + 3 * np.array(OBLIQUE[:3])
        change(folder / f"{number}.dcm", ImagePositionPatient=[f"{value:.3f}" for value in moved])


def repeat_a_file(folder: Path) -> None:
    (folder / "99.dcm").write_bytes((folder / "5.dcm").read_bytes())


def lie_beside(folder: Path) -> None:
    moved = np.array([10.0, 20.0, 30.0]) + 16 * NORMAL + 3 * np.array(OBLIQUE[:3])
    change(folder / "2.dcm", ImagePositionPatient=[f"{value:.3f}" for value in moved])


def keep_one_slice(folder: Path) -> None:
    for number in range(5, 13):
        (folder / f"{number}.dcm").unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lose_a_slice, r"slices of 9\.dcm and 1\.dcm are 16\.00 mm apart.*others 8\.00 mm"),
        (move_a_slice, r"slices of 5\.dcm and 1\.dcm are 8\.00 mm apart and 3\.00 mm sideways"),
        (repeat_a_file, r"5\.dcm and 99\.dcm show one slice at one time"),
        (lie_beside, r"1\.dcm and 2\.dcm lie beside each other"),
        (keep_one_slice, r"slice of 1\.dcm; expected two slices or more"),
        (lambda folder: (folder / "7.dcm").unlink(), r"slice of 5\.dcm has 3 phases, others have 4"),
        (
            lambda folder: change(folder / "7.dcm", PixelSpacing=["2", "2"]),
            r"7\.dcm: .* one cine has one size",
        ),
        (lambda folder: change(folder / "7.dcm", Rows=5, Columns=6), r"7\.dcm: \(5, 6\) pixels"),
        (lambda folder: change(folder / "7.dcm", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "direction"),
        (lambda folder: change(folder / "7.dcm", ImageOrientationPatient=[0, 0, 0, 0, 1, 0]), "no direction"),
        (
            lambda folder: change(folder / "7.dcm", ImagePositionPatient=None),
            "7.dcm: no ImagePositionPatient",
        ),
        (lambda folder: change(folder / "7.dcm", PixelSpacing=None), "7.dcm: no PixelSpacing"),
        (lambda folder: change(folder / "7.dcm", PixelSpacing="1.5"), "7.dcm: position, size or time"),
        (lambda folder: change(folder / "7.dcm", PixelSpacing=["0", "0"]), "row_mm must be a positive"),
    ],
)
def test_what_is_no_stack_is_refused_by_name(folder: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(folder)
    with pytest.raises(ImageContentError, match=says):
        series(folder)


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(ImageContentError, match="no files"):
        series(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not DICOM", b"\0" * 400])
def test_other_content(folder: Path, content: bytes) -> None:
    (folder / "7.dcm").write_bytes(content)
    with pytest.raises(ImageReadError, match=r"7\.dcm: not a readable DICOM file.*copy it again"):
        series(folder)


def test_a_missing_file(folder: Path) -> None:
    with pytest.raises(ImageReadError, match=r"gone\.dcm: no such file"):
        read_series([folder / "gone.dcm"])


@pytest.mark.parametrize("keep", [0.5, 0.97])
def test_a_truncated_file_is_noticed_with_its_pixels(folder: Path, keep: float) -> None:
    content = (folder / "7.dcm").read_bytes()
    (folder / "7.dcm").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises((ImageReadError, ImageContentError), match=r"7\.dcm"):
        series(folder).pixels()


def test_several_frames_in_one_file_are_refused(folder: Path) -> None:
    write_dicom(
        folder / "7.dcm",
        numbered(7, (12, 5)),
        position_mm=np.array([10.0, 20, 30]) + 8 * NORMAL,
        trigger_ms=100,
        instance=7,
        NumberOfFrames="2",
        Rows=6,
    )
    with pytest.raises(ImageContentError, match=r"7\.dcm: \(2, 6, 5\) pixels"):
        series(folder).stack(2)


def test_an_enhanced_file_is_the_cine_of_its_frames(tmp_path: Path) -> None:
    classic = write_cine(tmp_path / "classic", slices=3, phases=4)
    rng = np.random.default_rng(0)
    shuffled = [classic[index] for index in rng.permutation(len(classic))]
    enhanced = read_series([write_enhanced(tmp_path / "enhanced.dcm", shuffled)])
    expected = read_series(classic)
    assert enhanced.phases == expected.phases == 4
    np.testing.assert_allclose(enhanced.affine, expected.affine)
    for phase in range(4):
        np.testing.assert_array_equal(enhanced.stack(phase).pixels, expected.stack(phase).pixels * 2 + 1)


def test_an_enhanced_file_that_describes_other_frames_is_refused(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", write_cine(tmp_path / "classic", slices=3, phases=2))
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 7
    dataset.save_as(path)
    with pytest.raises(ImageContentError, match="describes 6 of 7 frames"):
        read_series([path])
