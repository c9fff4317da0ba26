"""Methods of computing a left-ventricular volume, and the two conventions of its length."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """Method of computing a left-ventricular volume."""

    BIPLANE = "biplane"
    SINGLE_PLANE_A4C = "single-plane-A4C"
    SINGLE_PLANE_A2C = "single-plane-A2C"
    AREA_LENGTH = "area-length"
    SLICE_SUMMATION = "slice-summation"

    @property
    def rank(self) -> int:
        """Rank by trust; 0 is the most trusted method.

        Biplane discs come first (ASE/EACVI 2015, doi 10.1016/j.echo.2014.10.003), then one plane, A4C before
        A2C, which is foreshortened more often, then the area-length formula. Slice summation is for other
        images than these and never competes with them.

        Examples
        --------
        >>> min(Method, key=lambda method: method.rank)
        <Method.BIPLANE: 'biplane'>
        """
        return _BY_TRUST.index(self)


_BY_TRUST = (
    Method.BIPLANE,
    Method.SINGLE_PLANE_A4C,
    Method.SINGLE_PLANE_A2C,
    Method.AREA_LENGTH,
    Method.SLICE_SUMMATION,
)


class Convention(StrEnum):
    """Choice of the long-axis length in Simpson's method.

    ``guideline``: each phase has a length of its own (ASE/EACVI 2015, doi 10.1016/j.echo.2014.10.003).
    ``camus``: one length, the longest over phases and views, serves both phases, as in the ``EF`` field of
    the CAMUS NIfTI release.
    """

    GUIDELINE = "guideline"
    CAMUS = "camus"
