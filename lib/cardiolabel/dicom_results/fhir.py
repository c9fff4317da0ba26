"""A patient's volumes and EF as a FHIR R4 DiagnosticReport with its Observations.

References
----------
HL7 FHIR R4 (4.0.1), DiagnosticReport and Observation; LOINC; UCUM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydicom.sr.coding import Code

from cardiolabel.dicom_results import codes as own_codes
from cardiolabel.errors import CardiolabelError
from cardiolabel.measurements.records import PatientRow, Study
from cardiolabel.records.layout import FINAL

__all__ = ["diagnostic_report"]

_SYSTEMS = {
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
}
_UCUM = "http://unitsofmeasure.org"


def diagnostic_report(study: Study, sources: Mapping[str, str]) -> str:
    """Return a patient's numbers as the JSON of a DiagnosticReport.

    It is ``final`` where people corrected every mask, else ``preliminary``. Each method and convention is an
    observation of EF, EDV and ESV; limits of the 90 % interval are components. What was not measured says
    why.

    Parameters
    ----------
    study : Study
    sources : mapping of str to str
        Where each image's masks are from, as `Measured.sources`.

    Raises
    ------
    CardiolabelError
        fhir.resources is not installed.
    """
    try:
        from fhir.resources.R4B.diagnosticreport import DiagnosticReport
    except ImportError:
        raise CardiolabelError("FHIR needs fhir.resources: pip install 'cardiolabel[fhir]'") from None
    is_final = set(sources.values()) == {FINAL}
    status = "final" if is_final else "preliminary"
    subject = {"identifier": {"value": study.patient}}
    observations = [
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": status,
            "subject": subject,
            "method": _concept(own_codes.DISC_METHODS[row.method]),
            "note": [{"text": text} for text in _notes(row)],
            **observed,
        }
        for number, (row, observed) in enumerate(
            ((row, observed) for row in study.rows for observed in _observed(row)), start=1
        )
    ]
    reasons = [f"{row.method}, {row.convention}: {row.reason}" for row in study.rows if row.reason]
    report = {
        "status": status,
        "code": {"text": "Left ventricular volumes and ejection fraction"},
        "subject": subject,
        "contained": observations,
        "result": [{"reference": f"#{each['id']}"} for each in observations],
        "conclusion": "; ".join(dict.fromkeys(reasons)) or None,
    }
    made = DiagnosticReport.model_validate({name: value for name, value in report.items() if value})
    return str(made.model_dump_json(indent=1))


def _observed(row: PatientRow) -> Iterator[dict[str, Any]]:
    """Yield EF, EDV and ESV of a row, where they were measured."""
    for code, value, unit in zip(
        own_codes.VOLUMES[row.method], (row.ef_pct, row.edv_ml, row.esv_ml), ("%", "mL", "mL"), strict=True
    ):
        if value is None:
            continue
        observed: dict[str, Any] = {"code": _concept(code), "valueQuantity": _quantity(value, unit)}
        limits = [
            {"code": _concept(limit_code), "valueQuantity": _quantity(limit, unit)}
            for limit_code, limit in ((own_codes.LOWER, row.ef_low_pct), (own_codes.UPPER, row.ef_high_pct))
            if limit is not None
        ]
        if value is row.ef_pct and limits:
            observed["component"] = limits
        yield observed


def _notes(row: PatientRow) -> Iterator[str]:
    yield own_codes.CONVENTIONS[row.convention].meaning
    yield from (own_codes.flag_code(str(flag)).meaning for flag in row.quality)


def _concept(code: Code) -> dict[str, Any]:
    system = _SYSTEMS.get(code.scheme_designator)
    if system is None:
        return {"text": code.meaning}
    return {
        "coding": [{"system": system, "code": code.value, "display": code.meaning}],
        "text": code.meaning,
    }


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": round(value, 1), "unit": unit, "system": _UCUM, "code": unit}
