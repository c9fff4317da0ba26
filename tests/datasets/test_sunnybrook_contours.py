"""Sunnybrook's contour files: the pixel that (1, 1) means, masks, papillary muscles, broken files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.datasets.sunnybrook_contours import Kind, contour_files, read_contour, slice_mask
from cardiolabel.domain import ACDC_LABELS
from cardiolabel.errors import DatasetError
from cardiolabel.geometry.polygon import polygon_area

from .sunnybrook_files import SHAPE, circle, save_contour

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "sunnybrook"
CAVITY, MYOCARDIUM = ACDC_LABELS.value("lv_cavity"), ACDC_LABELS.value("myocardium")

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="Sunnybrook is not in ../shared/data")


def square(low: float, high: float) -> NDArray[np.float64]:
    return np.array([[low, low], [low, high], [high, high], [high, low]])


def test_x_y_count_from_1_and_come_back_as_row_col_from_0(tmp_path: Path) -> None:
    path = tmp_path / "IM-0001-0001-icontour-manual.txt"
    path.write_text("3.00 1.00\n5.50 1.00\n5.50 2.50\n")
    np.testing.assert_array_equal(read_contour(path), [[0, 2], [0, 4.5], [1.5, 4.5]])


def test_the_first_pixel_s_centre_is_at_1_1(tmp_path: Path) -> None:
    path = tmp_path / "IM-0001-0001-icontour-manual.txt"
    path.write_text("0.5 0.5\n1.5 0.5\n1.5 1.5\n0.5 1.5\n")
    mask = slice_mask({Kind.ENDOCARDIUM: [read_contour(path)]}, (4, 4))
    np.testing.assert_array_equal(np.argwhere(mask), [[0, 0]])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_a_contour(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "IM-0001-0001-icontour-manual.txt"
    path.write_bytes("3.00 1.00\r\n5.50 1.00\r\n5.50 2.50\r\n".encode(encoding))
    np.testing.assert_array_equal(read_contour(path), [[0, 2], [0, 4.5], [1.5, 4.5]])


def test_a_compressed_contour_under_a_text_file_s_name_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "IM-0001-0001-icontour-manual.txt"
    path.write_bytes(gzip.compress(b"3.00 1.00\n5.50 1.00\n5.50 2.50\n"))
    with pytest.raises(DatasetError, match=r"icontour-manual\.txt: .*compressed with gzip.*decompress it"):
        read_contour(path)


def test_a_contour_s_name_counts_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "IM-0001-0048-ICONTOUR-MANUAL.TXT").write_text("1 1\n2 1\n2 2\n")
    assert [file.image_number for file in contour_files(tmp_path)] == [48]


def test_what_lies_where() -> None:
    outlines = {Kind.ENDOCARDIUM: [square(3.5, 7.5)], Kind.EPICARDIUM: [square(1.5, 9.5)]}
    mask = slice_mask(outlines, (12, 12))
    assert (mask == CAVITY).sum() == 16 and (mask == MYOCARDIUM).sum() == 64 - 16
    assert mask[5, 5] == CAVITY and mask[2, 2] == MYOCARDIUM and mask[1, 1] == 0


def test_without_an_epicardium_there_is_no_myocardium() -> None:
    assert set(np.unique(slice_mask({Kind.ENDOCARDIUM: [square(3.5, 7.5)]}, (12, 12)))) == {0, CAVITY}


def test_below_the_cavity_all_within_the_epicardium_is_myocardium() -> None:
    assert set(np.unique(slice_mask({Kind.EPICARDIUM: [square(3.5, 7.5)]}, (12, 12)))) == {0, MYOCARDIUM}


def test_nothing_drawn_is_nothing_labelled() -> None:
    assert not slice_mask({}, (12, 12)).any()


def test_papillary_muscles_belong_to_the_cavity_unless_asked_otherwise() -> None:
    outlines = {
        Kind.ENDOCARDIUM: [square(1.5, 9.5)],
        Kind.EPICARDIUM: [square(0.5, 10.5)],
        Kind.PAPILLARY: [square(2.5, 4.5), square(6.5, 8.5)],
    }
    assert (slice_mask(outlines, (12, 12)) == CAVITY).sum() == 64
    without = slice_mask(outlines, (12, 12), papillary_in_cavity=False)
    assert (without == CAVITY).sum() == 64 - 8
    assert without[3, 3] == without[7, 7] == MYOCARDIUM
    del outlines[Kind.EPICARDIUM]
    without = slice_mask(outlines, (12, 12), papillary_in_cavity=False)
    assert without[3, 3] == 0 and not (without == MYOCARDIUM).any()


@pytest.mark.parametrize("radius_mm", [6.0, 15.0, 25.0])
def test_a_circle_s_area_in_anisotropic_pixels(tmp_path: Path, radius_mm: float) -> None:
    outline = read_contour(save_contour(tmp_path / "c.txt", circle(radius_mm)))
    exact = np.pi * radius_mm**2 / (1.25 * 1.5)
    assert polygon_area(outline) == pytest.approx(exact, rel=0.005)
    assert (slice_mask({Kind.ENDOCARDIUM: [outline]}, SHAPE) == CAVITY).sum() == pytest.approx(
        exact, rel=0.03
    )


def test_files_of_every_kind_wherever_they_lie(tmp_path: Path) -> None:
    names = (
        "IM-0001-0048-icontour-manual.txt",
        "o-contours/IM-0001-0059-ocontour-manual.txt",
        "IM-0001-0100-p1contour-manual.txt",
        "IM-0001-0100-p2contour-manual.txt",
    )
    for name in names:
        save_contour(tmp_path / name, circle(5))
    (tmp_path / "IM-0001-0007-icontour-manual.txt").touch()
    (tmp_path / "IM-0001-0008-icontour-auto.txt").write_text("1 1\n")
    (tmp_path / "README.txt").write_text("hello")
    result = sorted((file.image_number, file.kind) for file in contour_files(tmp_path))
    assert result == [
        (48, Kind.ENDOCARDIUM),
        (59, Kind.EPICARDIUM),
        (100, Kind.PAPILLARY),
        (100, Kind.PAPILLARY),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2\n3\n4 5\n", r"c\.txt, line 2: '3'; expected two numbers"),
        ("1 2\n3 4 5\n4 5\n", r"c\.txt, line 2: '3 4 5'; expected two numbers"),
        ("1 2\n3 x\n4 5\n", r"c\.txt, line 2"),
        ("1 2\nnan 4\n4 5\n", r"c\.txt, line 2: 'nan 4'; expected two finite"),
        ("1 2\n3 4\n", r"c\.txt: 2 points enclose nothing; download it again"),
        (" \n", r"c\.txt: 0 points"),
        ("1 2\n3 4\n5 \xff\n", r"c\.txt: cannot be read"),
    ],
)
def test_broken_files_name_themselves_and_the_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "c.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=says):
        read_contour(tmp_path / "c.txt")


@real_data
def test_masks_of_real_contours_have_the_contours_area() -> None:
    """Contours lie on the half-pixel grid: counting what lies on them gives 2 to 3 % too much."""
    for kind in "io":
        shares = []
        for path in REAL.rglob(f"*-{kind}contour-manual.txt"):
            outline = read_contour(path)
            pixels = (slice_mask({Kind.ENDOCARDIUM: [outline]}, (256, 256)) == CAVITY).sum()
            shares.append(pixels / polygon_area(outline))
        assert len(shares) >= 37
        assert np.mean(shares) == pytest.approx(1, abs=0.002)
        assert np.std(shares) < 0.006


@real_data
def test_real_contours_are_in_half_pixels() -> None:
    for path in REAL.rglob("*contour-manual.txt"):
        assert set(np.unique(read_contour(path) % 0.5)) == {0.0}
