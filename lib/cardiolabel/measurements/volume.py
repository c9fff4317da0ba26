"""Left-ventricular volumes from lengths, diameters and areas; also of many ventricles at once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", float, NDArray[np.float64])
"""One number, or one of each of D ventricles."""

_ML_PER_MM3 = 1e-3


def biplane_volume_ml(
    a4c_mm: NDArray[np.float64], a2c_mm: NDArray[np.float64], *, length_mm: Values
) -> Values:
    """Compute the biplane volume by discs, ``pi/4 * sum(a_i b_i) * L/n``.

    Parameters
    ----------
    a4c_mm, a2c_mm : ndarray, shape (n,) or (D, n)
        Disc diameters of the two orthogonal views, annulus to apex.
    length_mm : float or ndarray, shape (D,)
        Long axis L that the discs share; the guideline takes the longer of the two views.

    References
    ----------
    Lang et al. 2015, doi 10.1016/j.echo.2014.10.003.

    Examples
    --------
    >>> biplane_volume_ml(np.full(20, 40.0), np.full(20, 50.0), length_mm=80.0).round(2).item()
    125.66
    """
    product: Values = (a4c_mm * a2c_mm).sum(axis=-1)
    return np.pi / 4 * product * length_mm / a4c_mm.shape[-1] * _ML_PER_MM3


def single_plane_volume_ml(diameters_mm: NDArray[np.float64], *, length_mm: Values) -> Values:
    """Compute the single-plane volume by discs: `biplane_volume_ml` with circular discs.

    Examples
    --------
    >>> single_plane_volume_ml(np.full(20, 40.0), length_mm=80.0).round(2).item()
    100.53
    """
    return biplane_volume_ml(diameters_mm, diameters_mm, length_mm=length_mm)


def area_length_volume_ml(a4c_mm2: Values, a2c_mm2: Values, *, length_mm: Values) -> Values:
    """Compute the area-length volume, ``8 A1 A2 / (3 pi L)``; give one view's area twice for one plane.

    Exact for a half-ellipsoid cut along its axes.

    References
    ----------
    Schiller et al. 1989, doi 10.1016/S0894-7317(89)80014-8 (as 0.85 A^2 / L).

    Examples
    --------
    >>> round(area_length_volume_ml(3000.0, 3000.0, length_mm=80.0), 2)
    95.49
    """
    return 8 * a4c_mm2 * a2c_mm2 / (3 * np.pi * length_mm) * _ML_PER_MM3


def slice_summation_ml(areas_mm2: NDArray[np.float64], *, slice_spacing_mm: float) -> float:
    """Compute a short-axis volume: the sum of the slices' cavity areas times their distance.

    References
    ----------
    Schulz-Menger et al. 2020, SCMR post-processing, doi 10.1186/s12968-020-00610-6.

    Examples
    --------
    >>> slice_summation_ml(np.array([1000.0, 1500.0]), slice_spacing_mm=10.0)
    25.0
    """
    return float(areas_mm2.sum()) * slice_spacing_mm * _ML_PER_MM3
