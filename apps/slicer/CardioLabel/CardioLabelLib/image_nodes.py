"""One image in the scene: pictures and segmentations, for a cine as sequences at their times."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

import slicer

from .masks import mask_of
from .structures import STRUCTURES, terminology

DEFAULT_RATE_HZ = 25.0


class ImageNodes:
    """The nodes of one image.

    A still or a short-axis stack is a volume with a segmentation. A cine is a sequence of volumes of one
    slice and one of segmentations, behind a browser, so that no tool reaches from one frame into another.

    Parameters
    ----------
    opened : dict
        What the server says of the image (``/cardiac/images/IMAGE``), without outlines.
    labelmap : dict
        Its masks, as ``/cardiac/images/IMAGE/labelmap?on=image`` gives them.
    content : bytes
        The image as NIfTI.
    sequences : vtkSlicerSequencesLogic
    """

    def __init__(
        self, opened: dict[str, Any], labelmap: dict[str, Any], content: bytes, sequences: Any
    ) -> None:
        self.image: str = opened["image"]
        self.view, self.phase = opened["view"], opened["phase"]
        self.is_stack: bool = opened["is_stack"]
        self.name = f"{self.view} {self.phase}"
        self.rate_hz: float = opened.get("frame_rate_hz") or DEFAULT_RATE_HZ
        self.structures: dict[str, int] = labelmap["structures"]
        self._sequences = sequences
        pixels, self._to_world = read_nifti(content)
        self.shape: tuple[int, int, int] = pixels.shape
        self.is_cine = not self.is_stack and len(pixels) > 1
        self.browser: Any = None
        self.view_id = ""
        if self.is_cine:
            self._make_sequences(pixels)
        else:
            self._volume = _add(_volume(pixels, self._to_world), self.name)
            self._segmentation = _add(slicer.vtkMRMLSegmentationNode(), f"{self.name} masks")
            self._volume.CreateDefaultDisplayNodes()
            self._segmentation.CreateDefaultDisplayNodes()
            self._segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self._volume)
        self.take(labelmap)

    def take(self, labelmap: dict[str, Any]) -> None:
        """Show the masks of a labelmap, and begin corrections anew on them."""
        self.version: int = labelmap["version"]
        self.source: str = labelmap["source"]
        self.reason: str = labelmap.get("reason") or ""
        masks = np.zeros(self.shape, dtype=np.uint8)
        for frame, runs in enumerate(labelmap["frames"]):
            masks[frame] = mask_of(runs, self.shape[1:])
        self.stored = masks
        self.set_masks(masks)

    @property
    def volume(self) -> Any:
        """The picture that is shown: the volume, or the browser's proxy of a sequence."""
        return self.browser.GetProxyNode(self._pictures) if self.is_cine else self._volume

    @property
    def segmentation(self) -> Any:
        """The segmentation that is shown, for the Segment Editor."""
        return self.browser.GetProxyNode(self._segmentations) if self.is_cine else self._segmentation

    @property
    def frame(self) -> int:
        """The frame that a cine shows, from 0."""
        return self.browser.GetSelectedItemNumber() if self.is_cine else 0

    def show_in(self, view: str) -> None:
        """Show picture and masks in one slice view only, as those of other views lie at the same place.

        Parameters
        ----------
        view : str
            Id of a slice node, such as ``vtkMRMLSliceNodeRed``.
        """
        for node in (self.volume, self.segmentation):
            if node.GetDisplayNode() is None:
                node.CreateDefaultDisplayNodes()
        display = self.segmentation.GetDisplayNode()
        display.RemoveAllViewNodeIDs()
        display.AddViewNodeID(view)
        self.view_id = view

    def show(self, frame: int) -> None:
        """Show a frame of a cine."""
        if self.is_cine:
            self.browser.SetSelectedItemNumber(int(np.clip(frame, 0, self.shape[0] - 1)))
            self._sequences.UpdateProxyNodesFromSequences(self.browser)

    def masks(self) -> np.ndarray:
        """Return the masks as they are in the scene, of shape (T, H, W) or (Z, H, W)."""
        if not self.is_cine:
            return self._values(self._segmentation, self.shape)
        masks = np.zeros(self.shape, dtype=np.uint8)
        for frame in range(self.shape[0]):
            # The proxy of the shown frame has the newest strokes.
            node = self.segmentation if frame == self.frame else self._segmentations.GetNthDataNode(frame)
            masks[frame] = self._values(node, (1, *self.shape[1:]))[0]
        return masks

    def set_masks(self, masks: np.ndarray) -> None:
        """Show masks of shape (T, H, W) or (Z, H, W)."""
        if not self.is_cine:
            write_masks(self._segmentation, masks, self.structures, self._to_world)
            return
        for frame in range(self.shape[0]):
            self.set_mask(frame, masks[frame])

    def set_mask(self, frame: int, mask: np.ndarray) -> None:
        """Show a mask of shape (H, W) in a frame or slice."""
        if not self.is_cine:
            masks = self.masks()
            masks[frame] = mask
            write_masks(self._segmentation, masks, self.structures, self._to_world)
            return
        node = self._segmentations.GetNthDataNode(frame)
        write_masks(node, mask[None], self.structures, self._to_world)
        if frame == self.frame:
            self._sequences.UpdateProxyNodesFromSequences(self.browser)

    def changed(self) -> dict[int, np.ndarray]:
        """Return the masks of frames or slices that differ from the stored ones."""
        masks = self.masks()
        return {int(frame): masks[frame] for frame in np.flatnonzero((masks != self.stored).any(axis=(1, 2)))}

    def points(self, pixels: np.ndarray, frame: int = 0) -> np.ndarray:
        """Return points (row, col) of a frame in the scene's coordinates (RAS, mm)."""
        rows, cols = np.asarray(pixels, dtype=float).T
        depth = np.full_like(rows, 0 if self.is_cine else frame)
        homogeneous = np.stack([cols, rows, depth, np.ones_like(rows)])
        return (self._to_world @ homogeneous)[:3].T

    def remove(self) -> None:
        """Take all nodes out of the scene."""
        nodes = [self.volume, self.segmentation]
        if self.is_cine:
            nodes = [self.browser, *nodes, self._pictures, self._segmentations]
        for node in filter(None, nodes):
            slicer.mrmlScene.RemoveNode(node)

    def _make_sequences(self, pixels: np.ndarray) -> None:
        self._pictures = self._sequence(self.name)
        self._segmentations = self._sequence(f"{self.name} masks")
        for frame in range(len(pixels)):
            at = f"{frame / self.rate_hz:.4f}"
            self._pictures.SetDataNodeAtValue(_volume(pixels[frame : frame + 1], self._to_world), at)
            self._segmentations.SetDataNodeAtValue(slicer.vtkMRMLSegmentationNode(), at)
        scene = slicer.mrmlScene
        self.browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{self.name} browser")
        self.browser.SetAndObserveMasterSequenceNodeID(self._pictures.GetID())
        self.browser.AddSynchronizedSequenceNode(self._segmentations)
        self.browser.SetSaveChanges(self._segmentations, True)
        self.browser.SetPlaybackRateFps(self.rate_hz)
        self._sequences.UpdateProxyNodesFromSequences(self.browser)

    def _sequence(self, name: str) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        node.SetIndexName("time")
        node.SetIndexUnit("s")
        return node

    def _values(self, node: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return a segmentation's masks as label values; later structures lie over earlier ones."""
        masks = np.zeros(shape, dtype=np.uint8)
        for structure, value in self.structures.items():
            image = slicer.vtkOrientedImageData()
            if node.GetSegmentation().GetSegment(structure) and node.GetBinaryLabelmapRepresentation(
                structure, image
            ):
                _place(masks, image, value)
        return masks


def write_masks(node: Any, masks: np.ndarray, structures: dict[str, int], to_world: np.ndarray) -> None:
    """Put masks of shape (slices, H, W) into a segmentation, structure by structure.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    masks : ndarray of uint8
    structures : dict of str to int
        Label values.
    to_world : ndarray, shape (4, 4)
        From (col, row, slice) to RAS in mm.
    """
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName("Binary labelmap")
    segmentation.RemoveAllSegments()
    for structure, value in structures.items():
        name, colour, _ = STRUCTURES[structure]
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*colour)
        segment.SetLabelValue(1)
        segment.SetTag("TerminologyEntry", terminology(structure))
        segment.AddRepresentation("Binary labelmap", _labelmap(masks == value, to_world))
        segmentation.AddSegment(segment, structure)


def read_nifti(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (T, H, W) and the matrix from (col, row, slice) to RAS in mm of a NIfTI file.

    Raises
    ------
    ValueError
        It cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        path.write_bytes(content)
        node = slicer.vtkMRMLScalarVolumeNode()
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.SetSingleFile(True)
        if not storage.ReadData(node):
            raise ValueError("the image that the server sent cannot be read")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    pixels = slicer.util.arrayFromVolume(node).copy()
    return pixels, np.array([[matrix.GetElement(row, col) for col in range(4)] for row in range(4)])


def _add(node: Any, name: str) -> Any:
    node.SetName(name)
    return slicer.mrmlScene.AddNode(node)


def _volume(pixels: np.ndarray, to_world: np.ndarray) -> Any:
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(to_world))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(pixels))
    return node


def _labelmap(region: np.ndarray, to_world: np.ndarray) -> Any:
    image = slicer.vtkOrientedImageData()
    slices, rows, cols = region.shape
    image.SetExtent(0, cols - 1, 0, rows - 1, 0, slices - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    array = vtk_to_numpy(image.GetPointData().GetScalars())
    array[:] = region.ravel()
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(to_world))
    return image


def _place(masks: np.ndarray, image: Any, value: int) -> None:
    """Write a segment's labelmap, which may cover a part of the image or reach beyond it, into masks."""
    first_col, last_col, first_row, last_row, first, last = image.GetExtent()
    if last_col < first_col or last_row < first_row or last < first:
        return
    shape = (last - first + 1, last_row - first_row + 1, last_col - first_col + 1)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    slices, rows, cols = np.nonzero(array)
    at = np.stack([slices + first, rows + first_row, cols + first_col])
    inside = ((at >= 0) & (at < np.array(masks.shape)[:, None])).all(axis=0)
    masks[tuple(at[:, inside])] = value
