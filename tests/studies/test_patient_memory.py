"""A patient's images are measured as far as there is memory_budget, and the others say why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import TooLargeError
from cardiolabel.inference.image_cost import image_cost
from cardiolabel.io import nifti
from cardiolabel.studies.patient_memory import PatientMemory, is_predicted_together
from cardiolabel.studies.studies import Studies
from cardiolabel.system import memory_budget
from cardiolabel.system.memory_budget import MB

NAMES = ["patient1_2CH_ED", "patient1_4CH_ED", "patient1_4CH_ES"]
LONG = "patient1_2CH_ES"
"""A cine that calls itself a still."""


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    """One patient: three stills, and a cine of 100 frames."""
    for name, frames in [*((name, 1) for name in NAMES), (LONG, 100)]:
        pixels = np.zeros((frames, 32, 24), np.uint8)
        nifti.write_clip(Clip(pixels, Spacing(row_mm=1, col_mm=1)), tmp_path / f"{name}.nii.gz")
    return Studies(tmp_path)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(memory_budget.budget, "limit_bytes", 1536 * MB)
    return monkeypatch


def test_ordinary_images_all_have_their_room(studies: Studies, limit: pytest.MonkeyPatch) -> None:
    needed = PatientMemory.of(studies.records())
    assert not needed.left_out
    assert max(image_cost(record.path).passing for record in studies.records()) < needed.needed < 200 * MB


def test_what_has_no_room_says_so_and_the_others_are_measured(
    studies: Studies, limit: pytest.MonkeyPatch
) -> None:
    limit.setattr(memory_budget.budget, "limit_bytes", 20 * MB)
    measured = studies.measure("patient1").study
    reasons = {row.image_id: row.reason for row in measured.frames}
    assert "MB of memory by its header; expected at most 20 MB" in reasons[LONG]
    assert all("memory" not in reasons[name] for name in NAMES)


def test_the_image_asked_for_comes_first(studies: Studies, limit: pytest.MonkeyPatch) -> None:
    requested = studies.record(NAMES[-1])
    limit.setattr(memory_budget.budget, "limit_bytes", image_cost(requested.path).passing + 1)
    assert requested.image_id not in PatientMemory.of(studies.records(), first=requested.image_id).left_out
    with studies.memory(requested) as memory_of_patient:
        assert memory_of_patient.needed == memory_budget.budget.limit_bytes


def test_an_image_over_the_limit_is_refused_by_name(studies: Studies, limit: pytest.MonkeyPatch) -> None:
    limit.setattr(memory_budget.budget, "limit_bytes", MB // 100)
    with pytest.raises(TooLargeError, match=NAMES[0]), studies.memory(studies.record(NAMES[0])):
        pytest.fail("it may not begin")


def test_only_images_of_few_frames_are_predicted_together(studies: Studies) -> None:
    together = {record.image_id for record in studies.records() if is_predicted_together(record)}
    assert together == set(NAMES)


def test_an_unreadable_image_takes_nothing(studies: Studies, limit: pytest.MonkeyPatch) -> None:
    before = PatientMemory.of(studies.records()).needed
    (studies.folder / "patient1_2CH_cine.nii.gz").write_bytes(b"no image")
    assert PatientMemory.of(studies.records()).needed == before
