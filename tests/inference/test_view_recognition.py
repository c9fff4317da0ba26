"""Recognition of views: the head's arithmetic, its files, and images it was never shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.domain import Clip, View
from cardiolabel.errors import CorruptWeightsError, MissingWeightsError
from cardiolabel.inference.view_recognition import CARD, CLASSES, WEIGHTS, ViewHead, ViewRecogniser
from cardiolabel.io.images import read_image

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "apps" / "cardiac_echo" / "model"
SHARED = ROOT.parent / "shared" / "data"
needs_weights = pytest.mark.skipif(
    not (MODELS / "camus.safetensors").exists(), reason="needs the shipped weights, camus.safetensors"
)
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs real images in {SHARED}")


@pytest.fixture(scope="module")
def recogniser() -> ViewRecogniser:
    return ViewRecogniser.load(MODELS)


def test_probabilities_are_the_softmax_of_the_scores() -> None:
    head = ViewHead(
        mean=np.array([1.0, 2.0], np.float32),
        scale=np.array([2.0, 1.0], np.float32),
        weights=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        bias=np.array([0.0, np.log(2.0)], np.float32),
        threshold=0.9,
    )
    # scores (1, 0 + log 2): e and 2
    np.testing.assert_allclose(
        head.probabilities(np.array([[3.0, 2.0]], np.float32))[0],
        [np.e / (np.e + 2), 2 / (np.e + 2)],
        rtol=1e-6,
    )


@needs_weights
@pytest.mark.parametrize("kind", ["noise", "black", "text"])
def test_no_heart_is_no_view(recogniser: ViewRecogniser, kind: str) -> None:
    pixels = np.zeros((1, 200, 240), np.uint8)
    if kind == "noise":
        pixels = np.random.default_rng(5).integers(0, 255, pixels.shape, dtype=np.uint8)
    elif kind == "text":
        pixels[0, ::12, ::3] = 255
    result = recogniser.recognise(Clip(pixels, None))
    assert result.view is View.UNKNOWN and result.question


@needs_weights
@needs_data
@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("echo_video/a4c.mp4", View.A4C),
        ("us_dicom/color3d_jpeg_baseline.dcm", View.A4C),
        ("us_dicom/JPGLosslessP14SV1_1s_1f_8b.dcm", View.UNKNOWN),
        ("us_dicom/OBXXXX1A_2frame.dcm", View.UNKNOWN),
    ],
)
def test_clips_of_other_scanners(recogniser: ViewRecogniser, name: str, view: View) -> None:
    assert recogniser.recognise(read_image(SHARED / name).clip).view is view


@needs_weights
@needs_data
def test_held_out_patients_are_named_right(recogniser: ViewRecogniser) -> None:
    """Twelve of CAMUS's validation patients, whom neither head nor encoder was trained on."""
    folder = SHARED / "camus"
    patients = (folder / "database_split" / "subgroup_validation.txt").read_text().split()[:12]
    answers = [
        (recogniser.recognise(read_image(path).clip).view, view)
        for patient in patients
        for name, view in (("2CH", View.A2C), ("4CH", View.A4C))
        for path in (folder / "database_nifti" / patient).glob(f"{patient}_{name}_E[DS].nii.gz")
    ]
    answered = [(got, view) for got, view in answers if got is not View.UNKNOWN]
    assert len(answered) >= 0.85 * len(answers) > 20
    assert all(got is view for got, view in answered)


@needs_weights
def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError):
        ViewRecogniser.load(tmp_path)
    for name in ("camus.json", "camus.safetensors"):
        shutil.copy(MODELS / name, tmp_path)
    shutil.copytree(MODELS / "views", tmp_path / "views")
    ViewRecogniser.load(tmp_path)
    weights, card = tmp_path / "views" / WEIGHTS, tmp_path / "views" / CARD
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(CorruptWeightsError):
        ViewRecogniser.load(tmp_path)
    shutil.copy(MODELS / "views" / WEIGHTS, weights)
    card.write_text(json.dumps({**json.loads(card.read_text()), "encoder": "another"}))
    with pytest.raises(CorruptWeightsError):
        ViewRecogniser.load(tmp_path)


def test_the_card_tells_what_was_measured() -> None:
    card = json.loads((MODELS / "views" / CARD).read_text())
    assert tuple(card["classes"]) == CLASSES
    for view in ("A2C", "A4C"):
        assert card["metrics"][view]["given a view"] >= 0.9
        assert card["metrics"][view]["of these right"] >= 0.97
