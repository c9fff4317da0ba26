"""What the page of a folder compares patients with, and which pictures it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scipy.ndimage import binary_dilation

from cardiolabel.datasets.phantom import PhantomStudy, make_study
from cardiolabel.domain import CAMUS_LABELS, Convention, Record, Spacing
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.io import nifti
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.pipeline.folder_summary import FolderPage
from cardiolabel.pipeline.overlays import overlay_file
from cardiolabel.records import manifest
from cardiolabel.studies.studies import Studies

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
MODEL = UsedModel("tiny", "1", "0" * 64, "torch cpu")


@pytest.fixture(scope="module")
def phantom() -> PhantomStudy:
    return make_study("p", seed=5, shape=(140, 150), spacing=SPACING, cine=False)


@pytest.fixture
def folder(tmp_path: Path, phantom: PhantomStudy) -> Path:
    for image in phantom.images:
        nifti.write_clip(image.clip, tmp_path / "studies" / f"{image.image_id}.nii.gz")
    return tmp_path / "studies"


def write_manifest(folder: Path, phantom: PhantomStudy, **listed: object) -> None:
    records = [
        Record(image.image_id, "p", image.view, image.phase, "phantom", folder / f"{image.image_id}.nii.gz")
        for image in phantom.images
    ]
    manifest.write([replace(record, **listed) for record in records], folder)  # type: ignore[arg-type]


def write_finals(folder: Path, phantom: PhantomStudy, *, but: str = "") -> None:
    for image in phantom.images:
        if image.image_id != but:
            path = folder / "labels" / "final" / f"{image.image_id}.nii.gz"
            nifti.write_mask(image.masks, path, spacing=SPACING)


def predicted(phantom: PhantomStudy) -> Study:
    """Masks that stand for a model's: the phantom's own, but with a wider cavity at ES."""
    images = []
    for image in phantom.images:
        masks = image.masks.copy()
        if image.phase == "ES":
            masks[binary_dilation(masks == 1, iterations=3)] = 1
        images.append(MaskedImage(image.image_id, "p", image.view, image.phase, masks, SPACING, CAMUS_LABELS))
    return measure_study(images)


def page_of(folder: Path, phantom: PhantomStudy, out: Path, *, overlays: bool = False) -> str:
    page = FolderPage(Studies(folder), out, overlays=overlays)
    page.add(predicted(phantom))
    page.write(MODEL, images=4, problems=[])
    return (out / "summary.html").read_text(encoding="utf-8")


def numbers(text: str) -> list[str]:
    """Cells of the only patient's line."""
    line = text.split("<tbody>")[1].split("</tr>")[0]
    return [cell.split("</td>")[0] for cell in line.split('<td class="n">')[1:]]


def ef(study: Study, convention: Convention) -> float:
    result = next(row.ef_pct for row in study.rows if row.convention is convention)
    assert result is not None
    return result


def true_study(phantom: PhantomStudy) -> Study:
    return measure_study(
        [
            MaskedImage(image.image_id, "p", image.view, image.phase, image.masks, SPACING, CAMUS_LABELS)
            for image in phantom.images
        ]
    )


def test_references_are_measured_from_masks_by_the_same_method_and_convention(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom, reference_ef_pct=11.0, reference_convention=Convention.GUIDELINE)
    write_finals(folder, phantom)
    ours = ef(predicted(phantom), Convention.GUIDELINE)
    theirs = ef(true_study(phantom), Convention.GUIDELINE)
    text = page_of(folder, phantom, tmp_path / "out")
    assert numbers(text)[0] == f"{ours:.1f}" and numbers(text)[3] == f"{theirs:.1f}"
    assert abs(ours - theirs) > 1
    assert numbers(text)[4] == f"{ours - theirs:+.1f}".replace("-", "−")
    assert "labels/final by the same code" in text and "data:image/png;base64," in text


def test_without_reference_masks_the_manifests_ef_is_compared_in_its_own_convention(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom, reference_ef_pct=40.0, reference_convention=Convention.CAMUS)
    write_finals(folder, phantom, but="p_4CH_ES")  # no biplane EF can come of these
    study = predicted(phantom)
    ours = ef(study, Convention.CAMUS)
    result = numbers(page_of(folder, phantom, tmp_path / "out"))
    assert result[0] == f"{ef(study, Convention.GUIDELINE):.1f}" != f"{ours:.1f}"
    assert result[3] == f"40.0<small>manifest, camus; predicted {ours:.1f}</small>"
    assert result[4] == f"{ours - 40:+.1f}".replace("-", "−")


def test_an_ef_of_an_unknown_convention_is_shown_and_not_compared(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom, reference_ef_pct=40.0)
    text = page_of(folder, phantom, tmp_path / "out")
    assert numbers(text)[3:] == ["40.0<small>manifest, convention not named</small>", ""]
    assert "Bland-Altman" not in text


def test_without_references_there_is_nothing_to_compare(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom)
    text = page_of(folder, phantom, tmp_path / "out")
    assert len(numbers(text)) == 3 and "Against references" not in text


def test_a_reference_mask_that_cannot_be_read_is_none(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom)
    write_finals(folder, phantom)
    (folder / "labels" / "final" / "p_2CH_ED.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    assert len(numbers(page_of(folder, phantom, tmp_path / "out"))) == 3


def test_pictures_that_are_there_are_shown_where_asked_for(
    folder: Path, phantom: PhantomStudy, tmp_path: Path
) -> None:
    write_manifest(folder, phantom)
    picture = overlay_file(tmp_path / "out", "p_2CH_ED")
    picture.parent.mkdir(parents=True)
    picture.touch()
    shown = page_of(folder, phantom, tmp_path / "out", overlays=True)
    assert shown.count("<img") == 1 and 'src="overlays/p_2CH_ED.png"' in shown
    assert "<img" not in page_of(folder, phantom, tmp_path / "out")


def test_a_patients_name_cannot_be_markup(folder: Path, phantom: PhantomStudy, tmp_path: Path) -> None:
    write_manifest(folder, phantom, patient="<script>x</script>")
    study = predicted(phantom)
    name = {"patient": "<script>x</script>"}
    rows = tuple(replace(row, **name) for row in study.rows)
    page = FolderPage(Studies(folder), tmp_path / "out", overlays=False)
    page.add(replace(study, rows=rows, **name))  # type: ignore[arg-type]
    page.write(MODEL, images=4, problems=[])
    text = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;x&lt;/script&gt;" in text and "<script" not in text
