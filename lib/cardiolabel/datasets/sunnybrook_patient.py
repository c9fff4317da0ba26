"""One patient of the Sunnybrook data: the cine, its ED and ES, and the masks of its contours."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.sunnybrook_contours import ContourFile, Kind, read_contour, slice_mask
from cardiolabel.domain import ACDC_LABELS, Phase, Stack
from cardiolabel.errors import DatasetError
from cardiolabel.geometry.polygon import polygon_area
from cardiolabel.io.dicom_cine import CineSeries, read_series

__all__ = ["Patient", "myocardium_drawn", "numbered_files"]


@dataclass(frozen=True)
class Patient:
    """One patient's files, read on demand.

    Parameters
    ----------
    name : str
        ``SC-HF-I-1``.
    image_folders : tuple of Path
        Folders of DICOM files, of which one is the cine that the contours were drawn on.
    contours : tuple of ContourFile
    """

    name: str
    image_folders: tuple[Path, ...]
    contours: tuple[ContourFile, ...]

    @cached_property
    def series(self) -> CineSeries:
        """The cine, in order of space and time.

        Raises
        ------
        DatasetError
            No folder, or several, hold the images that have contours.
        ImageReadError, ImageContentError
            As `cardiolabel.io.dicom_cine.read_series`.
        """
        return read_series(self._files.values())

    @cached_property
    def frames(self) -> dict[Phase, int]:
        """Phases (from 0) of the cine at ED and ES: those with endocardial contours.

        ED is the one whose contours enclose more.

        Raises
        ------
        DatasetError
            Contours at one phase only, or at more than two.
        """
        areas: defaultdict[int, float] = defaultdict(float)
        names: dict[int, str] = {}
        for contour in self.contours:
            if contour.kind is Kind.ENDOCARDIUM:
                _, frame = self._place(contour)
                areas[frame] += polygon_area(read_contour(contour.path))
                names.setdefault(frame, contour.path.name)
        if len(areas) != 2:
            shown = ", ".join(f"{frame + 1} ({name})" for frame, name in sorted(names.items())[:4])
            raise DatasetError(
                f"{self.name}: endocardial contours at {len(areas)} phases, {shown or 'none'}; expected two, "
                "ED and ES; complete or correct the contours"
            )
        es, ed = sorted(areas, key=areas.__getitem__)
        return {Phase.ED: ed, Phase.ES: es}

    def cine(self) -> NDArray[np.generic]:
        """Return every phase and slice, shape (T, Z, H, W); errors as `series`."""
        return self.series.pixels()

    def stack(self, phase: Phase) -> Stack:
        """Return the slices at ED or ES; errors as `frames` and `series`."""
        return self.series.stack(self.frames[phase])

    def masks(self, phase: Phase, *, papillary_in_cavity: bool = True) -> NDArray[np.uint8]:
        """Return the reference masks at ED or ES, shape (Z, H, W), with `ACDC_LABELS`.

        Parameters
        ----------
        phase : Phase
        papillary_in_cavity : bool
            As `cardiolabel.datasets.sunnybrook_contours.slice_mask`.

        Raises
        ------
        DatasetError
            A contour cannot be read or reaches beyond its image; and as `frames`.
        """
        outlines: list[dict[Kind, list[NDArray[np.float64]]]] = [defaultdict(list) for _ in self.series.files]
        for contour in self.contours:
            index, frame = self._place(contour)
            if frame == self.frames[phase]:
                outline = read_contour(contour.path)
                if (outline < -0.5).any() or (outline > np.array(self.series.shape) - 0.5).any():
                    raise DatasetError(
                        f"{contour.path.name}: reaches beyond its image of {self.series.shape} pixels"
                    )
                outlines[index][contour.kind].append(outline)
        return np.stack(
            [slice_mask(of, self.series.shape, papillary_in_cavity=papillary_in_cavity) for of in outlines]
        )

    @cached_property
    def _files(self) -> dict[int, Path]:
        """The cine's files by the number in their names."""
        image_numbers = {contour.image_number for contour in self.contours}
        numbered = {folder: numbered_files(folder) for folder in self.image_folders}
        complete = [folder for folder, files in numbered.items() if image_numbers <= files.keys()]
        if len(complete) == 1:
            return numbered[complete[0]]
        if complete:
            raise DatasetError(
                f"{self.name}: {', '.join(folder.name for folder in complete)} could all be the cine of the "
                "contours; keep the right one only"
            )
        fullest = max(self.image_folders, key=lambda folder: len(image_numbers & numbered[folder].keys()))
        lost = sorted(image_numbers - numbered[fullest].keys())
        drawn = next(contour.path.name for contour in self.contours if contour.image_number == lost[0])
        raise DatasetError(
            f"{fullest}: {len(lost)} images that have contours are missing, the first is number {lost[0]} of "
            f"{drawn}; download {fullest.name} again"
        )

    def _place(self, contour: ContourFile) -> tuple[int, int]:
        return self._places[self._files[contour.image_number]]

    @cached_property
    def _places(self) -> dict[Path, tuple[int, int]]:
        return self.series.places()


def numbered_files(folder: Path) -> dict[int, Path]:
    """Return DICOM files by the last number in their names."""
    matches = {path: re.search(r"(\d+)$", path.stem) for path in sorted(folder.glob("*.[dD][cC][mM]"))}
    return {int(match[1]): path for path, match in matches.items() if match and not path.name.startswith(".")}


def myocardium_drawn(masks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which slices of a mask (Z, H, W) label the myocardium.

    At ES none does: a loss must ignore the myocardium there.

    Examples
    --------
    >>> masks = np.zeros((2, 4, 4), np.uint8)
    >>> masks[:, 1, 1] = ACDC_LABELS.value("lv_cavity")
    >>> masks[0, 1, 2] = ACDC_LABELS.value("myocardium")
    >>> myocardium_drawn(masks)
    array([ True, False])
    """
    return np.asarray((masks == ACDC_LABELS.value("myocardium")).any(axis=(1, 2)))
