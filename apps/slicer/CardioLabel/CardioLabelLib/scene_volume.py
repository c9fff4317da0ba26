"""Prediction of a volume that is in the scene only: the server keeps it as a session while it predicts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer

from .image_nodes import read_nifti, write_masks
from .server import Server


def predict_volume(server: Server, volume: Any, model: str) -> tuple[Any, dict[str, Any]]:
    """Send a volume, and put its predicted masks into the scene; nothing of it stays on the server.

    Parameters
    ----------
    server : Server
    volume : vtkMRMLScalarVolumeNode
        A still, a stack, or a cine with frames for slices.
    model : str
        Name of the model; the server takes the one of the image's view where it can tell that.

    Returns
    -------
    segmentation : vtkMRMLSegmentationNode
    report : dict
        Measurements, as of a patient with this image only.

    Raises
    ------
    ServerError
        The server refuses or cannot be reached.
    ValueError
        The volume cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.WriteData(volume):
            raise ValueError(f"{volume.GetName()} cannot be written as NIfTI")
        session = server.open_session(path)
    try:
        report = server.infer(model, session, output="json").json()
        masks, to_world = read_nifti(server.infer(model, session, output="image").content)
    finally:
        server.close_session(session)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} masks")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    write_masks(segmentation, masks, report["label_names"], to_world)
    return segmentation, report
