"""Structures of the heart: names, colours, and terms of Slicer's terminologies (SNOMED CT)."""

from __future__ import annotations

STRUCTURES = {
    "lv_cavity": ("LV cavity", (1.0, 0.82, 0.25), ("87878005", "Left ventricle")),
    "myocardium": ("myocardium", (0.23, 0.81, 0.67), ("49848007", "Myocardium of left ventricle")),
    "left_atrium": ("left atrium", (0.48, 0.66, 1.0), ("82471001", "Left atrium")),
    "right_ventricle": ("right ventricle", (0.93, 0.26, 0.4), ("53085002", "Right ventricle")),
}
"""Name that is shown, colour, and code with its meaning, by the server's name."""

_CONTEXT = "Segmentation category and type - DICOM master list"


def terminology(structure: str) -> str:
    """Return a structure as a segment's terminology tag."""
    code, meaning = STRUCTURES[structure][2]
    kind, own = "SCT^123037004^Anatomical Structure", f"SCT^{code}^{meaning}"
    return f"{_CONTEXT}~{kind}~{own}~^^~Anatomic codes - DICOM master list~^^~^^"
