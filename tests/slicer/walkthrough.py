"""An annotator's way through MONAI Label's extension: opening, predicting, editing, submitting, training.

Run by slicer-core's Python: ``walkthrough.py PLUGIN URL OUT IMAGES``. What the extension showed is written to
``OUT/report.json``, and the labels that were drawn to ``OUT/<image_id>.npz``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import extension
import numpy as np
import slicer.util
import vtk
from extension import DIALOGS, Settings, matrix_of
from vtk.util.numpy_support import vtk_to_numpy

import slicer

ANNOTATOR = "reader"
SMOOTHING_MM = 3.0
"""Kernel of Slicer's smoothing unless it is told otherwise."""

TRAINING_S = 300


class Walkthrough:
    """One annotator at one panel."""

    def __init__(self, plugin: Path, url: str, out: Path) -> None:
        self.module = extension.load(plugin)
        self.widget = extension.open_widget(self.module, url, client_id=ANNOTATOR)
        self.widget.ui.strategyBox.setCurrentText("first")
        self.out = out

    def opened(self, images: int, *, remote: bool, predict: bool) -> list[dict[str, Any]]:
        """Press Next Sample as often as there are images; where ``predict``, edit and submit each."""
        Settings.values["MONAILabel/autoRunSegmentationOnNextSample"] = predict
        logic = self.widget.logic
        ask = type(logic).next_sample

        def next_sample(*arguments: Any) -> dict[str, Any]:
            sample = ask(logic, *arguments)
            return {**sample, "path": f"/another/machine{sample['path']}"} if remote else sample

        logic.next_sample = next_sample
        shown = []
        for _ in range(images):
            self.widget.onNextSampleButton()
            shown.append(self._shown())
            if predict:
                shown[-1] |= self._edited()
                self.widget.onSaveLabel()
                shown[-1]["after_saving"] = self._dialogs()
        return shown

    def trained(self) -> dict[str, Any]:
        """Train until it is under way, stop it, and train again to the end."""
        widget = self.widget
        widget.ui.trainerBox.setCurrentText("camus")
        config = widget.info["trainers"]["camus"]["config"]
        config["epochs"] = 200
        widget.onTraining()
        progress = self._watched(until_moving=True)
        widget.onStopTraining()
        stopped = self._watched()
        widget.info["trainers"]["camus"]["config"]["epochs"] = 1
        widget.onTraining()
        return {
            "progress": progress,
            "stopped": stopped[-1:],
            "ended": self._watched()[-1:],
            "dialogs": self._dialogs(),
            "accuracy": widget.ui.accuracyProgressBar.value,
        }

    def _watched(self, *, until_moving: bool = False) -> list[list[Any]]:
        """What the progress bar shows, as the extension's timer would see it, until training has ended."""
        bar, seen = self.widget.ui.trainingProgressBar, []
        self.widget.timer = self.widget.timer or extension.Widget()
        deadline = time.monotonic() + TRAINING_S
        while self.widget.timer is not None and time.monotonic() < deadline:
            time.sleep(0.5)
            self.widget.monitorTraining()
            seen.append([bar.value, bar.toolTip])
            if until_moving and self.widget.timer is not None and self._epoch() > 0:
                break
        return seen

    def _epoch(self) -> float:
        stats = self.widget.logic.info()["train_stats"]
        return next(iter(stats.values())).get("epoch", 0) if stats else 0

    def _shown(self) -> dict[str, Any]:
        """The volume and the segments as they are in the scene."""
        volume, sample = self.widget._volumeNode, self.widget.current_sample
        segments = self.widget._segmentNode.GetSegmentation()
        colors = {}
        for segment_id in segments.GetSegmentIDs():
            segment = segments.GetSegment(segment_id)
            colors[segment.GetName()] = [round(value, 3) for value in segment.GetColor()]
        return {
            "id": sample["id"],
            "path": sample["path"],
            "name": sample["name"],
            "volume": volume.GetName(),
            "size": volume.GetImageData().GetDimensions(),
            "spacing": volume.GetSpacing(),
            "mean": float(slicer.util.arrayFromVolume(volume).mean()),
            "colors": colors,
            "voxels": {name: int(mask.sum()) for name, mask in self._masks().items()},
            "dialogs": self._dialogs(),
        }

    def _masks(self) -> dict[str, np.ndarray]:
        """Every segment by its name, in the volume's voxels, shape (slices, rows, columns)."""
        node, volume = self.widget._segmentNode, self.widget._volumeNode
        segments = node.GetSegmentation()
        return {
            segments.GetSegment(GetSegmentID).GetName(): slicer.util.arrayFromSegmentBinaryLabelmap(
                node, GetSegmentID, volume
            )
            > 0
            for GetSegmentID in segments.GetSegmentIDs()
        }

    def _edited(self) -> dict[str, Any]:
        """Remove the upper half of the cavity on one slice by the Segment Editor, undo and redo it."""
        volume = self.widget._volumeNode
        node = self.widget.logic.get_segment_editor_node()
        editor = extension.EDITOR
        editor.SetSegmentEditorNode(node)
        editor.SetSegmentationNode(self.widget._segmentNode)
        editor.SetSourceVolumeNode(volume)
        cavity = self._masks()["lv_cavity"]
        drawn = np.flatnonzero(cavity.any(axis=(1, 2)))
        on_slice = drawn[len(drawn) // 2]
        rows = np.flatnonzero(cavity[on_slice].any(axis=1))
        removed = np.zeros_like(cavity)
        removed[on_slice, : rows[len(rows) // 2]] = cavity[on_slice, : rows[len(rows) // 2]]
        counts = [int(cavity.sum())]
        editor.SetCurrentSegmentID("lv_cavity")
        editor.SaveStateForUndo()
        editor.ModifySegmentByLabelmap(
            self.widget._segmentNode,
            "lv_cavity",
            _labelmap(removed, volume),
            slicer.vtkSlicerSegmentEditorLogic.ModificationModeRemove,
            False,
            False,
        )
        for step in (lambda: None, editor.Undo, editor.Redo):
            step()
            counts.append(int(self._masks()["lv_cavity"].sum()))
        masks = self._masks()
        np.savez(self.out / f"{self.widget.current_sample['id']}.npz", matrix=matrix_of(volume), **masks)
        smoothed = _smoothed(masks["lv_cavity"], volume.GetSpacing())
        alone = [_smoothed(mask[None], volume.GetSpacing())[0] for mask in masks["lv_cavity"]]
        return {
            "edited": counts,
            "removed": int(removed.sum()),
            "smoothed_across": int((smoothed != np.stack(alone)).sum()),
        }

    def _dialogs(self) -> list[tuple[str, str]]:
        """Dialogs but those that ask whether to go on, since the last call."""
        shown = [dialog for dialog in DIALOGS if not dialog[0].startswith("confirm")]
        DIALOGS.clear()
        return shown


def _labelmap(mask: np.ndarray, volume: Any) -> Any:
    """A mask in a volume's voxels as the Segment Editor takes it."""
    labelmap = slicer.vtkOrientedImageData()
    slices, rows, columns = mask.shape
    labelmap.SetExtent(0, columns - 1, 0, rows - 1, 0, slices - 1)
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    labelmap.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix_of(volume)))
    vtk_to_numpy(labelmap.GetPointData().GetScalars())[:] = mask.ravel()
    return labelmap


def _smoothed(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Median smoothing, with a kernel as many voxels wide as Slicer's effect makes it."""
    image = vtk.vtkImageData()
    image.SetDimensions(*mask.shape[::-1])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel()
    median = vtk.vtkImageMedian3D()
    median.SetInputData(image)
    median.SetKernelSize(*(round((SMOOTHING_MM / step + 1) / 2) * 2 - 1 for step in spacing_mm))
    median.Update()
    return vtk_to_numpy(median.GetOutput().GetPointData().GetScalars()).reshape(mask.shape) > 0


def main(plugin: str, url: str, out: str, images: str) -> None:
    logging.disable(logging.INFO)
    folder, number = Path(out), int(images)
    with contextlib.redirect_stdout(io.StringIO()):  # the extension prints whole results
        walk = Walkthrough(Path(plugin), url, folder)
        report = {
            "remote": walk.opened(number, remote=True, predict=False),
            "local": walk.opened(number, remote=False, predict=True),
            "left": walk.widget.info["datastore"],
            "training": walk.trained(),
        }
    (folder / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
