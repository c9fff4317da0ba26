"""A made-up patient of the Sunnybrook data: round ventricles of known size, in both layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.dicom_files import NORMAL, write_dicom

ROW_MM, COL_MM, APART_MM = 1.25, 1.5, 8.0
SHAPE = (64, 56)
PHASES = 6
ED, ES = 4, 1
ED_RADII_MM = (None, 22.0, 24.0, 20.0, 12.0)
ES_RADII_MM = (None, 15.0, 16.0, 12.0, None)
WALL_MM = 9.0
CENTRE = (30.3, 26.8)


def circle(radius_mm: float, *, steps: int = 400) -> NDArray[np.float64]:
    """(row, col) of a circle around `CENTRE`, which is an ellipse in pixels."""
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack(
        [CENTRE[0] + radius_mm / ROW_MM * np.sin(angle), CENTRE[1] + radius_mm / COL_MM * np.cos(angle)],
        axis=1,
    )


def save_contour(path: Path, points: NDArray[np.float64]) -> Path:
    """Write (row, col) counted from 0 as the data have it: x y, the first pixel at (1, 1)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{col + 1:.2f} {row + 1:.2f}\n" for row, col in points))
    return path


def make_images(folder: Path, name: str) -> None:
    """Slices from the base down; the first slice lies above the ventricle."""
    rows, cols = np.indices(SHAPE)
    from_centre_mm = np.hypot((rows - CENTRE[0]) * ROW_MM, (cols - CENTRE[1]) * COL_MM)
    for index, (ed_mm, es_mm) in enumerate(zip(ED_RADII_MM, ES_RADII_MM, strict=True)):
        for phase in range(PHASES):
            number = index * PHASES + phase + 1
            filling = abs(phase - ES) / (ED - ES) if phase <= ED else 0.9
            radius_mm = (es_mm or 0.0) + filling * ((ed_mm or 0.0) - (es_mm or 0.0))
            pixels = np.where(from_centre_mm < radius_mm, 900, 200) + number
            write_dicom(
                folder / name.format(number=number),
                pixels,
                row_col_mm=(ROW_MM, COL_MM),
                position_mm=np.array([10.0, 20.0, 30.0]) - index * APART_MM * NORMAL,
                trigger_ms=20.0 + 40.0 * phase,
                instance=number,
            )


def make_contours(folder: Path, *, nested: bool = False) -> None:
    """i-contours at ED and ES, o-contours at ED, one papillary muscle at ED; nested by their kind or not."""
    for index, (ed_mm, es_mm) in enumerate(zip(ED_RADII_MM, ES_RADII_MM, strict=True)):
        for phase, radius_mm in ((ED, ed_mm), (ES, es_mm)):
            if radius_mm is None:
                continue
            stem = f"IM-0001-{index * PHASES + phase + 1:04d}"
            inner = folder / "i-contours" if nested else folder
            save_contour(inner / f"{stem}-icontour-manual.txt", circle(radius_mm))
            if phase == ED:
                outer = folder / "o-contours" if nested else folder
                save_contour(outer / f"{stem}-ocontour-manual.txt", circle(radius_mm + WALL_MM))
            if phase == ED and index == 2 and not nested:
                save_contour(folder / f"{stem}-p1contour-manual.txt", circle(4.0))


def make_official(root: Path, numbers: Sequence[int] = (1,)) -> Path:
    """The layout of the Cardiac Atlas Project's release; number 1 is SC-HF-I-1."""
    lines = ["PatientID,OriginalID,Gender,Age,Pathology"]
    for number in numbers:
        scd_id = f"SCD{number:05d}01"
        make_images(root / "SCD_IMAGES_01" / scd_id / "CINESAX_300", "IM-0003-{number:04d}.dcm")
        contours = root / "SCD_ManualContours" / f"SC-HF-I-{number:02d}" / "contours-manual" / "IRCCI-expert"
        make_contours(contours)
        lines.append(f"{scd_id},SC-HF-I-{number},Female,6{number},Heart failure with infarct")
    (root / "scd_patientdata.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return root


def make_flattened(root: Path, numbers: Sequence[int] = (1,)) -> Path:
    """The flattened layout that circulates on GitHub."""
    lines = ["patient_id,original_id"]
    for number in numbers:
        scd_id = f"SCD{number:05d}01"
        make_images(root / "dicoms" / scd_id, "{number}.dcm")
        make_contours(root / "contourfiles" / f"SC-HF-I-{number}", nested=True)
        lines.append(f"{scd_id},SC-HF-I-{number}")
    (root / "link.csv").write_text("\n".join(lines) + "\n")
    return root
