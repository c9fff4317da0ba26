"""Small measured studies to report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import PhantomStudy, make_study
from cardiolabel.domain import CAMUS_LABELS, Clip, Phase, Spacing, View
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.study import measure_study

SPACING = Spacing(row_mm=1.0, col_mm=1.15)


@dataclass(frozen=True)
class Reported:
    """A study, the clips of its images and where its masks came from."""

    study: Study
    clips: dict[str, Clip]
    sources: dict[str, str]


@cache
def phantom(*, cine: bool) -> PhantomStudy:
    return make_study("phantom", seed=5, shape=(140, 150), spacing=SPACING, frames=16, cine=cine)


def measured(found: PhantomStudy, *, cine: bool, spacing: Spacing | None = SPACING) -> Reported:
    """The phantom's true masks, measured: its cines only, or its stills only."""
    stored = [image for image in found.images if (image.phase is Phase.CINE) is cine]
    images = [
        MaskedImage(
            image.image_id,
            "phantom",
            image.view,
            image.phase,
            image.masks,
            spacing,
            CAMUS_LABELS,
            ed_frame=image.ed_frame,
            es_frame=image.es_frame,
            frame_rate_hz=image.clip.frame_rate_hz,
        )
        for image in stored
    ]
    clips = {image.image_id: replace(image.clip, spacing=spacing) for image in stored}
    return Reported(measure_study(images), clips, dict.fromkeys(clips, "final"))


def nothing_measured() -> Study:
    """Unreadable, empty and uncalibrated images, and reasons as long as they come."""
    nothing: NDArray[np.uint8] = np.zeros((0, 0, 0), np.uint8)
    problem = (
        "a-rather-long-file-name-of-a-patient_4CH_ED.nii.gz: not a readable NIfTI file (Compressed file "
        "ended before the end-of-stream marker was reached)"
    )
    return measure_study(
        [
            MaskedImage("a4c_ed", "long", View.A4C, Phase.ED, nothing, None, CAMUS_LABELS, problem=problem),
            MaskedImage(
                "a4c_es", "long", View.A4C, Phase.ES, np.zeros((1, 9, 9), np.uint8), None, CAMUS_LABELS
            ),
            MaskedImage(
                "a2c", "long", View.A2C, Phase.CINE, np.zeros((6, 9, 9), np.uint8), None, CAMUS_LABELS
            ),
        ]
    )
