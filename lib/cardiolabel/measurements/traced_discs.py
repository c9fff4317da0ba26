"""EF from traced discs, where the pixel size is unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.measurements.function import ejection_fraction_pct
from cardiolabel.measurements.volume import single_plane_volume_ml


def traced_ef_pct(
    ed_diameters: NDArray[np.float64],
    es_diameters: NDArray[np.float64],
    *,
    ed_length: float,
    es_length: float,
) -> float:
    """Compute the single-plane EF by the method of discs, each phase with its own long axis (``guideline``).

    A scale that both phases share cancels out, so that pixels serve as well as mm.

    Parameters
    ----------
    ed_diameters, es_diameters : ndarray, shape (n,)
        Disc diameters of either phase, in one unit.
    ed_length, es_length : float
        Long axes in that unit.

    Returns
    -------
    float
        EF in %.

    Raises
    ------
    MeasurementError
        No EF can be computed from these volumes, as ED has none.

    References
    ----------
    Lang et al. 2015, doi 10.1016/j.echo.2014.10.003.

    Examples
    --------
    >>> traced_ef_pct(np.full(20, 40.0), np.full(20, 20.0), ed_length=80.0, es_length=80.0)
    75.0
    """
    return ejection_fraction_pct(
        single_plane_volume_ml(ed_diameters, length_mm=ed_length),
        single_plane_volume_ml(es_diameters, length_mm=es_length),
    )
