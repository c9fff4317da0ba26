"""Draws a slice view as 3D Slicer shows it: ``views.py IMAGE MASK NAMES SLICE PICTURE``, off screen.

``NAMES`` are those of the values 1, 2, … of the mask, with commas between them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import extension
import SimpleITK as sitk
import vtk
from extension import load_volume, make_scene, matrix_of, push_volume

import slicer

SIZE = 480
"""Rows and columns of a picture."""


def draw(image: Path, mask: Path, names: list[str], number: int, picture: Path) -> None:
    make_scene()
    scene = slicer.mrmlScene
    volume = load_volume(str(image))
    volume.CreateDefaultDisplayNodes()
    labels = push_volume(sitk.ReadImage(str(mask)), className="vtkMRMLLabelMapVolumeNode")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    ids = vtk.vtkStringArray()
    for name in names:
        ids.InsertNextValue(name)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation, ids)
    scene.RemoveNode(labels)
    segmentation.GetDisplayNode().SetOpacity2DFill(0.35)

    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(extension.APPLICATION)
    logic.SetMRMLScene(scene)
    node = logic.AddSliceNode("Red")
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    node.SetDimensions(SIZE, SIZE, 1)
    node.RotateToVolumePlane(volume)
    logic.FitSliceToAll(SIZE, SIZE)
    columns, rows, _ = volume.GetImageData().GetDimensions()
    node.JumpSliceByOffsetting(*(matrix_of(volume) @ [columns / 2, rows / 2, number, 1])[:3])
    slices = vtk.vtkCollection()
    slices.AddItem(logic)
    extension.APPLICATION.SetSliceLogics(slices)
    render(logic, node, picture)


def render(
    logic: slicer.vtkMRMLSliceLogic, node: slicer.vtkMRMLSliceNode, picture: Path, *, markups: bool = False
) -> None:
    """Draw the resliced volume, and segments and markups by Slicer's own displayable managers."""
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetSize(SIZE, SIZE)
    window.AddRenderer(renderer)
    background, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
    background.SetColorWindow(255)
    background.SetColorLevel(127.5)
    background.SetInputConnection(logic.GetImageDataConnection())
    actor.SetMapper(background)
    renderer.AddViewProp(actor)
    vtk.vtkRenderWindowInteractor().SetRenderWindow(window)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.SetRenderer(renderer)
    segments = slicer.vtkMRMLSegmentationsDisplayableManager2D()
    segments.SetMRMLApplicationLogic(extension.APPLICATION)
    group.AddDisplayableManager(segments)
    if markups:
        lines = slicer.vtkMRMLMarkupsDisplayableManager()
        lines.SetMRMLApplicationLogic(extension.APPLICATION)
        group.AddDisplayableManager(lines)
    group.SetMRMLDisplayableNode(node)
    window.Render()
    group.RequestRender()
    window.Render()
    pixels, writer = vtk.vtkWindowToImageFilter(), vtk.vtkPNGWriter()
    pixels.SetInput(window)
    pixels.ReadFrontBufferOff()
    writer.SetFileName(str(picture))
    writer.SetInputConnection(pixels.GetOutputPort())
    writer.Write()


if __name__ == "__main__":
    image_file, mask_file, structures, slice_number, target = sys.argv[1:]
    draw(Path(image_file), Path(mask_file), structures.split(","), int(slice_number), Path(target))
