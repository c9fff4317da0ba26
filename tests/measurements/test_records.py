"""The most trusted measured method of a patient is chosen in one place."""

from __future__ import annotations

import pytest

from cardiolabel.domain import Convention, Method
from cardiolabel.measurements.records import PatientRow, Study

GUIDELINE, CAMUS = Convention.GUIDELINE, Convention.CAMUS


def study(efs_pct: dict[tuple[Method, Convention], float | None]) -> Study:
    rows = (PatientRow("p", method, convention, ef_pct=ef) for (method, convention), ef in efs_pct.items())
    return Study("p", frames=(), rows=tuple(rows))


@pytest.mark.parametrize("backwards", [False, True])
def test_biplane_is_trusted_most_whatever_the_order_of_rows(backwards: bool) -> None:
    efs_pct = {(method, GUIDELINE): 10.0 * place for place, method in enumerate(Method, start=1)}
    rows = dict(sorted(efs_pct.items(), reverse=backwards))
    best = study(dict(rows)).best(GUIDELINE)
    assert best and best.method is Method.BIPLANE


def test_a_method_without_an_ef_is_passed_over() -> None:
    efs_pct = {
        (Method.BIPLANE, GUIDELINE): None,
        (Method.SINGLE_PLANE_A2C, GUIDELINE): 40.0,
        (Method.SINGLE_PLANE_A4C, GUIDELINE): 50.0,
        (Method.SINGLE_PLANE_A4C, CAMUS): 60.0,
    }
    best = study(efs_pct).best(GUIDELINE)
    assert best and (best.method, best.ef_pct) == (Method.SINGLE_PLANE_A4C, 50.0)


def test_a_convention_or_a_method_can_be_asked_for() -> None:
    efs_pct = {(Method.BIPLANE, GUIDELINE): 50.0, (Method.AREA_LENGTH, CAMUS): 60.0}
    by_convention, by_method = study(efs_pct).best(CAMUS), study(efs_pct).best(method=Method.AREA_LENGTH)
    assert by_convention is not None and by_convention == by_method
    assert study(efs_pct).best(CAMUS, method=Method.BIPLANE) is None


def test_without_any_ef_there_is_no_best_row() -> None:
    assert study({(Method.BIPLANE, GUIDELINE): None}).best() is None


def test_every_method_has_a_rank() -> None:
    assert sorted(method.rank for method in Method) == list(range(len(Method)))
