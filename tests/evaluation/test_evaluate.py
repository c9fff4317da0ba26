"""Whole folders judged: numbers that belong to their masks, reasons for what is missing, files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardiolabel.domain import Phase, Record
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.evaluation.evaluate import Evaluation, evaluate
from cardiolabel.evaluation.files import (
    AGREEMENT_COLUMNS,
    IMAGE_COLUMNS,
    PATIENT_COLUMNS,
    SUMMARY_COLUMNS,
    VALIDITY_COLUMNS,
    write_evaluation,
)
from cardiolabel.evaluation.patients import ef_panels
from cardiolabel.evaluation.report import headline, report_markdown
from cardiolabel.evaluation.summary import (
    IN_NO_REFERENCE,
    NEVER_PREDICTED,
    NOT_DRAWN,
    NOT_SEGMENTED,
    card_metrics,
)
from cardiolabel.io import nifti
from cardiolabel.measurements.agreement import agreement
from cardiolabel.measurements.mask_agreement import compare_masks
from cardiolabel.studies.studies import Studies

from .folders import SPACING, Masks, predict, tighter, tighter_at_es, write_cines, write_echo, write_stacks

STRUCTURES = ("lv_cavity", "myocardium", "left_atrium", "epicardium")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_echo(tmp_path_factory.mktemp("echo") / "studies")


@pytest.fixture(scope="module")
def tight(echo: Path) -> Path:
    """Predictions of too small a cavity at ES."""
    return predict(echo, echo.parent / "tight", tighter_at_es)


@pytest.fixture(scope="module")
def judged(echo: Path, tight: Path) -> Evaluation:
    return evaluate(tight, echo)


def summary(evaluation: Evaluation) -> dict[str, Any]:
    result = evaluation.as_json()
    json.dumps(result, allow_nan=False)
    return result


def group(found: dict[str, Any], structure: str, kind: str = "all", of: str = "") -> dict[str, Any]:
    (only,) = [row for row in found["structures"][structure] if (row["group"], row["of"]) == (kind, of)]
    return only


def dice(found: dict[str, Any], structure: str, kind: str = "all", of: str = "") -> float:
    return float(group(found, structure, kind, of)["metrics"]["dice"]["mean"])


def figures(
    found: dict[str, Any], quantity: str = "ef_pct", method: str = "biplane", convention: str = "guideline"
) -> dict[str, Any]:
    expected = (method, convention, quantity)
    (row,) = [
        row for row in found["agreement"] if (row["method"], row["convention"], row["quantity"]) == expected
    ]
    return row


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_atrium(_: Record, masks: Masks) -> Masks:
    return np.where(masks == 3, 0, masks).astype(np.uint8)


def test_references_judged_by_themselves_are_perfect(echo: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = summary(
        evaluate(echo / "labels" / "final", echo, on_progress=lambda done, total: seen.append((done, total)))
    )
    assert seen == [(done, 20) for done in range(1, 21)]
    assert (result["images"], result["patients"], result["problems"]) == (20, 5, [])
    assert result["splits"] == {"TEST": 1, "TRAIN": 2, "VAL": 2}
    assert tuple(result["structures"]) == STRUCTURES
    for name in STRUCTURES:
        metrics = group(result, name)["metrics"]
        assert [metrics[each]["mean"] for each in ("dice", "iou", "pixel_accuracy")] == [1, 1, 1]
        assert [metrics[each]["worst"] for each in ("hd_mm", "hd95_mm", "msd_mm")] == [0, 0, 0]
        assert {metric["n"] for metric in metrics.values()} == {20}
    for quantity in ("ef_pct", "edv_ml", "esv_ml"):
        row = figures(result, quantity)
        assert (row["n"], row["r"], row["mae"], row["bias"], row["sd"]) == (5, 1, 0, 0, 0)
        assert (row["mae_interval"], row["bias_interval"]) == ([0, 0], [0, 0])
    for side in ("predicted", "reference"):
        assert result["validity"][side] == {
            "masks": 20,
            "valid": 20,
            "valid_share": 1.0,
            "faults": {},
            "invalid": [],
        }
    assert result["not_measurable"] == result["remarks"] == []


def test_images_have_the_scores_of_their_masks(judged: Evaluation, echo: Path, tight: Path) -> None:
    assert len(judged.scores) == 20 * len(STRUCTURES)
    studies = Studies(echo)
    for record in studies.records():
        ours, theirs = (
            nifti.read_mask(folder / record.path.name) for folder in (tight, echo / "labels" / "final")
        )
        rows = {row.score.structure: row.score for row in judged.scores if row.record == record}
        for each in compare_masks(ours, theirs, labels=record.labels, spacing=SPACING, stack=False):
            assert rows[each.structure].dice == pytest.approx(each.dice)
            assert rows[each.structure].hd_mm == pytest.approx(each.hd_mm, rel=1e-5, abs=1e-6)


def test_groups_are_means_over_their_images(judged: Evaluation) -> None:
    result = summary(judged)
    for kind, key in (
        ("view", lambda record: str(record.view)),
        ("phase", lambda record: str(record.phase)),
        ("image_quality", lambda record: record.image_quality or "not given"),
    ):
        rows = [row for row in judged.scores if row.score.structure == "lv_cavity"]
        for of in {key(row.record) for row in rows}:
            own = [row.score for row in rows if key(row.record) == of]
            each = group(result, "lv_cavity", kind, of)
            assert each["images"] == len(own) == each["metrics"]["dice"]["n"]
            for metric in ("dice", "iou", "pixel_accuracy", "hd_mm", "hd95_mm", "msd_mm"):
                values = [getattr(score, metric) for score in own]
                assert each["metrics"][metric]["mean"] == pytest.approx(np.mean(values), abs=1e-4)
                assert each["metrics"][metric]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert dice(result, "lv_cavity", "phase", "ED") == 1 > dice(result, "lv_cavity", "phase", "ES")
    qualities = [each["of"] for each in result["structures"]["lv_cavity"] if each["group"] == "image_quality"]
    assert qualities == ["Good", "Medium", "Poor", "not given"]
    assert not [each for each in result["structures"]["lv_cavity"] if each["group"] == "dataset"]


def test_volumes_are_the_products_own_on_both_sides(judged: Evaluation, echo: Path, tight: Path) -> None:
    result = summary(judged)
    sides = [Studies(echo, label_folders={"masks": folder}) for folder in (tight, echo / "labels" / "final")]
    for method, convention in (("biplane", "guideline"), ("biplane", "camus"), ("area-length", "guideline")):
        for quantity in ("ef_pct", "edv_ml", "esv_ml"):
            ours, theirs = (
                np.array(
                    [
                        getattr(row, quantity)
                        for patient in side.patients()
                        for row in side.measure(patient).study.rows
                        if (row.method, row.convention) == (method, convention)
                    ]
                )
                for side in sides
            )
            expected, row = agreement(ours, theirs), figures(result, quantity, method, convention)
            assert row["n"] == expected.count == 5
            for name in ("r", "mae", "bias", "sd"):
                assert row[name] == pytest.approx(getattr(expected, name), abs=1e-4)
            assert (row["lower_limit"], row["upper_limit"]) == pytest.approx(expected.limits, abs=1e-3)
            for name in ("r", "mae", "bias"):
                low, high = row[f"{name}_interval"]
                assert low <= row[name] <= high
    assert figures(result)["bias"] > 1  # the smaller a ventricle at ES, the higher its EF
    assert figures(result, "edv_ml")["bias"] == 0


def test_the_same_seed_gives_the_same_answer(echo: Path, tight: Path, judged: Evaluation) -> None:
    assert summary(evaluate(tight, echo)) == summary(judged)
    other = summary(evaluate(tight, echo, seed=1))
    assert figures(other)["bias_interval"] != figures(summary(judged))["bias_interval"]
    assert figures(other)["bias"] == figures(summary(judged))["bias"]


@pytest.mark.parametrize(
    ("splits", "patients"),
    [(["VAL"], {"p3", "p4"}), (["val", "TEST"], {"p3", "p4", "p5"}), (["TRAIN"], {"p1", "p2"})],
)
def test_patients_of_a_split(echo: Path, tight: Path, splits: list[str], patients: set[str]) -> None:
    evaluation = evaluate(tight, echo, splits=splits)
    assert {row.record.patient for row in evaluation.scores} == patients
    assert {row.reference.patient for row in evaluation.pairs} == patients
    assert summary(evaluation)["selection"] == "split " + ", ".join(splits).upper()


def test_patients_of_a_list(echo: Path, tight: Path, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("p2\np4, p9\n\n")
    result = summary(evaluate(tight, echo, patients=listed))
    assert (result["patients"], result["selection"]) == (2, "the 3 patients of mine.txt")
    assert result["problems"] == [{"name": "p9", "reason": "no image of this patient in the studies folder"}]


def test_what_infer_wrote_and_masks_apart_from_their_studies(
    echo: Path, tight: Path, judged: Evaluation, tmp_path: Path
) -> None:
    shutil.copytree(tight, tmp_path / "out" / "labels")
    shutil.copytree(echo / "labels" / "final", tmp_path / "refs")
    bare = tmp_path / "bare"
    shutil.copytree(echo, bare, ignore=shutil.ignore_patterns("labels"))
    result = evaluate(tmp_path / "out", tmp_path / "refs", studies=bare)
    assert summary(result) == summary(judged)
    assert summary(evaluate(tmp_path / "out", echo, studies=bare)) == summary(judged)


def test_images_without_a_reference_are_counted_and_not_compared(
    echo: Path, tight: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "studies"
    shutil.copytree(echo, folder)
    for path in (folder / "labels" / "final").glob("p1_*"):
        path.unlink()
    result = summary(evaluate(tight, folder))
    assert (result["images"], result["patients"], result["images_without_reference"]) == (16, 4, 4)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def other_shape(path: Path) -> None:
    nifti.write_mask(nifti.read_mask(path)[:, 1:], path, spacing=None)


def other_values(path: Path) -> None:
    nifti.write_mask(nifti.read_mask(path) * 50, path, spacing=None)


@pytest.mark.parametrize("side", ["predicted", "reference"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "no such file"),
        (cut, "not a readable NIfTI file"),
        (other_shape, "does not fit its image"),
        (other_values, "label values 50"),
    ],
)
def test_a_spoiled_mask_is_named_and_takes_its_image_out_of_both_sides(
    echo: Path, tight: Path, tmp_path: Path, side: str, spoil: Any, reason: str
) -> None:
    folder, masks = tmp_path / "studies", tmp_path / "masks"
    shutil.copytree(echo, folder)
    shutil.copytree(tight, masks)
    spoil((masks if side == "predicted" else folder / "labels" / "final") / "p2_4CH_ES.nii.gz")
    result = summary(evaluate(masks, folder))
    assert result["images"] == 19
    if (side, reason) == ("reference", "no such file"):
        assert (result["problems"], result["images_without_reference"]) == ([], 1)
    else:
        (problem,) = result["problems"]
        assert problem["name"] == "p2_4CH_ES"
        assert problem["reason"].startswith(f"{side} mask: ") and reason in problem["reason"]
    assert figures(result)["n"] == 4
    missing = {(row["patient"], row["method"]) for row in result["not_measurable"]}
    assert missing == {("p2", "biplane"), ("p2", "single-plane-A4C")}  # A2C alone can still be measured
    for row in result["not_measurable"]:
        assert row["predicted_reason"] == row["reference_reason"] != ""


def test_an_empty_prediction_is_a_dice_of_0_and_no_distance(echo: Path, tmp_path: Path) -> None:
    def change(record: Record, masks: Masks) -> Masks:
        return masks * 0 if record.image_id == "p3_2CH_ED" else masks

    result = summary(evaluate(predict(echo, tmp_path / "masks", change), echo))
    cavity = group(result, "lv_cavity")
    assert cavity["metrics"]["dice"]["n"] == 20 and cavity["metrics"]["dice"]["worst"] == 0
    assert dice(result, "lv_cavity") == pytest.approx(19 / 20)
    assert cavity["metrics"]["hd_mm"]["n"] == 19
    assert cavity["not_measured"] == {
        "overlap": {},
        "distance": {"the predicted mask does not have it": 1},
    }
    assert result["validity"]["predicted"]["faults"] == {
        "missing:left_atrium": 1,
        "missing:lv_cavity": 1,
        "missing:myocardium": 1,
    }
    biplane = [row for row in result["not_measurable"] if row["method"] == "biplane"]
    assert [row["patient"] for row in biplane] == ["p3", "p3"]
    assert all(row["predicted_reason"] and not row["reference_reason"] for row in biplane)


def test_an_empty_reference_says_nothing(echo: Path, tight: Path, tmp_path: Path) -> None:
    refs = predict(
        echo, tmp_path / "refs", lambda each, masks: masks * 0 if each.image_id == "p1_4CH_ED" else masks
    )
    result = summary(evaluate(tight, refs, studies=echo))
    assert result["problems"] == [{"name": "p1_4CH_ED", "reason": "reference mask: empty, it labels nothing"}]
    assert result["images"] == 19


def test_a_structure_that_is_never_predicted_is_named_and_counts(echo: Path, tmp_path: Path) -> None:
    masks = predict(
        echo, tmp_path / "masks", lambda _, masks: np.where(masks == 3, 0, masks).astype(np.uint8)
    )
    result = summary(evaluate(masks, echo))
    assert dice(result, "left_atrium") == 0
    assert result["remarks"] == [
        {"dataset": "phantom", "structure": "left_atrium", "images": 20, "reason": NEVER_PREDICTED}
    ]


def test_a_structure_that_the_model_is_not_for_is_left_out(echo: Path, tmp_path: Path) -> None:
    def cavity(_: Record, masks: Masks) -> Masks:
        return (masks == 1).astype(np.uint8)

    masks = predict(echo, tmp_path / "masks", cavity)
    (tmp_path / "masks" / "model.json").write_text('{"labels": {"lv_cavity": 1}}')
    result = summary(evaluate(masks, echo))
    assert result["structures"].keys() == {"lv_cavity"}
    validity = result["validity"]["predicted"]
    assert (validity["valid"], validity["masks"]) == (20, 20)
    assert {remark["reason"] for remark in result["remarks"]} == {NOT_SEGMENTED}
    for broken in ("{", "[]", '{"labels": {"lv_cavity": "1"}}'):
        (tmp_path / "masks" / "model.json").write_text(broken)
        with pytest.raises(DatasetError, match="not what cardiolabel infer writes"):
            evaluate(masks, echo)


def test_invalid_masks_are_counted_and_named(echo: Path, tmp_path: Path) -> None:
    def change(record: Record, masks: Masks) -> Masks:
        if record.patient == "p1":
            masks[0, 2, 2] = 1
        return masks

    evaluation = evaluate(predict(echo, tmp_path / "masks", change), echo)
    result = summary(evaluation)["validity"]
    assert result["predicted"]["valid_share"] == 0.8 and result["reference"]["valid_share"] == 1
    assert result["predicted"]["faults"] == {"pieces:lv_cavity": 4}
    assert result["predicted"]["invalid"][0] == {
        "image_id": "p1_4CH_ED",
        "frame": 0,
        "findings": ["pieces:lv_cavity"],
    }


# Other data than stills of CAMUS


def test_cines_are_judged_where_the_reference_labels_them(tmp_path: Path) -> None:
    """As EchoNet's: two traced frames, the cavity alone, no pixel size."""
    folder = write_cines(tmp_path / "studies", spacing=None)
    masks = predict(
        folder,
        tmp_path / "masks",
        lambda record, masks: np.repeat(tighter(masks[record.ed_frame - 1][None], 1), len(masks), axis=0),
    )
    evaluation = evaluate(masks, folder)
    result = summary(evaluation)
    assert tuple(result["structures"]) == ("lv_cavity",)
    left_out = {row["structure"]: row["reason"] for row in result["remarks"]}
    assert left_out == dict.fromkeys(("myocardium", "left_atrium", "epicardium"), IN_NO_REFERENCE)
    assert group(result, "lv_cavity", "phase", "ED")["images"] == 3
    assert dice(result, "lv_cavity", "phase", "ED") > dice(result, "lv_cavity", "phase", "ES")
    assert group(result, "lv_cavity")["not_measured"]["distance"] == {"the file carries no pixel spacing": 6}
    assert result["validity"]["reference"]["masks"] == 6
    row = figures(result, "ef_pct", "single-plane-A4C")
    assert row["n"] == 0 and row["r"] is None and "at least 3" in row["reason"]  # ED predicted everywhere
    assert len(result["not_measurable"]) == 3 * 3  # by single plane in both conventions, and area-length
    assert "not smaller than at ED" in result["not_measurable"][0]["predicted_reason"]


def test_unnamed_frames_belong_to_the_cine(tmp_path: Path) -> None:
    folder = write_cines(tmp_path / "studies", spacing=SPACING)
    text = (folder / "manifest.csv").read_text().splitlines()
    at = text[0].split(",").index("es_frame")
    rows = [",".join([*row.split(",")[:at], "", *row.split(",")[at + 1 :]]) for row in text[1:]]
    (folder / "manifest.csv").write_text("\n".join([text[0], *rows]))
    result = summary(evaluate(folder / "labels" / "final", folder))
    phases = {
        each["of"]: each["images"] for each in result["structures"]["lv_cavity"] if each["group"] == "phase"
    }
    assert phases == {"ED": 3, "cine": 3}


def test_stacks_are_judged_as_volumes(tmp_path: Path) -> None:
    folder = write_stacks(tmp_path / "studies", dataset="acdc", wall_at_es=True)

    def smaller(_: Record, masks: Masks) -> Masks:
        masks[5] = 0
        return tighter(masks, 1, cavity=3)

    masks = predict(folder, tmp_path / "masks", smaller)
    result = summary(evaluate(masks, folder))
    assert tuple(result["structures"]) == ("myocardium", "lv_cavity", "epicardium")
    assert result["remarks"] == [
        {"dataset": "acdc", "structure": "right_ventricle", "images": 8, "reason": IN_NO_REFERENCE}
    ]
    cavity = group(result, "lv_cavity")
    assert cavity["planes"] == {"predicted": 40, "reference": 48, "shared": 40}
    assert 1.2 <= cavity["metrics"]["hd_mm"]["mean"] < 2.4
    assert result["validity"]["predicted"]["masks"] == 8  # stacks
    assert result["validity"]["predicted"]["valid_share"] == 1
    row = figures(result, "edv_ml", "slice-summation")
    assert row["n"] == 4 and row["bias"] < 0
    assert {(each["method"], each["convention"]) for each in result["agreement"]} == {
        ("slice-summation", "guideline")
    }


def test_sunnybrooks_myocardium_at_es_is_not_drawn_rather_than_absent(tmp_path: Path) -> None:
    folder = write_stacks(tmp_path / "studies", dataset="sunnybrook", wall_at_es=False)
    whole = write_stacks(tmp_path / "whole", dataset="sunnybrook", wall_at_es=True)
    result = summary(evaluate(whole / "labels" / "final", folder))
    for name in ("myocardium", "epicardium"):
        (phase,) = [each for each in result["structures"][name] if each["group"] == "phase"]
        assert (phase["of"], phase["images"], phase["metrics"]["dice"]["mean"]) == ("ED", 4, 1)
    assert group(result, "lv_cavity")["images"] == 8
    assert {(row["structure"], row["images"], row["reason"]) for row in result["remarks"]} == {
        ("right_ventricle", 8, NOT_DRAWN),
        ("myocardium", 4, NOT_DRAWN),
        ("epicardium", 4, NOT_DRAWN),
    }
    assert result["validity"]["reference"]["valid_share"] == 1
    assert figures(result, "ef_pct", "slice-summation")["mae"] == 0


def test_sunnybrooks_myocardium_is_judged_in_slices_that_show_it(tmp_path: Path) -> None:
    folder = write_stacks(tmp_path / "studies", dataset="sunnybrook", wall_at_es=False)

    def without_wall(record: Record, masks: Masks) -> Masks:
        if record.phase is Phase.ED:
            masks[0][masks[0] == 2] = 0
        return masks

    refs = predict(folder, tmp_path / "refs", without_wall)
    result = summary(evaluate(folder / "labels" / "final", refs, studies=folder))
    assert dice(result, "myocardium") == dice(result, "epicardium") == 1
    assert group(result, "myocardium")["planes"]["predicted"] == 4 * 5


def test_two_datasets_are_told_apart(echo: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(echo, both)
    stacks = write_stacks(tmp_path / "stacks", dataset="acdc", wall_at_es=True)
    lines = (stacks / "manifest.csv").read_text().splitlines()
    assert lines[0] == (both / "manifest.csv").read_text().splitlines()[0]
    (both / "manifest.csv").write_text((both / "manifest.csv").read_text() + "\n".join(lines[1:]) + "\n")
    for path in stacks.rglob("*.nii.gz"):
        shutil.copy(path, both / path.relative_to(stacks))
    result = summary(evaluate(both / "labels" / "final", both))
    datasets = {
        each["of"]: each["images"] for each in result["structures"]["lv_cavity"] if each["group"] == "dataset"
    }
    assert datasets == {"acdc": 8, "phantom": 20}
    assert {row["method"] for row in result["agreement"]} >= {"biplane", "slice-summation"}


# What is refused


def test_folders_that_are_not_there_or_empty(echo: Path, tight: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ((tmp_path / "gone", echo), "no such folder of predicted masks"),
        ((tmp_path / "empty", echo), "no predicted masks"),
        ((echo, echo), "a studies folder, which holds images"),
        ((tight, tmp_path / "gone"), "no folder labels/final"),
        ((tight, tmp_path / "empty"), "--studies"),
    ):
        with pytest.raises(DatasetError, match=words):
            evaluate(*arguments)
    with pytest.raises(DatasetError, match="no such folder of reference masks"):
        evaluate(tight, tmp_path / "gone", studies=echo)
    with pytest.raises(DatasetError, match="no reference masks"):
        evaluate(tight, tmp_path / "empty", studies=echo)
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate(tight, tight, studies=tmp_path / "gone")


def test_masks_of_other_images(echo: Path, tight: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    shutil.copy(tight / "p1_4CH_ED.nii.gz", tmp_path / "masks" / "other.nii.gz")
    with pytest.raises(DatasetError, match=r"expected p1_4CH_ED\.nii\.gz"):
        evaluate(tmp_path / "masks", echo)
    with pytest.raises(DatasetError, match="no mask of the images of all patients"):
        evaluate(tight, tmp_path / "masks", studies=echo)


def test_selections_that_match_no_patient(echo: Path, tight: Path, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("nobody")
    with pytest.raises(DatasetError, match="none of its 1 patients"):
        evaluate(tight, echo, patients=listed)
    with pytest.raises(DatasetError, match="cannot be read"):
        evaluate(tight, echo, patients=tmp_path / "gone.txt")
    with pytest.raises(DatasetError, match="give one of --patients and --split"):
        evaluate(tight, echo, patients=listed, splits=["VAL"])
    with pytest.raises(
        DatasetError, match="no image is of split 'TESTING'; the manifest has TEST, TRAIN, VAL"
    ):
        evaluate(tight, echo, splits=["VAL", "TESTING"])
    stacks = write_stacks(tmp_path / "stacks", dataset="acdc", wall_at_es=True)
    with pytest.raises(DatasetError, match="has no split: prepare"):
        evaluate(stacks / "labels" / "final", stacks, splits=["VAL"])


def test_nothing_that_can_be_compared(echo: Path, tight: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    shutil.copytree(tight, masks)
    for path in masks.iterdir():
        cut(path)
    with pytest.raises(DatasetError, match=r"no image can be compared; p5_\dCH_E.: predicted mask: "):
        evaluate(masks, echo)


def test_a_malformed_manifest(echo: Path, tight: Path, tmp_path: Path) -> None:
    shutil.copytree(echo, tmp_path / "studies")
    (tmp_path / "studies" / "manifest.csv").write_text("nonsense\n")
    with pytest.raises(ManifestError):
        evaluate(tight, tmp_path / "studies")


# What is written


def test_tables_keep_their_contract(judged: Evaluation, tmp_path: Path) -> None:
    result = write_evaluation(judged, tmp_path / "out")
    assert result == json.loads((tmp_path / "out" / "evaluation.json").read_text()) == summary(judged)
    columns = {
        "images": IMAGE_COLUMNS,
        "patients": PATIENT_COLUMNS,
        "validity": VALIDITY_COLUMNS,
        "summary": SUMMARY_COLUMNS,
        "agreement": AGREEMENT_COLUMNS,
    }
    tables = {name: table(tmp_path / "out" / f"{name}.csv") for name in columns}
    for name, rows in tables.items():
        assert tuple(rows[0]) == columns[name]
    assert len(tables["images"]) == 80 and len(tables["validity"]) == 40
    assert len(tables["patients"]) == 5 * 8
    (row,) = [
        table
        for table in tables["summary"]
        if (table["structure"], table["of"], table["metric"]) == ("lv_cavity", "ES", "dice")
    ]
    assert float(row["mean"]) == dice(result, "lv_cavity", "phase", "ES") and row["n"] == "10"
    (row,) = [
        table
        for table in tables["agreement"]
        if (table["method"], table["convention"], table["quantity"]) == ("biplane", "guideline", "ef_pct")
    ]
    assert float(row["bias"]) == figures(result)["bias"]
    assert float(row["mae_interval_high"]) == figures(result)["mae_interval"][1]
    biplane = tables["patients"][0]
    assert (biplane["patient"], biplane["method"], biplane["convention"]) == ("p1", "biplane", "guideline")
    assert float(biplane["ef_difference_pct"]) == pytest.approx(
        float(biplane["predicted_ef_pct"]) - float(biplane["reference_ef_pct"]), abs=2e-4
    )
    assert (tmp_path / "out" / "bland_altman.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_not_measured_is_an_empty_cell_with_a_reason(echo: Path, tmp_path: Path) -> None:
    masks = predict(
        echo, tmp_path / "masks", lambda _, masks: np.where(masks == 3, 0, masks).astype(np.uint8)
    )
    write_evaluation(evaluate(masks, echo), tmp_path / "out")
    rows = [row for row in table(tmp_path / "out" / "images.csv") if row["structure"] == "left_atrium"]
    for row in rows:
        assert (row["dice"], row["hd_mm"], row["hd95_mm"], row["msd_mm"]) == ("0.0", "", "", "")
        assert row["distance_reason"] == "the predicted mask does not have it"


def test_the_plot_shows_the_ef_of_both_sides(judged: Evaluation, tmp_path: Path) -> None:
    guideline, camus = ef_panels(judged.pairs)
    assert (guideline.quantity, camus.quantity) == ("EF, biplane, guideline", "EF, biplane, camus")
    assert guideline.names == ("predicted", "reference")
    assert guideline.cases == ("p1", "p2", "p3", "p4", "p5")
    assert (guideline.first - guideline.second).mean() == pytest.approx(
        figures(summary(judged))["bias"], abs=1e-4
    )
    cines = write_cines(tmp_path / "cines", spacing=SPACING)
    (single,) = {
        panel.quantity.split(", ")[1]
        for panel in ef_panels(evaluate(cines / "labels" / "final", cines).pairs)
    }
    assert single == "single-plane-A4C"  # where nobody has both views
    assert ef_panels(()) == []


def test_the_report_says_what_the_summary_says(judged: Evaluation) -> None:
    result = summary(judged)
    page = report_markdown(result)
    assert page.startswith("# Evaluation\n\n20 images of 5 patients (all patients).")
    assert "TRAIN are among them" in page
    for name in ("LV cavity", "myocardium", "left atrium", "epicardium"):
        assert f"### {name}\n" in page
    assert f"| **all** | 20 | {dice(result, 'lv_cavity'):.3f} ± " in page
    row = figures(result)
    assert f"| EF | biplane | guideline | 5 | {row['r']:.3f} [" in page
    assert "| predicted | 20 | 20 | 100.0 % |" in page
    assert "Nothing: every image and patient was measured." in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("| ")]
    assert set(widths) == {10, 11, 6}


def test_the_report_warns_of_training_patients_only_where_there_are_any(echo: Path, tight: Path) -> None:
    page = report_markdown(summary(evaluate(tight, echo, splits=["VAL"])))
    assert "official split: VAL 2." in page and "TRAIN" not in page


def test_the_report_names_what_is_missing(echo: Path, tight: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    shutil.copytree(tight, masks)
    (masks / "p2_4CH_ES.nii.gz").unlink()
    page = report_markdown(summary(evaluate(masks, echo)))
    assert "- p2_4CH_ES: predicted mask: p2_4CH_ES.nii.gz: no such file" in page
    assert "- p2, biplane, guideline, EF, EDV, ESV: predicted: " in page


def test_a_folder_that_cannot_be_written(judged: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OSError):
        write_evaluation(judged, tmp_path / "out")


def test_a_cards_metrics(judged: Evaluation) -> None:
    result = summary(judged)
    metrics = card_metrics(result)
    json.dumps(metrics, allow_nan=False)
    assert (metrics["patients"], metrics["images"]) == (5, 20)
    assert metrics["dice_lv_cavity_ES"] == dice(result, "lv_cavity", "phase", "ES")
    assert metrics["biplane_ef_guideline_pct"]["mae"] == figures(result)["mae"]
    assert metrics["valid_share"] == {"predicted": 1.0, "reference": 1.0}


def test_the_headline(judged: Evaluation) -> None:
    first, second, third = headline(summary(judged))
    assert first.startswith("20 images of 5 patients, mean Dice: LV cavity 0.")
    assert second.startswith("EF by biplane (guideline) of 5 patients: mean absolute difference ")
    assert third == "20 of 20 predicted masks are anatomically valid"
