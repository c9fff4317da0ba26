"""One patient of the Sunnybrook data: ED and ES, masks, the right cine, and what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from cardiolabel.datasets.sunnybrook import patients
from cardiolabel.datasets.sunnybrook_contours import Kind, read_contour
from cardiolabel.datasets.sunnybrook_patient import Patient, myocardium_drawn, numbered_files
from cardiolabel.domain import ACDC_LABELS, Phase
from cardiolabel.errors import DatasetError, ImageReadError

from .sunnybrook_files import (
    APART_MM,
    COL_MM,
    ED,
    ED_RADII_MM,
    ES,
    ES_RADII_MM,
    PHASES,
    ROW_MM,
    SHAPE,
    circle,
    make_official,
    save_contour,
)

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "sunnybrook"
CAVITY, MYOCARDIUM = ACDC_LABELS.value("lv_cavity"), ACDC_LABELS.value("myocardium")

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="Sunnybrook is not in ../shared/data")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_official(tmp_path)


def contours(root: Path) -> Path:
    return root / "SCD_ManualContours" / "SC-HF-I-01" / "contours-manual" / "IRCCI-expert"


def cine(root: Path) -> Path:
    return root / "SCD_IMAGES_01" / "SCD0000101" / "CINESAX_300"


def patient(root: Path) -> Patient:
    return patients(root)[0]


def test_ed_is_the_phase_whose_contours_enclose_more(root: Path) -> None:
    assert patient(root).frames == {Phase.ED: ED, Phase.ES: ES}


def test_ed_of_one_phase_even_where_a_slice_is_larger_at_es(root: Path) -> None:
    save_contour(contours(root) / f"IM-0001-{4 * PHASES + ES + 1:04d}-icontour-manual.txt", circle(14.0))
    result = patient(root)
    assert result.frames == {Phase.ED: ED, Phase.ES: ES}
    apical = [(result.masks(phase)[0] == CAVITY).sum() for phase in (Phase.ED, Phase.ES)]
    assert apical[1] > apical[0]


def test_stacks_go_along_the_normal_whatever_the_numbers_do(root: Path) -> None:
    result = patient(root)
    stack = result.stack(Phase.ED)
    last = len(ED_RADII_MM) - 1
    assert [int(pixels.min()) for pixels in stack.pixels] == [
        200 + (last - index) * PHASES + ED + 1 for index in range(len(ED_RADII_MM))
    ]
    assert (stack.spacing.row_mm, stack.spacing.col_mm, stack.slice_spacing_mm) == (ROW_MM, COL_MM, APART_MM)


def test_masks_lie_on_what_was_imaged(root: Path) -> None:
    result = patient(root)
    for phase in (Phase.ED, Phase.ES):
        bright = result.stack(phase).pixels > 500
        cavity = result.masks(phase) == CAVITY
        assert cavity.shape == (len(ED_RADII_MM), *SHAPE)
        assert 2 * (bright & cavity).sum() / (bright.sum() + cavity.sum()) > 0.99


def test_cavities_have_the_circles_areas(root: Path) -> None:
    result = patient(root)
    for phase, radii in ((Phase.ED, ED_RADII_MM), (Phase.ES, ES_RADII_MM)):
        areas_mm2 = (result.masks(phase) == CAVITY).sum(axis=(1, 2)) * ROW_MM * COL_MM
        expected = [np.pi * (radius or 0.0) ** 2 for radius in reversed(radii)]
        np.testing.assert_allclose(areas_mm2, expected, rtol=0.02)


def test_myocardium_is_drawn_at_ed_only(root: Path) -> None:
    result = patient(root)
    assert set(np.unique(result.masks(Phase.ES))) == {0, CAVITY}
    assert set(np.unique(result.masks(Phase.ED))) == {0, MYOCARDIUM, CAVITY}
    assert myocardium_drawn(result.masks(Phase.ED)).tolist() == [True, True, True, True, False]
    assert not myocardium_drawn(result.masks(Phase.ES)).any()


def test_papillary_muscles_on_request(root: Path) -> None:
    result = patient(root)
    inside, outside = result.masks(Phase.ED), result.masks(Phase.ED, papillary_in_cavity=False)
    removed_mm2 = ((inside == CAVITY) & (outside == MYOCARDIUM)).sum() * ROW_MM * COL_MM
    assert removed_mm2 == pytest.approx(np.pi * 4**2, rel=0.06)
    assert ((inside == CAVITY) != (outside == CAVITY)).any(axis=(1, 2)).tolist() == [False] * 2 + [True] + [
        False
    ] * 2


def test_the_whole_cine(root: Path) -> None:
    result = patient(root)
    pixels = result.cine()
    assert pixels.shape == (PHASES, len(ED_RADII_MM), *SHAPE)
    np.testing.assert_array_equal(pixels[ED], result.stack(Phase.ED).pixels)


def test_the_cine_is_the_folder_that_has_all_contoured_images(root: Path) -> None:
    other = cine(root).with_name("CINESAX_299")
    other.mkdir()
    shutil.copy(cine(root) / "IM-0003-0005.dcm", other)
    assert patient(root).frames[Phase.ED] == ED


def test_two_folders_that_could_be_the_cine_are_not_guessed_between(root: Path) -> None:
    shutil.copytree(cine(root), cine(root).with_name("CINESAX_301"))
    with pytest.raises(
        DatasetError, match=r"CINESAX_300, CINESAX_301 could all be the cine.*keep the right one"
    ):
        patient(root).stack(Phase.ED)


def test_a_missing_image_is_named_with_its_contour(root: Path) -> None:
    (cine(root) / "IM-0003-0011.dcm").unlink()
    with pytest.raises(
        DatasetError,
        match=r"CINESAX_300: 1 images that have contours are missing, the first is number 11 of IM-",
    ):
        patient(root).stack(Phase.ED)


def test_contours_at_one_phase_are_not_ed_and_es(root: Path) -> None:
    for index in range(1, 4):
        (contours(root) / f"IM-0001-{index * PHASES + ES + 1:04d}-icontour-manual.txt").unlink()
    with pytest.raises(DatasetError, match=r"SC-HF-I-1: endocardial contours at 1 phases, 5 \(IM-0001-0011"):
        patient(root).masks(Phase.ED)


def test_contours_at_three_phases_are_not_either(root: Path) -> None:
    save_contour(contours(root) / "IM-0001-0010-icontour-manual.txt", circle(10))
    with pytest.raises(DatasetError, match=r"at 3 phases, .*4 \(IM-0001-0010.*; expected two"):
        patient(root).stack(Phase.ES)


def test_outer_contours_of_other_phases_are_passed_over(root: Path) -> None:
    save_contour(contours(root) / "IM-0001-0010-ocontour-manual.txt", circle(20))
    assert patient(root).frames == {Phase.ED: ED, Phase.ES: ES}


def test_a_contour_beyond_its_image(root: Path) -> None:
    save_contour(contours(root) / "IM-0001-0011-icontour-manual.txt", circle(60))
    with pytest.raises(DatasetError, match=r"IM-0001-0011-icontour-manual\.txt: reaches beyond its image"):
        patient(root).masks(Phase.ED)


def test_a_truncated_image(root: Path) -> None:
    path = cine(root) / "IM-0003-0011.dcm"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ImageReadError, match=r"IM-0003-0011\.dcm: its pixels cannot be decoded"):
        patient(root).stack(Phase.ED)
    patient(root).stack(Phase.ES)


def test_numbers_are_the_last_of_a_name(tmp_path: Path) -> None:
    for name in ("IM-0003-0048.dcm", "7.dcm", "._IM-0003-0049.dcm", "localizer.dcm", "12.txt"):
        (tmp_path / name).touch()
    assert sorted(numbered_files(tmp_path)) == [7, 48]


@real_data
def test_a_real_patient() -> None:
    result = patients(REAL)[0]
    assert result.name == "SC-HF-I-1" and result.frames == {Phase.ED: 18, Phase.ES: 7}
    assert result.cine().shape == (20, 12, 256, 256)
    stack = result.stack(Phase.ED)
    assert (stack.slice_spacing_mm, stack.spacing.row_mm) == (10.0, 1.367188)
    drawn = (result.masks(Phase.ED) == CAVITY).any(axis=(1, 2))
    assert drawn.tolist() == [False] + [True] * 9 + [False] * 2


@real_data
def test_real_contours_lie_on_the_edge_of_the_cavity() -> None:
    """(1, 1) is the first pixel's centre: brightness falls most across contours that are so placed."""
    shifts = np.arange(-1.0, 1.01, 0.5)
    fall = np.zeros((len(shifts), len(shifts)))
    for result in patients(REAL):
        for contour in result.contours:
            if contour.kind is not Kind.ENDOCARDIUM:
                continue
            image = gaussian_filter(
                pydicom.dcmread(numbered_files(result.image_folders[0])[contour.image_number]).pixel_array
                * 1.0,
                0.5,
            )
            outline = read_contour(contour.path)
            tangent = np.roll(outline, -4, axis=0) - np.roll(outline, 4, axis=0)
            normal = (
                np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1)[:, None]
            )
            normal *= np.sign(((outline - outline.mean(axis=0)) * normal).sum())
            sharpness = np.zeros_like(fall)
            for i, row in enumerate(shifts):
                for j, col in enumerate(shifts):
                    within, beyond = (
                        map_coordinates(image, (outline + [row, col] + side * normal).T, order=1).mean()
                        for side in (-1, 1)
                    )
                    sharpness[i, j] = within - beyond
            fall += sharpness / np.abs(sharpness).max()
    best = np.unravel_index(fall.argmax(), fall.shape)
    assert (shifts[best[0]], shifts[best[1]]) == (0.0, 0.0)
