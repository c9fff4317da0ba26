"""Input and results of measuring a patient: masked images, and the rows of the two tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Convention, LabelSet, Method, Phase, Spacing, View
from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.phases import Beat
from cardiolabel.measurements.quality import Flag


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """One image's masks with what measuring needs: view, phase, pixel size, labels.

    Parameters
    ----------
    masks : ndarray of uint8, shape (T, H, W); slices (Z, H, W) for a SAX stack
    spacing : Spacing or None
    ed_frame, es_frame : int or None
        1-based frame numbers of a cine, where the dataset names them.
    slice_spacing_mm : float or None
        Distance between the slices of a SAX stack.
    problem : str
        Why there are no masks (the file is unreadable, nothing was predicted); ``masks`` is then
        empty, shape (0, 0, 0).
    affine_mm : ndarray, shape (4, 4), or None
        From (column, row, slice or frame) indices to patient coordinates in mm (right, anterior,
        superior); None where the file places nothing.

    Raises
    ------
    ImageContentError
        The masks are not three axes.
    ValueError
        The label set has no ``lv_cavity``.
    """

    image_id: str
    patient: str
    view: View
    phase: Phase
    masks: NDArray[np.uint8]
    spacing: Spacing | None
    labels: LabelSet
    ed_frame: int | None = None
    es_frame: int | None = None
    frame_rate_hz: float | None = None
    slice_spacing_mm: float | None = None
    problem: str = ""
    affine_mm: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not self.labels.has("lv_cavity"):
            raise ValueError(f"label set {self.labels.name} names no lv_cavity: nothing can be measured")
        if self.masks.ndim != 3:
            raise ImageContentError(f"{self.image_id}: masks must be (T, H, W), got shape {self.masks.shape}")


@dataclass(frozen=True, eq=False)
class FrameRow:
    """One row of ``frames.csv``; ``frame`` counts from 0, volumes are single-plane."""

    image_id: str
    patient: str
    view: View
    phase: Phase
    frame: int
    lv_area_mm2: float | None
    lv_length_mm: float | None
    lv_volume_ml: float | None
    quality: tuple[Flag, ...]
    reason: str
    geometry: LVGeometry | None

    @property
    def measured_geometry(self) -> LVGeometry:
        """Geometry of a measured frame; raises ValueError for a frame without one."""
        if self.geometry is None:
            raise ValueError(f"{self.image_id} frame {self.frame} has no geometry")
        return self.geometry


@dataclass(frozen=True)
class Cycle:
    """ED and ES of one beat of one view; both frames have a geometry."""

    ed: FrameRow
    es: FrameRow

    def __post_init__(self) -> None:
        if self.ed.geometry is None or self.es.geometry is None:
            raise ValueError("a cycle needs a measured frame at ED and at ES")

    @property
    def ed_geometry(self) -> LVGeometry:
        """Geometry at end-diastole."""
        return self.ed.measured_geometry

    @property
    def es_geometry(self) -> LVGeometry:
        """Geometry at end-systole."""
        return self.es.measured_geometry

    def at(self, phase: Phase) -> LVGeometry:
        """Return the geometry at ED or ES."""
        return self.ed_geometry if phase is Phase.ED else self.es_geometry


@dataclass(frozen=True)
class PatientRow:
    """One row of ``patients.csv``: a patient, method and convention. None is "not measurable"."""

    patient: str
    method: Method
    convention: Convention
    edv_ml: float | None = None
    esv_ml: float | None = None
    sv_ml: float | None = None
    ef_pct: float | None = None
    ef_low_pct: float | None = None
    ef_high_pct: float | None = None
    length_a4c_ed_mm: float | None = None
    length_a2c_ed_mm: float | None = None
    length_a4c_es_mm: float | None = None
    length_a2c_es_mm: float | None = None
    quality: tuple[Flag, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class BeatRow:
    """Volumes of one beat by one method, where a patient has several; frames count from 0."""

    method: Method
    convention: Convention
    beat: int
    edv_ml: float | None
    esv_ml: float | None
    ef_pct: float | None


@dataclass(frozen=True)
class AreaChange:
    """Fractional area change of one view; needs no calibration."""

    view: View
    fac_pct: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class Study:
    """All measurements of one patient.

    ``beats`` maps the image ids of cines to their beats; ``phase_frames`` the four (view, phase) pairs to the
    frame row of the first beat's volumes; ``cycles`` each apical view to all its beats; ``stacks`` the phases
    to the image ids of the measured short-axis stacks.
    """

    patient: str
    frames: tuple[FrameRow, ...]
    rows: tuple[PatientRow, ...]
    beat_rows: tuple[BeatRow, ...] = ()
    area_changes: tuple[AreaChange, ...] = ()
    beats: dict[str, list[Beat]] = field(default_factory=dict)
    phase_frames: dict[tuple[View, Phase], FrameRow] = field(default_factory=dict)
    cycles: Mapping[View, tuple[Cycle, ...]] = field(default_factory=dict)
    stacks: Mapping[Phase, str] = field(default_factory=dict)

    def best(
        self, convention: Convention | None = None, *, method: Method | None = None
    ) -> PatientRow | None:
        """Give the row of the most trusted method with a measured EF.

        Parameters
        ----------
        convention : Convention, optional
            Only rows of this convention; otherwise the first convention with an EF.
        method : Method, optional
            Only rows of this method.

        Returns
        -------
        PatientRow or None
            None where no EF could be measured.
        """
        measured = (
            row
            for row in self.rows
            if row.ef_pct is not None
            and convention in (None, row.convention)
            and method in (None, row.method)
        )
        return min(measured, key=lambda row: row.method.rank, default=None)
