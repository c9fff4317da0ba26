"""Draws the two slice views of the module CardioLabel: ``module_picture.py MODULE URL PICTURE``."""

from __future__ import annotations

import sys
from pathlib import Path

import extension
import numpy as np
import views
import vtk
from extension import make_scene
from vtk.util.numpy_support import vtk_to_numpy

import slicer

PATIENT = "phantom02"


def draw(module: Path, url: str, picture: Path) -> None:
    sys.path.insert(0, str(module))
    from CardioLabelLib.logic import Logic

    make_scene()
    sequences = slicer.vtkSlicerSequencesLogic()
    sequences.SetMRMLApplicationLogic(extension.APPLICATION)
    sequences.SetMRMLScene(slicer.mrmlScene)
    logic = Logic(sequences)
    logic.connect(url, "reader")
    study = logic.open(PATIENT)
    pictures = []
    for view, work in zip(("Red", "Yellow"), study.images.values(), strict=True):
        nodes = work.nodes
        slices = slicer.vtkMRMLSliceLogic()
        slices.SetMRMLApplicationLogic(extension.APPLICATION)
        slices.SetMRMLScene(slicer.mrmlScene)
        node = slices.AddSliceNode(view)
        nodes.show_in(node.GetID())
        nodes.segmentation.GetDisplayNode().SetOpacity2DFill(0.35)
        slices.GetSliceCompositeNode().SetBackgroundVolumeID(nodes.volume.GetID())
        node.SetDimensions(views.SIZE, views.SIZE, 1)
        node.RotateToVolumePlane(nodes.volume)
        slices.FitSliceToAll(views.SIZE, views.SIZE)
        logic.lines.show(study, nodes.image, nodes.frame)
        collection = vtk.vtkCollection()
        collection.AddItem(slices)
        extension.APPLICATION.SetSliceLogics(collection)
        file = picture.with_name(f"{view}.png")
        views.render(slices, node, file, markups=True)
        reader = vtk.vtkPNGReader()
        reader.SetFileName(str(file))
        reader.Update()
        columns, rows, _ = reader.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).reshape(rows, columns, -1)
        pictures.append(pixels[..., :3])
        file.unlink()
    np.save(picture, np.concatenate(pictures, axis=1)[::-1])
    logic.close()


if __name__ == "__main__":
    folder, address, target = sys.argv[1:]
    draw(Path(folder), address, Path(target))
