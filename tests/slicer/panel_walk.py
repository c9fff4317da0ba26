"""The panel of the module CardioLabel on stand-ins for Qt: ``panel_walk.py MODULE URL OUT``.

Scene, slice views, segmentations and observers are 3D Slicer's. What the panel showed is written to
``OUT/panel.json``.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import extension
import numpy as np
import slicer.util
from extension import DIALOGS
from module_walk import paint
from widgets import Settings, Widget

import slicer


class PanelWidget(Widget):
    """A widget that keeps its slots, which tests call by ``emit``, and has Qt's properties."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.__dict__.update(text="", data=[], signals={})

    def connect(self, signal: str, slot: Any, *options: Any) -> None:
        self.signals.setdefault(signal, []).append(slot)

    def emit(self, signal: str, *arguments: Any) -> None:
        assert self.enabled, "a disabled widget was used"
        for slot in self.signals[signal]:
            slot(*arguments)

    def setText(self, text: str) -> None:  # noqa: N802
        self.__dict__["text"] = text

    def addItem(self, *arguments: Any) -> None:  # noqa: N802
        self.data.append(arguments[1] if len(arguments) > 1 else None)
        super().addItem(*arguments)

    def clear(self) -> None:
        self.data.clear()
        super().clear()

    @property
    def currentData(self) -> Any:  # noqa: N802
        return self.data[self.currentIndex] if 0 <= self.currentIndex < len(self.data) else None


class Layout(Widget):
    """Slicer's layout manager with two slice views."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["logics"] = {}

    def sliceWidget(self, view: str) -> Any:  # noqa: N802
        if view not in self.logics:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(extension.APPLICATION)
            logic.SetMRMLScene(slicer.mrmlScene)
            logic.AddSliceNode(view)
            self.logics[view] = logic
        return SimpleNamespace(sliceLogic=lambda: self.logics[view])


def load(module: Path) -> Any:
    extension.make_scene()
    extension._stand_in_for_slicer()
    sequences = slicer.vtkSlicerSequencesLogic()
    sequences.SetMRMLApplicationLogic(extension.APPLICATION)
    sequences.SetMRMLScene(slicer.mrmlScene)
    slicer.modules.sequences = SimpleNamespace(logic=lambda: sequences)
    layout = Layout()
    slicer.app = SimpleNamespace(layoutManager=lambda: layout)
    slicer.util.confirmYesNoDisplay = extension._dialog("confirm")
    for name in ("QTimer", "QShortcut", "QKeySequence"):
        setattr(sys.modules["qt"], name, PanelWidget)
    ui = ElementTree.parse(module / "Resources" / "UI" / "CardioLabel.ui")  # noqa: S314  # our own file
    names = {widget.get("name") for widget in ui.iter("widget")}
    slicer.util.childWidgetVariables = lambda widget: SimpleNamespace(
        **{name: PanelWidget() for name in names}
    )
    sys.path.insert(0, str(module))
    import CardioLabel

    return CardioLabel


def run(module: Path, url: str) -> dict[str, Any]:
    widget = load(module).CardioLabelWidget(SimpleNamespace())
    widget.setup()
    ui = widget.ui
    disabled = [name for name in ("nextButton", "submitButton", "trainButton") if not vars(ui)[name].enabled]
    ui.urlEdit.setText("http://127.0.0.1:9")
    ui.connectButton.emit("clicked(bool)", False)
    unreachable = DIALOGS[-1:]
    ui.urlEdit.setText(url)
    ui.userEdit.setText("reader")
    ui.connectButton.emit("clicked(bool)", False)
    rows = [[ui.worklistTable.item(row, 0).text() for row in range(ui.worklistTable.rowCount)]]
    widget.enter()
    ui.worklistTable.emit("cellDoubleClicked(int,int)", rows[0].index("phantom02"), 0)
    opened = ui.efLabel.text
    work = next(iter(widget.logic.study.images.values()))
    nodes = work.nodes
    views = [
        each.nodes.segmentation.GetDisplayNode().GetViewNodeIDs()
        for each in widget.logic.study.images.values()
    ]
    frame = widget.logic.study.phases(nodes.image)[1]
    nodes.show(frame)
    rows_, cols = np.nonzero(nodes.stored[frame] == nodes.structures["lv_cavity"])
    paint(
        extension.EDITOR,
        nodes,
        (int(rows_.mean()), int(rows_.mean()) + 8, int(cols.max()) - 4, int(cols.max()) + 6),
    )
    noticed = vars(widget).get("_modified") == nodes.image
    widget.onPause()
    ui.linesCheckBox.setChecked(True)
    ui.linesCheckBox.emit("toggled(bool)", True)
    lines = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsLineNode")
    painted, unsaved = ui.efLabel.text, ui.unsavedLabel.text
    ui.submitButton.emit("clicked(bool)", False)
    submitted, said = ui.efLabel.text, ui.messageLabel.text
    ui.predictButton.emit("clicked(bool)", False)
    predicted = ui.unsavedLabel.text
    ui.giveUpButton.emit("clicked(bool)", False)
    widget.onStep(1)
    ui.nextButton.emit("clicked(bool)", False)
    why = ui.whyLabel.text
    widget.exit()
    slicer.mrmlScene.Clear(0)
    widget.cleanup()
    return {
        "disabled": disabled,
        "unreachable": unreachable,
        "user": Settings.values["CardioLabel/user"],
        "patients": rows[0],
        "opened": opened,
        "views": views,
        "noticed": noticed,
        "painted": painted,
        "unsaved": unsaved,
        "lines": lines,
        "submitted": submitted,
        "said": said,
        "versions": ui.versionBox.items,
        "predicted": predicted,
        "why": why,
        "dialogs": DIALOGS[1:],
    }


if __name__ == "__main__":
    folder, address, target = sys.argv[1:]
    Path(target, "panel.json").write_text(json.dumps(run(Path(folder), address)))
