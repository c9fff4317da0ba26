"""End-diastole and end-systole of a short-axis cine, from the cavity that a model finds at every phase."""

from __future__ import annotations

from functools import cache

import numpy as np

from cardiolabel.datasets.dicom import PhaseChoice
from cardiolabel.domain import Clip
from cardiolabel.errors import ImageContentError, ModelError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.dicom_cine import CineSeries
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import load

__all__ = ["ed_and_es", "phase_choice"]

_CAVITY = "lv_cavity"
_MODEL = "sunnybrook"


def phase_choice(models: ModelFolders) -> PhaseChoice:
    """Return what finds ED and ES of short-axis cines, by a model that is read once it is needed.

    It raises ImageContentError where they cannot be told, also as the model cannot be used.
    """

    @cache
    def predictor() -> Predictor:
        return load(_MODEL, models)

    def phases(cine: CineSeries) -> tuple[int, int]:
        try:
            return ed_and_es(cine, predictor())
        except ModelError as error:
            raise ImageContentError(f"its ED and ES cannot be found: {error}") from error

    return phases


def ed_and_es(cine: CineSeries, predictor: Predictor) -> tuple[int, int]:
    """Return the phases (from 0) of the largest and the smallest cavity.

    The cavity's area over all slices is averaged over each phase and its two neighbours; the cine is taken
    as one cycle, as gated scanners record it.

    Parameters
    ----------
    cine : CineSeries
    predictor : Predictor
        A model for short-axis stacks.

    Raises
    ------
    ImageReadError, ImageContentError
        A file's pixels cannot be read, or no phase shows a cavity.

    References
    ----------
    Schulz-Menger et al. 2020, J Cardiovasc Magn Reson 22:19, section "Left ventricular chamber"
    """
    value = predictor.labels.value(_CAVITY)
    areas_px = np.array(
        [
            np.count_nonzero(predictor.predict(Clip(stack.pixels, stack.spacing)) == value)
            for stack in map(cine.stack, range(cine.phases))
        ],
        dtype=np.float64,
    )
    if not areas_px.any():
        raise ImageContentError("no phase shows a left-ventricular cavity; expected a short-axis cine")
    smooth = (np.roll(areas_px, 1) + areas_px + np.roll(areas_px, -1)) / 3
    return int(smooth.argmax()), int(smooth.argmin())
