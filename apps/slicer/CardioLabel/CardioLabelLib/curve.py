"""The area of the cavity over time, as a table and a chart with ED and ES."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer.util

import slicer

from .study import Study

MM2_PER_CM2 = 100.0


class AreaCurve:
    """Tables and a chart of a study's cines; they are made once and updated."""

    def __init__(self) -> None:
        scene = slicer.mrmlScene
        self.chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", "LV area")
        self.chart.SetXAxisTitle("time in s")
        self.chart.SetYAxisTitle("LV area in cm²")
        self._nodes: list[Any] = []

    def update(self, study: Study) -> None:
        """Draw the areas of all cines, with unsaved work."""
        self._clear()
        for image, work in study.images.items():
            nodes = work.nodes
            if not nodes.is_cine:
                continue
            areas = areas_cm2(study, image)
            times = np.arange(len(areas)) / nodes.rate_hz
            self._plot(nodes.name, times, areas, is_line=True)
            marked = [frame for frame in study.phases(image) if frame is not None]
            self._plot(f"{nodes.name}: ED and ES", times[marked], areas[marked], is_line=False)

    def remove(self) -> None:
        """Take chart and tables out of the scene."""
        self._clear()
        slicer.mrmlScene.RemoveNode(self.chart)

    def _plot(self, name: str, times: np.ndarray, areas: np.ndarray, *, is_line: bool) -> None:
        scene = slicer.mrmlScene
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        slicer.util.updateTableFromArray(table, [times, areas], ["time in s", "area in cm²"])
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("time in s")
        series.SetYColumnName("area in cm²")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetMarkerStyle(series.MarkerStyleNone if is_line else series.MarkerStyleCircle)
        series.SetLineStyle(series.LineStyleSolid if is_line else series.LineStyleNone)
        series.SetUniqueColor()
        self.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        self._nodes += [table, series]

    def _clear(self) -> None:
        self.chart.RemoveAllPlotSeriesNodeIDs()
        for node in self._nodes:
            slicer.mrmlScene.RemoveNode(node)
        self._nodes.clear()


def areas_cm2(study: Study, image: str) -> np.ndarray:
    """Return the area of the cavity in each frame in cm², NaN where it cannot be measured."""
    unsaved = study.shown.get("areas", {}).get(image)
    areas = unsaved or [row["lv_area_mm2"] for row in study.report["frames"] if row["image_id"] == image]
    return np.array([np.nan if area is None else area / MM2_PER_CM2 for area in areas])
