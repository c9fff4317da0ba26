"""Ejection fraction and fractional area change."""

from __future__ import annotations

from cardiolabel.errors import MeasurementError


def ejection_fraction_pct(edv_ml: float, esv_ml: float) -> float:
    """Compute ``100 (EDV - ESV) / EDV``.

    Raises
    ------
    MeasurementError
        A volume is not positive, or the ventricle does not get smaller from ED to ES.

    References
    ----------
    Lang et al. 2015, doi 10.1016/j.echo.2014.10.003.

    Examples
    --------
    >>> ejection_fraction_pct(120.0, 48.0)
    60.0
    """
    return _relative_drop_pct(edv_ml, esv_ml, "volume")


def fractional_area_change_pct(ed_area_mm2: float, es_area_mm2: float) -> float:
    """Compute ``100 (EDA - ESA) / EDA``; needs no calibration.

    Raises
    ------
    MeasurementError
        As `ejection_fraction_pct`.

    Examples
    --------
    >>> fractional_area_change_pct(3000.0, 1800.0)
    40.0
    """
    return _relative_drop_pct(ed_area_mm2, es_area_mm2, "area")


def _relative_drop_pct(ed: float, es: float, what: str) -> float:
    if not (ed > 0 and es > 0):
        raise MeasurementError(f"the {what} at ED and at ES must be positive")
    if es >= ed:
        raise MeasurementError(
            f"the {what} at ES is not smaller than at ED: check the phase labels and the masks"
        )
    return 100 * (ed - es) / ed
