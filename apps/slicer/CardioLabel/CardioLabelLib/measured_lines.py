"""Annulus, long axis and discs of a measured frame as markups."""

from __future__ import annotations

from typing import Any

import numpy as np

import slicer

from .study import Study

COLOURS = {"annulus": (0.35, 0.85, 0.4), "long axis": (0.35, 0.85, 0.4), "disc": (0.95, 0.35, 0.35)}


class MeasuredLines:
    """Lines that show where a number comes from; they are locked, and no measurement of Slicer's."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []

    def show(self, study: Study, image: str, frame: int) -> int:
        """Draw the lines of a frame in place of others; returns how many there are."""
        self.clear()
        rows = [row for row in study.shown["frames"] if row["image_id"] == image and row["frame"] == frame]
        if not rows or not rows[0].get("annulus"):
            return 0
        row, nodes = rows[0], study.images[image].nodes
        annulus = np.array(row["annulus"])
        lines = [("annulus", annulus)]
        if row.get("apex"):
            lines.append(("long axis", np.array([annulus.mean(axis=0), row["apex"]])))
        lines += [("disc", np.array(disc)) for disc in row.get("discs") or ()]
        for name, points in lines:
            self._draw(name, nodes.points(points, frame), nodes.view_id)
        return len(lines)

    def clear(self) -> None:
        """Take the lines out of the scene."""
        for node in self._nodes:
            slicer.mrmlScene.RemoveNode(node)
        self._nodes.clear()

    def _draw(self, name: str, points: np.ndarray, view: str) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
        node.CreateDefaultDisplayNodes()
        for point in points:
            node.AddControlPoint(*map(float, point))
        node.SetLocked(True)
        display = node.GetDisplayNode()
        display.SetSelectedColor(*COLOURS[name])
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        display.SetGlyphScale(0.5)
        if view:
            display.AddViewNodeID(view)
        self._nodes.append(node)
