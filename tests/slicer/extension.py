"""MONAI Label's 3D Slicer extension, unchanged, on slicer-core: runs in an environment of its own.

The scene, its nodes, the file readers and the logics of Volumes, Segmentations and Segment Editor are 3D
Slicer's; Qt's widgets, the dialogs and the download are stand-ins that behave as Slicer's.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer.util
import vtk
from widgets import Settings, Widget, Widgets, qt

import slicer

DIALOGS: list[tuple[str, str]] = []
"""Kind and text of every dialog that was shown."""


def load(plugin: Path) -> ModuleType:
    """Import the extension's module in a fresh scene.

    Parameters
    ----------
    plugin : Path
        Folder of ``MONAILabel.py``.
    """
    make_scene()
    _stand_in_for_slicer()
    sys.path.insert(0, str(plugin))
    import MONAILabel

    return MONAILabel


def open_widget(module: ModuleType, url: str, *, client_id: str) -> Any:
    """The extension's panel, connected to a server."""
    Settings.values["MONAILabel/clientId"] = client_id
    Settings.values["MONAILabel/serverUrl"] = url
    widget = module.MONAILabelWidget(SimpleNamespace(isEntered=True))
    widget.setup()
    widget.ui.embeddedSegmentEditorWidget = _SegmentEditor()
    widget.onClickFetchInfo()
    return widget


class _SegmentEditor(Widget):
    """The embedded Segment Editor, on Slicer's own logic."""

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        if node is not None:
            if node.GetDisplayNode() is None:
                node.CreateDefaultDisplayNodes()
            EDITOR.SetSegmentationNode(node)

    def setSourceVolumeNode(self, node: Any) -> None:  # noqa: N802
        EDITOR.SetSourceVolumeNode(node)


def make_scene() -> None:
    """A fresh scene, with the logics of Slicer's modules."""
    global EDITOR, APPLICATION, _VOLUMES, _LOGICS
    application, scene = slicer.vtkSlicerApplicationLogic(), slicer.vtkMRMLScene()
    application.SetMRMLScene(scene)

    def logic(kind: Any, name: str) -> Any:
        made = kind()
        made.SetMRMLApplicationLogic(application)
        made.SetMRMLScene(scene)
        application.SetModuleLogic(name, made)
        return made

    colors = logic(slicer.vtkSlicerColorLogic, "Colors")
    terms = logic(slicer.vtkSlicerTerminologiesModuleLogic, "Terminologies")
    _VOLUMES = logic(slicer.vtkSlicerVolumesLogic, "Volumes")
    segmentations = logic(slicer.vtkSlicerSegmentationsModuleLogic, "Segmentations")
    markups = logic(slicer.vtkSlicerMarkupsLogic, "Markups")
    EDITOR = logic(slicer.vtkSlicerSegmentEditorLogic, "SegmentEditor")
    APPLICATION, _LOGICS = application, (colors, terms, markups)
    scene.AddNode(_anatomy_colors())
    slicer.mrmlScene = scene
    slicer.modules = SimpleNamespace(segmentations=SimpleNamespace(logic=lambda: segmentations))


def _anatomy_colors() -> Any:
    """The table that gives new segments their colours in turn; slicer-core comes without Slicer's files."""
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToUser()
    table.SetSingletonTag("FileGenericAnatomyColors.txt")
    table.SetNumberOfColors(16)
    for number in range(16):
        table.SetColor(number, str(number), number / 16, 1 - number / 16, (number % 4) / 4)
    return table


def _stand_in_for_slicer() -> None:
    sys.modules |= {"qt": qt(), "ctk": qt()}
    module = ModuleType("slicer.ScriptedLoadableModule")
    vars(module).update(
        ScriptedLoadableModule=object,
        ScriptedLoadableModuleTest=object,
        ScriptedLoadableModuleWidget=_ModuleWidget,
        ScriptedLoadableModuleLogic=_ModuleLogic,
    )
    sys.modules["slicer.ScriptedLoadableModule"] = module
    words = ModuleType("slicer.i18n")
    vars(words).update(tr=lambda text: text, translate=lambda context, text: text)
    sys.modules["slicer.i18n"] = words
    core = ModuleType("vtkSegmentationCore")
    vars(core)["__getattr__"] = lambda name: getattr(slicer, name)
    sys.modules["vtkSegmentationCore"] = core
    samples = ModuleType("SampleData")
    vars(samples)["SampleDataLogic"] = _SampleDataLogic
    sys.modules["SampleData"] = samples
    pushed = ModuleType("sitkUtils")
    vars(pushed)["PushVolumeToSlicer"] = push_volume
    sys.modules["sitkUtils"] = pushed
    slicer.app = Widget()
    util = slicer.util
    util.settingsValue = lambda key, default, **options: Settings.values.get(key, default)
    util.toBool = bool
    util.loadUI = lambda path: Widget()
    util.childWidgetVariables = lambda widget: Widgets()
    util.mainWindow = lambda: None
    util.tempDirectory = lambda key: tempfile.mkdtemp(prefix=key)
    util.createProgressDialog = lambda **options: Widget()
    util.loadVolume = load_volume
    util.saveNode = _save_node
    for kind in ("info", "warning", "error", "confirmOkCancel"):
        setattr(util, f"{kind}Display", _dialog(kind))


def _dialog(kind: str) -> Any:
    def show(text: str, *arguments: Any, **options: Any) -> bool:
        DIALOGS.append((kind, f"{text} {options.get('detailedText', '') if kind == 'error' else ''}"))
        return True

    return show


class _ModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.parent, self.layout = parent, Widget()

    def setup(self) -> None:
        return None

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return name


class _ModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self._node: Any = None

    def getParameterNode(self) -> Any:  # noqa: N802
        if self._node is None:
            self._node = slicer.vtkMRMLScriptedModuleNode()
            self._node.SetSingletonTag("MONAILabel")
            slicer.mrmlScene.AddNode(self._node)
        return self._node


def load_volume(path: str, properties: dict[str, str] | None = None) -> Any:
    """As Slicer's reader of volumes, which joins files whose names differ in a number only."""
    name = (properties or {}).get("name") or Path(path).name.split(".")[0]
    node = _VOLUMES.AddArchetypeVolume(path, name, 0)
    if node is None:
        raise RuntimeError(f"Failed to load node from file: {path}")
    return node


def _save_node(node: Any, path: str, properties: object = None) -> bool:
    storage = node.CreateDefaultStorageNode()
    if path.endswith(".seg.nrrd") and node.IsA("vtkMRMLScalarVolumeNode"):
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    slicer.mrmlScene.AddNode(storage)
    storage.SetFileName(path)
    written = bool(storage.WriteData(node))
    slicer.mrmlScene.RemoveNode(storage)
    return written


class _SampleDataLogic:
    """Downloads into one folder, where a file of the same name and checksum is used again."""

    folder = Path(tempfile.mkdtemp(prefix="slicer-cache-"))

    def downloadFromURL(  # noqa: N802
        self, *, nodeNames: str, fileNames: str, uris: str, checksums: str | None
    ) -> list[Any]:
        path = self.folder / fileNames
        if not (path.exists() and self._is_right(path, checksums)):
            urllib.request.urlretrieve(uris, path)  # noqa: S310  # this machine's server
            if not self._is_right(path, checksums):
                raise ValueError("Checksum verification failed")
        return [load_volume(str(path), {"name": nodeNames})]

    @staticmethod
    def _is_right(path: Path, checksum: str | None) -> bool:
        if not checksum:
            return True
        algorithm, _, digest = checksum.partition(":")
        return hashlib.new(algorithm.lower(), path.read_bytes()).hexdigest() == digest


def push_volume(image: sitk.Image, target: None = None, name: str | None = None, className: str = "") -> Any:
    """As Slicer's ``sitkUtils``: ITK's axes point left and posterior, Slicer's right and anterior."""
    axes = image.GetDimension()
    matrix = np.eye(4)
    matrix[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing()
    matrix[:axes, 3] = image.GetOrigin()
    pixels = sitk.GetArrayFromImage(image)
    return slicer.util.addVolumeFromArray(
        pixels if axes == 3 else pixels[None], np.diag([-1, -1, 1, 1]) @ matrix, name, className
    )


def matrix_of(volume: Any) -> np.ndarray:
    """From voxel indices to patient coordinates, shape (4, 4)."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
