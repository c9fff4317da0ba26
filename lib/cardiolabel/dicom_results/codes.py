"""Codes of measurements, views, phases and structures (DICOM PS3.16, LOINC, SNOMED CT, UCUM)."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cardiolabel.domain import Convention, Method, Phase, View

__all__ = [
    "AREA",
    "CONVENTION",
    "CONVENTIONS",
    "DISC_METHODS",
    "LENGTH",
    "LOWER",
    "PHASES",
    "QUALITY",
    "STRUCTURES",
    "UPPER",
    "VIEW",
    "VIEWS",
    "VOLUMES",
    "flag_code",
]

SCHEME = "99CARDIOLABEL"
"""Private scheme, for what no standard has a code for; the meanings say it in words."""

_EF_BY_US = Code("18043-0", "LN", "Left Ventricular Ejection Fraction by US")
_EDV = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
_ESV = Code("18148-7", "LN", "Left Ventricular End Systolic Volume")

VOLUMES: dict[Method, tuple[Code, Code, Code]] = {
    Method.BIPLANE: (
        Code("79991-6", "LN", "Left ventricular ejection fraction biplane (MOD)"),
        Code("79996-5", "LN", "Left ventricular end diastolic volume biplane (MOD)"),
        Code("80001-1", "LN", "Left ventricular end systolic volume biplane (MOD)"),
    ),
    Method.SINGLE_PLANE_A4C: (
        Code("79993-2", "LN", "Left ventricular ejection fraction single plane 4C (MOD)"),
        Code("79999-9", "LN", "Left ventricular end diastolic volume single plane 4C (MOD)"),
        Code("80004-5", "LN", "Left ventricular end systolic volume single plane 4C (MOD)"),
    ),
    Method.SINGLE_PLANE_A2C: (
        Code("79992-4", "LN", "Left ventricular ejection fraction single plane 2C (MOD)"),
        Code("79998-1", "LN", "Left ventricular end diastolic volume single plane 2C (MOD)"),
        Code("80003-7", "LN", "Left ventricular end systolic volume single plane 2C (MOD)"),
    ),
    Method.AREA_LENGTH: (_EF_BY_US, _EDV, _ESV),
    Method.SLICE_SUMMATION: (
        Code("8811-2", "LN", "Left ventricular ejection fraction by MR"),
        _EDV,
        _ESV,
    ),
}
"""EF, EDV and ESV by method."""

DISC_METHODS: dict[Method, Code] = {
    Method.BIPLANE: codes.DCM.MethodOfDisksBiplane,
    Method.SINGLE_PLANE_A4C: codes.DCM.MethodOfDisksSinglePlane,
    Method.SINGLE_PLANE_A2C: codes.DCM.MethodOfDisksSinglePlane,
    Method.AREA_LENGTH: Code("area-length-biplane", SCHEME, "Area-length, biplane"),
    Method.SLICE_SUMMATION: Code("slice-summation", SCHEME, "Summation of short-axis slices"),
}

CONVENTION = Code("convention", SCHEME, "Convention of the long axis")
CONVENTIONS = {
    Convention.GUIDELINE: Code("guideline", SCHEME, "Each phase has its own length (ASE/EACVI 2015)"),
    Convention.CAMUS: Code("camus", SCHEME, "The longest length serves both phases (CAMUS)"),
}

VIEW = codes.DCM.ImageView
VIEWS = {
    View.A4C: Code("399214001", "SCT", "Apical four chamber"),
    View.A2C: Code("399232001", "SCT", "Apical two chamber"),
    View.SAX: codes.SCT.ShortAxis,
}
PHASES = {
    Phase.ED: Code("416190007", "SCT", "End diastole"),
    Phase.ES: Code("416430001", "SCT", "End systole"),
}
STRUCTURES = {
    "lv_cavity": Code("87878005", "SCT", "Left ventricle"),
    "myocardium": Code("49848007", "SCT", "Left ventricle myocardium"),
    "left_atrium": Code("82471001", "SCT", "Left atrium"),
    "right_ventricle": Code("53085002", "SCT", "Right ventricle"),
}

AREA, LENGTH = codes.SCT.Area, codes.SCT.Length
LOWER = Code("lower-90", SCHEME, "Lower limit of the 90 % interval")
UPPER = Code("upper-90", SCHEME, "Upper limit of the 90 % interval")
QUALITY = Code("quality", SCHEME, "Reason to look at the number again")


def flag_code(flag: str) -> Code:
    """Return the code of a quality flag.

    >>> flag_code("annulus_tilt").meaning
    'annulus tilt'
    """
    return Code(flag, SCHEME, flag.replace("_", " "))
