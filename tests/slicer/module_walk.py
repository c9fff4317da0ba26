"""An annotator's way through the module CardioLabel, on Slicer's core: ``module_walk.py LIB URL OUT``.

What the scene showed is written to ``OUT/module.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import requests
import vtk
from extension import make_scene
from vtk.util.numpy_support import vtk_to_numpy

import slicer

CINES, STACKS = "phantom02", "s"
ENDED = ("published", "refused", "failed")


def paint(editor: Any, nodes: Any, box: tuple[int, int, int, int], frame: int = 0) -> None:
    """Add a box (first row, last row, first column, last column) to the cavity with Slicer's own editor."""
    first_row, last_row, first_col, last_col = box
    stroke = slicer.vtkOrientedImageData()
    depth = 0 if nodes.is_cine else frame
    stroke.SetExtent(first_col, last_col, first_row, last_row, depth, depth)
    stroke.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(stroke.GetPointData().GetScalars())[:] = 1
    matrix = vtk.vtkMatrix4x4()
    nodes.volume.GetIJKToRASMatrix(matrix)
    stroke.SetGeometryFromImageToWorldMatrix(matrix)
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode")
    node = node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    segmentation = nodes.segmentation
    if segmentation.GetDisplayNode() is None:
        segmentation.CreateDefaultDisplayNodes()
    editor.SetSegmentEditorNode(node)
    editor.SetSegmentationNode(segmentation)
    editor.SetSourceVolumeNode(nodes.volume)
    editor.SetCurrentSegmentID("lv_cavity")
    add = slicer.vtkSlicerSegmentEditorLogic.ModificationModeAdd
    editor.ModifySegmentByLabelmap(segmentation, "lv_cavity", stroke, add, False, False)


class Walk:
    """One annotator at the module's logic."""

    def __init__(self, url: str) -> None:
        from CardioLabelLib.logic import Logic, best_ef

        self.url, self.best_ef = url, best_ef
        make_scene()
        import extension

        self.editor = extension.EDITOR
        sequences = slicer.vtkSlicerSequencesLogic()
        sequences.SetMRMLApplicationLogic(extension.APPLICATION)
        sequences.SetMRMLScene(slicer.mrmlScene)
        self.logic = Logic(sequences)

    def run(self) -> dict[str, Any]:
        return {
            "unconnected": self._refused(self.logic.worklist),
            "unreachable": self._refused(lambda: self.logic.connect("http://127.0.0.1:9")),
            "info": self.logic.connect(self.url, "reader")["name"],
            "worklist": self.logic.worklist(),
            "next": self.logic.next_best(),
            "cines": self.cines(),
            "shapes": self.shapes(),
            "conflict": self.conflict(),
            "lost": self.lost(),
            "stacks": self.stacks(),
            "session": self.session(),
            "training": self.training(),
            "left": self.closed(),
        }

    def cines(self) -> dict[str, Any]:
        study = self.logic.open(CINES)
        work = next(work for work in study.images.values() if work.nodes.is_cine)
        nodes, image = work.nodes, work.nodes.image
        before = self.best_ef(study.report)["ef_pct"]
        same = bool((nodes.masks() == nodes.stored).all())
        frame = study.phases(image)[1]
        nodes.show(frame)
        rows, cols = np.nonzero(nodes.stored[frame] == nodes.structures["lv_cavity"])
        row, col = int(rows.mean()), int(cols.max())
        paint(self.editor, nodes, (row, row + 8, col - 4, col + 6))
        noticed = [study.notice(image), study.notice(image)]
        changed = sorted(nodes.changed())
        nodes.show(0)
        still_changed = sorted(nodes.changed())
        unsaved = self.best_ef(self.logic.measure())["ef_pct"]
        drawn = nodes.masks()
        lines = self.logic.lines.show(study, image, frame)
        curve = [self.logic.curve.chart.GetNthPlotSeriesNode(k).GetName() for k in range(4)]
        version = study.submit(image)
        saved = self.best_ef(study.report)["ef_pct"]
        again = nodes.masks()
        study.predict(image)
        predicted = sorted(nodes.changed())
        study.give_up(image)
        browser = nodes.browser
        return {
            "images": [each.nodes.name for each in study.images.values()],
            "rate_hz": browser.GetPlaybackRateFps(),
            "times": [nodes._pictures.GetNthIndexValue(k) for k in range(3)],
            "same": same,
            "frame": frame,
            "noticed": noticed,
            "changed": changed,
            "still_changed": still_changed,
            "ef": [before, unsaved, saved],
            "version": version,
            "kept": bool((again == drawn).all()),
            "predicted": predicted,
            "given_up": sorted(nodes.changed()),
            "lines": lines,
            "curve": curve,
            "image": image,
            "drawn": [int((drawn == value).sum()) for value in (1, 2, 3)],
            "author": study.versions(image)[-1],
            "segments": self._segments(nodes),
        }

    def shapes(self) -> dict[str, Any]:
        """A copied mask, and shapes between two corrected frames: proposed, rejected, accepted."""
        study = self.logic.study
        image = next(image for image, work in study.images.items() if work.nodes.is_cine)
        nodes = study.images[image].nodes
        nodes.show(4)
        copied = study.copy_to_next(image)
        after_copy = sorted(nodes.changed())
        is_copy = bool((nodes.masks()[5] == nodes.masks()[4]).all())
        study.give_up(image)
        alone = self._value_error(lambda: study.propose_between(image))
        for frame in (2, 6):
            nodes.show(frame)
            paint(self.editor, nodes, (60, 64, 60, 64))
            study.notice(image)
        proposed = study.propose_between(image)
        unsaved_before = sorted(study.unsaved.get(image, {}))
        study.reject(image)
        after_reject = sorted(nodes.changed())
        study.propose_between(image)
        study.accept(image)
        unsaved = sorted(study.unsaved.get(image, {}))
        areas = [int((nodes.masks()[frame] == 1).sum()) for frame in range(2, 7)]
        version = study.submit(image)
        return {
            "copied": copied,
            "after_copy": after_copy,
            "is_copy": is_copy,
            "alone": alone,
            "proposed": proposed,
            "unsaved_before": unsaved_before,
            "after_reject": after_reject,
            "unsaved": unsaved,
            "areas": areas,
            "version": version,
        }

    def conflict(self) -> dict[str, Any]:
        from CardioLabelLib.study import ConflictError

        study = self.logic.study
        image = next(image for image, work in study.images.items() if work.nodes.is_cine)
        nodes = study.images[image].nodes
        nodes.show(1)
        paint(self.editor, nodes, (60, 66, 60, 66))
        study.notice(image)
        theirs = {"frames": {"3": []}, "client_id": "other", "base_version": nodes.version, "on": "image"}
        requests.put(
            f"{self.url}/cardiac/images/{image}/labelmap", json=theirs, timeout=60
        ).raise_for_status()
        try:
            study.submit(image)
        except ConflictError as error:
            conflict = error
        both = [version["author"] for version in study.versions(image)]
        shown = int(nodes.masks()[1, 60, 60])
        version = study.settle(conflict, mine=True)
        return {
            "message": str(conflict),
            "authors": both,
            "shown": shown,
            "version": version,
            "mine": int(nodes.masks()[1, 60, 60]),
            "third": int((nodes.masks()[3] > 0).sum()),
        }

    def lost(self) -> dict[str, Any]:
        """The server goes away while somebody works."""
        study = self.logic.study
        image = next(image for image, work in study.images.items() if work.nodes.is_cine)
        nodes = study.images[image].nodes
        nodes.show(0)
        paint(self.editor, nodes, (70, 74, 70, 74))
        study.notice(image)
        url, self.logic.server.url = self.logic.server.url, "http://127.0.0.1:9"
        refused = self._refused(lambda: study.submit(image))
        kept = sorted(nodes.changed())
        self.logic.server.url = url
        return {"refused": refused, "kept": kept, "version": study.submit(image)}

    def stacks(self) -> dict[str, Any]:
        study = self.logic.open(STACKS)
        work = next(iter(study.images.values()))
        nodes, before = work.nodes, work.nodes.masks()
        middle = len(before) // 2
        paint(self.editor, nodes, (10, 14, 10, 14), middle)
        study.notice(nodes.image)
        version = study.submit(nodes.image)
        return {
            "images": [each.nodes.name for each in study.images.values()],
            "spacing": nodes.volume.GetSpacing(),
            "changed": [int(k) for k in np.flatnonzero((nodes.masks() != before).any(axis=(1, 2)))],
            "middle": middle,
            "version": version,
            "segments": self._segments(nodes),
        }

    def session(self) -> dict[str, Any]:
        """A volume that only the scene has."""
        study = self.logic.open("phantom01")
        nodes = next(iter(study.images.values())).nodes
        alone = slicer.vtkMRMLScalarVolumeNode()
        alone.Copy(nodes.volume)
        alone.SetName("alone")
        slicer.mrmlScene.AddNode(alone)
        segmentation, report = self.logic.predict_volume(alone, "camus")
        image = slicer.vtkOrientedImageData()
        segmentation.GetBinaryLabelmapRepresentation("lv_cavity", image)
        pixels = int((vtk_to_numpy(image.GetPointData().GetScalars()) > 0).sum())
        stored = int((nodes.stored == nodes.structures["lv_cavity"]).sum())
        for node in (alone, segmentation):
            slicer.mrmlScene.RemoveNode(node)
        return {"pixels": pixels, "stored": stored, "area_mm2": report["frames"][0]["lv_area_mm2"]}

    def training(self) -> dict[str, Any]:
        refused = self._refused(lambda: self.logic.train("nothing"))
        self.logic.train("sunnybrook")
        end_s = time.monotonic() + 300
        while not (state := self.logic.training()) or state[0]["state"] not in ENDED:
            assert time.monotonic() < end_s
            time.sleep(0.5)
        return {"refused": refused, "state": state}

    def closed(self) -> list[str]:
        self.logic.close()
        kinds = (
            "Sequence",
            "SequenceBrowser",
            "ScalarVolume",
            "Segmentation",
            "PlotChart",
            "Table",
            "MarkupsLine",
        )
        return [kind for kind in kinds if slicer.mrmlScene.GetNumberOfNodesByClass(f"vtkMRML{kind}Node") > 0]

    def _segments(self, nodes: Any) -> dict[str, Any]:
        segmentation = nodes.segmentation.GetSegmentation()
        tags = {}
        for segment_id in segmentation.GetSegmentIDs():
            segment, tag = segmentation.GetSegment(segment_id), vtk.reference("")
            segment.GetTag("TerminologyEntry", tag)
            tags[segment_id] = [segment.GetName(), str(tag)]
        return tags

    def _refused(self, action: Any) -> str:
        from CardioLabelLib.server import ServerError

        try:
            action()
        except ServerError as error:
            return str(error)
        return ""

    def _value_error(self, action: Any) -> str:
        try:
            action()
        except ValueError as error:
            return str(error)
        return ""


if __name__ == "__main__":
    module, address, target = sys.argv[1:]
    sys.path.insert(0, module)
    Path(target, "module.json").write_text(json.dumps(Walk(address).run()))
