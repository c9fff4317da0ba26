"""Annotators compared on the images that both read: numbers, reasons, and what must not matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Phase, Record
from cardiolabel.errors import DatasetError
from cardiolabel.evaluation.annotators import figure
from cardiolabel.evaluation.annotators.agreement import agreement_json
from cardiolabel.evaluation.annotators.figure import agreement_png
from cardiolabel.io import nifti
from cardiolabel.measurements.agreement import agreement
from cardiolabel.measurements.mask_agreement import compare_masks
from cardiolabel.records import manifest
from cardiolabel.reporting.bland_altman import PairedValues
from cardiolabel.studies.reading import Reading
from cardiolabel.studies.studies import Studies

Masks = NDArray[np.uint8]
STRUCTURES = ("lv_cavity", "myocardium", "left_atrium", "epicardium")
STILLS = ("phantom01_4CH_ED", "phantom01_4CH_ES", "phantom01_2CH_ED", "phantom01_2CH_ES")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms: stills, stills and cines, cines only, stills."""
    folder = tmp_path_factory.mktemp("studies") / "sample"
    write_sample(folder, patients=4, seed=1)
    return folder


@pytest.fixture(scope="module")
def studies(folder: Path) -> Studies:
    return Studies(folder)


class Readers:
    """Masks of annotators, written where a test may spoil them."""

    def __init__(self, studies: Studies, folder: Path) -> None:
        self.studies, self.folder = studies, folder

    def read(
        self,
        annotator: str,
        change: Callable[[Record, Masks], Masks] = lambda _, masks: masks,
        *,
        images: Iterable[str] | None = None,
    ) -> list[Reading]:
        """The true masks of these images, changed the way this annotator draws; of all by default."""
        expected = set(images) if images is not None else self.studies.by_id().keys()
        result = []
        for record in self.studies.records():
            if record.image_id in expected:
                masks = nifti.read_mask(self.studies.folder / "truth" / record.path.name)
                path = self.folder / annotator / record.path.name
                nifti.write_mask(change(record, masks), path, spacing=self.studies.image(record).clip.spacing)
                result.append(Reading(record.image_id, annotator, path, saved_at=1.0))
        return result

    def json(self, *readings: list[Reading]) -> dict[str, Any]:
        result = agreement_json([item for each in readings for item in each], self.studies)
        json.dumps(result, allow_nan=False)
        return result


@pytest.fixture
def readers(studies: Studies, tmp_path: Path) -> Readers:
    return Readers(studies, tmp_path)


def tighter(masks: Masks, pixels: int) -> Masks:
    """A cavity drawn further inside; what it loses is myocardium."""
    inside = np.stack([binary_erosion(mask == 1, iterations=pixels) for mask in masks])
    return np.where((masks == 1) & ~inside, 2, masks).astype(np.uint8)


def tighter_at_es(record: Record, masks: Masks) -> Masks:
    """By 2 to 5 pixels, depending on the patient, at ES only."""
    pixels = 1 + int(record.patient[-1])
    if record.phase is Phase.ES:
        return tighter(masks, pixels)
    if record.phase is Phase.CINE and record.es_frame:
        at = slice(record.es_frame - 1, record.es_frame)
        masks[at] = tighter(masks[at], pixels)
    return masks


def ef(rows: list[dict[str, Any]], method: str = "biplane", convention: str = "guideline") -> dict[str, Any]:
    (row,) = [row for row in rows if (row["method"], row["convention"]) == (method, convention)]
    return row


def image(pair: dict[str, Any], image_id: str) -> dict[str, Any]:
    (row,) = [row for row in pair["images"] if row["image_id"] == image_id]
    return row


def test_identical_readings_agree_fully(readers: Readers, studies: Studies) -> None:
    result = readers.json(readers.read("anna"), readers.read("ben"))
    assert result["schema"] == "cardiolabel-agreement-1"
    (pair,) = result["pairs"]
    assert [row["image_id"] for row in pair["images"]] == [record.image_id for record in studies.records()]
    for row in pair["images"]:
        assert row["reason"] == "" and tuple(row["structures"]) == STRUCTURES
        for structure in row["structures"].values():
            assert (structure["dice"], structure["hd_mm"], structure["reasons"]) == (1, 0, [])
    for mean in pair["structures"].values():
        assert (mean["dice"], mean["hd_mm"], mean["reason"]) == (1, 0, "")
        assert mean["dice_images"] == mean["hd_images"] == len(pair["images"])
    for patient in pair["patients"]:
        assert ef(patient["ef"])["ef_difference_pct"] == 0
    overall = ef(pair["ef"])
    assert (overall["n"], overall["reason"]) == (4, "")
    for name in ("bias_pct", "sd_pct", "lower_limit_pct", "upper_limit_pct", "mean_absolute_difference_pct"):
        assert overall[name] == 0
    assert overall["bias_interval_pct"] == [0, 0]


def test_numbers_are_those_of_the_products_own_measurement(readers: Readers, folder: Path) -> None:
    result = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))
    (pair,) = result["pairs"]
    assert pair["annotators"] == ["anna", "ben"]
    values = []
    for patient in pair["patients"]:
        measured = {}
        for name in pair["annotators"]:
            each = Studies(folder, label_folders={"final": readers.folder / name})
            rows = each.measure(patient["patient"]).study.rows
            measured[name] = next(row.ef_pct for row in rows if row.method == "biplane")
        row = ef(patient["ef"])
        assert row["ef_pct"] == pytest.approx(measured, abs=1e-4)
        assert row["ef_difference_pct"] == pytest.approx(measured["anna"] - measured["ben"], abs=1e-4)
        assert row["ef_difference_pct"] < -1  # the smaller a ventricle at ES, the higher its EF
        assert row["reasons"] == {"anna": "", "ben": ""}
        values.append(list(measured.values()))
    first, second = np.array(values).T
    expected, overall = agreement(first, second), ef(pair["ef"])
    assert overall["n"] == 4
    assert overall["bias_pct"] == pytest.approx(expected.bias, abs=1e-3)
    assert overall["sd_pct"] == pytest.approx(expected.sd, abs=1e-3)
    assert (overall["lower_limit_pct"], overall["upper_limit_pct"]) == pytest.approx(
        expected.limits, abs=1e-3
    )
    assert overall["mean_absolute_difference_pct"] == pytest.approx(expected.mae, abs=1e-3)
    assert overall["upper_limit_interval_pct"] == pytest.approx(
        [expected.limits[1] - expected.limit_margin, expected.limits[1] + expected.limit_margin], abs=1e-3
    )


def test_masks_are_compared_in_their_images_pixel_size(readers: Readers, studies: Studies) -> None:
    (pair,) = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))["pairs"]
    record = studies.record("phantom04_2CH_ES")
    spacing = studies.image(record).clip.spacing
    assert spacing is not None
    masks = [nifti.read_mask(readers.folder / name / record.path.name) for name in ("anna", "ben")]
    row = image(pair, record.image_id)
    assert (row["patient"], row["view"], row["phase"]) == ("phantom04", "A2C", "ES")
    labels = studies.masked(record, record.path.parent / "truth" / record.path.name).labels
    for each in compare_masks(*masks, labels=labels, spacing=spacing, stack=False):
        assert row["structures"][each.structure]["dice"] == pytest.approx(each.dice, abs=1e-4)
        assert row["structures"][each.structure]["hd_mm"] == pytest.approx(each.hd_mm, abs=1e-4)
    assert row["structures"]["lv_cavity"]["hd_mm"] >= 5 * spacing.row_mm
    assert row["structures"]["epicardium"]["hd_mm"] == 0
    rows = [each["structures"]["lv_cavity"]["dice"] for each in pair["images"]]
    assert pair["structures"]["lv_cavity"]["dice"] == pytest.approx(np.mean(rows), abs=1e-4)


def test_a_cine_names_its_worst_frame(readers: Readers, studies: Studies) -> None:
    (pair,) = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))["pairs"]
    record = studies.record("phantom03_4CH_cine")
    assert record.es_frame is not None
    cavity = image(pair, record.image_id)["structures"]["lv_cavity"]
    assert cavity["frames"] == cavity["shared_frames"] == studies.image(record).clip.shape[0]
    assert cavity["worst_frame"] == record.es_frame - 1
    assert cavity["hd_mm"] == pytest.approx(cavity["worst_hd_mm"] / cavity["frames"], abs=1e-3)
    (cines_only,) = [each for each in pair["patients"] if each["patient"] == "phantom03"]
    assert ef(cines_only["ef"])["ef_difference_pct"] < -1


def test_swapping_annotators_turns_the_sign_and_nothing_else(readers: Readers) -> None:
    (only,) = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))["pairs"]
    (other,) = readers.json(readers.read("ben"), readers.read("anna", tighter_at_es))["pairs"]
    for mine, theirs in zip(only["images"], other["images"], strict=True):
        assert mine == theirs
    assert only["structures"] == other["structures"]
    for mine, theirs in zip(only["ef"], other["ef"], strict=True):
        assert (mine["n"], mine["sd_pct"]) == (theirs["n"], theirs["sd_pct"])
        if mine["n"]:
            assert mine["bias_pct"] == -theirs["bias_pct"] < 0
            assert mine["lower_limit_pct"] == -theirs["upper_limit_pct"]
            assert mine["lower_limit_interval_pct"] == [
                -end for end in theirs["upper_limit_interval_pct"][::-1]
            ]


def test_an_ef_is_measured_from_shared_images_only(readers: Readers) -> None:
    (pair,) = readers.json(readers.read("anna"), readers.read("ben", images=STILLS[:2]))["pairs"]
    assert [row["image_id"] for row in pair["images"]] == list(STILLS[:2])
    (patient,) = pair["patients"]
    assert patient["images"] == list(STILLS[:2])
    biplane = ef(patient["ef"])
    assert biplane["ef_pct"] == {"anna": None, "ben": None} and biplane["ef_difference_pct"] is None
    assert biplane["reasons"] == {"anna": "no A2C image", "ben": "no A2C image"}
    assert ef(patient["ef"], "single-plane-A4C")["ef_difference_pct"] == 0
    assert ef(pair["ef"])["reason"] == "no A2C image"
    single = ef(pair["ef"], "single-plane-A4C")
    assert single["n"] == 1 and single["bias_pct"] is single["bias_interval_pct"] is None
    assert single["reason"] == (
        "agreement needs at least 3 patients with an EF from both annotators, found 1"
    )


def test_three_annotators_and_one_who_shares_nothing(readers: Readers) -> None:
    result = readers.json(
        readers.read("carla", images=STILLS),
        readers.read("anna", images=STILLS),
        readers.read("ben", images=STILLS[2:]),
        readers.read("dan", images=["phantom04_4CH_ED"]),
    )
    assert result["annotators"] == [
        {"annotator": "anna", "images": 4, "shared_images": 4},
        {"annotator": "ben", "images": 2, "shared_images": 2},
        {"annotator": "carla", "images": 4, "shared_images": 4},
        {"annotator": "dan", "images": 1, "shared_images": 0},
    ]
    shared = {tuple(pair["annotators"]): len(pair["images"]) for pair in result["pairs"]}
    assert shared == {("anna", "ben"): 2, ("anna", "carla"): 4, ("ben", "carla"): 2}
    both_views = {tuple(pair["annotators"]): ef(pair["patients"][0]["ef"]) for pair in result["pairs"]}
    assert both_views["anna", "carla"]["ef_difference_pct"] == 0
    assert both_views["anna", "ben"]["ef_difference_pct"] is None


def test_the_last_of_several_readings_counts(readers: Readers) -> None:
    early = readers.read("ben", lambda _, masks: tighter(masks, 6), images=STILLS)
    aside = readers.folder / "early"
    (readers.folder / "ben").rename(aside)
    early = [replace(each, masks_file=aside / each.masks_file.name, saved_at=0.5) for each in early]
    late = readers.read("ben", images=STILLS)
    (pair,) = readers.json(late, early, readers.read("anna", images=STILLS))["pairs"]
    assert len(pair["images"]) == 4
    assert all(row["structures"]["lv_cavity"]["dice"] == 1 for row in pair["images"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def other_shape(path: Path) -> None:
    nifti.write_mask(nifti.read_mask(path)[:, 1:], path, spacing=None)


def other_values(path: Path) -> None:
    nifti.write_mask(nifti.read_mask(path) * 50, path, spacing=None)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "not a readable NIfTI file"),
        (lambda path: path.write_bytes(b""), "not a readable NIfTI file"),
        (Path.unlink, "no such file"),
        (other_shape, "does not fit its image"),
        (other_values, "label values 50, 100, 150 are unknown"),
    ],
    ids=["cut", "empty", "missing", "other shape", "other values"],
)
def test_a_spoiled_mask_costs_its_row_and_says_why(
    readers: Readers, spoil: Callable[[Path], object], reason: str
) -> None:
    ours, theirs = readers.read("anna", images=STILLS), readers.read("ben", images=STILLS)
    spoil(theirs[0].masks_file)
    (pair,) = readers.json(ours, theirs)["pairs"]
    first, *others = pair["images"]
    assert first["structures"] == {}
    assert first["reason"].startswith("mask by ben: phantom01_4CH_ED.nii.gz: ") and reason in first["reason"]
    assert all(row["structures"]["lv_cavity"]["dice"] == 1 for row in others)
    assert pair["structures"]["lv_cavity"]["dice_images"] == 3
    assert pair["structures"]["lv_cavity"]["reason"] == (
        "no Dice in 1 of 4 images; no distance in mm in 1 of 4 images"
    )
    biplane = ef(pair["patients"][0]["ef"])
    assert biplane["ef_pct"] == {"anna": None, "ben": None}  # neither from other images than the other
    assert all(reason in why for why in biplane["reasons"].values())
    assert ef(pair["patients"][0]["ef"], "single-plane-A2C")["ef_difference_pct"] == 0


def test_an_empty_mask_is_a_reading(readers: Readers) -> None:
    ours = readers.read("anna", images=STILLS[:1])
    theirs = readers.read("ben", lambda _, masks: masks * 0, images=STILLS[:1])
    (pair,) = readers.json(ours, theirs)["pairs"]
    cavity = pair["images"][0]["structures"]["lv_cavity"]
    assert (cavity["dice"], cavity["hd_mm"], cavity["shared_frames"]) == (0, None, 0)
    assert cavity["reasons"][0].startswith("only anna has the LV cavity in 1 of 1 frames")
    assert pair["structures"]["lv_cavity"]["reason"] == "no distance in mm in 1 of 1 images"


def test_an_image_that_is_gone_is_named(readers: Readers) -> None:
    ours, theirs = readers.read("anna", images=STILLS), readers.read("ben", images=STILLS)
    gone = [replace(ours[0], image_id="gone"), replace(theirs[0], image_id="gone")]
    (pair,) = readers.json(ours, theirs, gone)["pairs"]
    assert len(pair["images"]) == 5
    assert image(pair, "gone") == {
        "image_id": "gone",
        "patient": None,
        "view": None,
        "phase": None,
        "structures": {},
        "reason": "no image 'gone' in this studies folder",
    }
    assert ef(pair["patients"][0]["ef"])["ef_difference_pct"] == 0


def test_without_pixel_size_there_is_an_ef_but_no_distance(tmp_path: Path, studies: Studies) -> None:
    bare = tmp_path / "bare"
    records = [studies.record(image_id) for image_id in STILLS]
    for record in records:
        nifti.write_clip(replace(studies.image(record).clip, spacing=None), bare / record.path.name)
        truth = nifti.read_mask(studies.folder / "truth" / record.path.name)
        nifti.write_mask(truth, bare / "truth" / record.path.name, spacing=None)
    manifest.write([replace(record, path=bare / record.path.name) for record in records], bare)
    readers = Readers(Studies(bare), tmp_path)
    (pair,) = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))["pairs"]
    cavity = pair["images"][0]["structures"]["lv_cavity"]
    assert (cavity["dice"], cavity["hd_mm"]) == (1, None)
    assert cavity["reasons"] == ["no distance in mm: the file carries no pixel spacing"]
    single = ef(pair["patients"][0]["ef"], "single-plane-A4C")
    assert single["ef_difference_pct"] < 0
    assert all("no pixel spacing" in why for why in single["reasons"].values())


def test_without_readings_agreement_is_refused(readers: Readers) -> None:
    result = readers.json()
    assert result == {"schema": "cardiolabel-agreement-1", "annotators": [], "pairs": []}
    assert agreement_png(result).startswith(b"\x89PNG")


def test_a_folder_that_is_gone_is_no_row(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        agreement_json([], Studies(tmp_path / "gone"))


# The picture


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[PairedValues]:
    """The panels that would be drawn."""
    panels: list[PairedValues] = []

    def keep(found: list[PairedValues], *, empty: str) -> bytes:
        assert empty
        panels.extend(found)
        return b""

    monkeypatch.setattr(figure, "bland_altman_png", keep)
    return panels


def test_the_picture_shows_the_biplane_ef(readers: Readers, drawn: list[PairedValues]) -> None:
    result = readers.json(
        readers.read("anna"), readers.read("ben", tighter_at_es), readers.read("carla", images=STILLS)
    )
    assert agreement_png(json.loads(json.dumps(result))) == b""
    assert [panel.names for panel in drawn] == [("anna", "ben"), ("anna", "carla"), ("ben", "carla")]
    panel = drawn[0]
    assert panel.quantity == "EF, biplane, guideline"
    assert panel.cases == ("phantom01", "phantom02", "phantom03", "phantom04")
    differences = [ef(each["ef"])["ef_difference_pct"] for each in result["pairs"][0]["patients"]]
    assert panel.first - panel.second == pytest.approx(differences, abs=1e-3)
    assert drawn[1].cases == ("phantom01",)


def test_a_method_that_three_patients_have_is_shown_instead(
    readers: Readers, studies: Studies, drawn: list[PairedValues]
) -> None:
    a4c = [record.image_id for record in studies.records() if record.view == "A4C"]
    ours = readers.read("anna", images=[*a4c, *STILLS])
    agreement_png(readers.json(ours, readers.read("ben", images=[*a4c, *STILLS])))
    assert drawn[0].quantity == "EF, single-plane-A4C, guideline" and len(drawn[0].cases) == 4


def test_no_ef_at_all_is_a_panel_without_cases(readers: Readers, drawn: list[PairedValues]) -> None:
    agreement_png(
        readers.json(readers.read("anna", images=STILLS[:1]), readers.read("ben", images=STILLS[:1]))
    )
    assert drawn[0].cases == () and drawn[0].first.shape == (0,)


def test_the_picture_is_a_png(readers: Readers) -> None:
    result = readers.json(readers.read("anna"), readers.read("ben", tighter_at_es))
    assert agreement_png(result).startswith(b"\x89PNG")


def test_the_latest_stored_reading_counts_despite_clock_changes(readers: Readers) -> None:
    late = [replace(each, sequence=2, saved_at=0.5) for each in readers.read("ben", images=STILLS)]
    aside = readers.folder / "late"
    (readers.folder / "ben").rename(aside)
    late = [replace(each, masks_file=aside / each.masks_file.name) for each in late]
    early = readers.read("ben", lambda _, masks: tighter(masks, 6), images=STILLS)
    early = [replace(each, sequence=1, saved_at=9.0) for each in early]
    (pair,) = readers.json(early, late, readers.read("anna", images=STILLS))["pairs"]
    assert all(row["structures"]["lv_cavity"]["dice"] == 1 for row in pair["images"])
