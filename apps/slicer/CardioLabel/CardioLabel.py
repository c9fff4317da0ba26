"""Module of 3D Slicer: the EF where the mask is drawn, with a cardiolabel server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import qt
import slicer.util
from CardioLabelLib import words
from CardioLabelLib.logic import Logic
from CardioLabelLib.server import ServerError
from CardioLabelLib.study import ConflictError
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

import slicer

PAUSE_MS = 400
TRAINING_MS = 2000
SLICE_VIEWS = ("Red", "Yellow")
LAYOUT = 6121
"""Number of the layout of two slice views over a plot; above those of Slicer."""

LAYOUT_XML = """
<layout type="vertical" split="true">
 <item splitSize="700"><layout type="horizontal">
  <item><view class="vtkMRMLSliceNode" singletontag="Red"><property name="orientation" action="default">Axial</property><property name="viewlabel" action="default">1</property><property name="viewcolor" action="default">#F34A33</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Yellow"><property name="orientation" action="default">Axial</property><property name="viewlabel" action="default">2</property><property name="viewcolor" action="default">#EDD54C</property></view></item>
 </layout></item>
 <item splitSize="300"><view class="vtkMRMLPlotViewNode" singletontag="PlotView1"><property name="viewlabel" action="default">P</property></view></item>
</layout>"""


class CardioLabel(ScriptedLoadableModule):
    """What Slicer lists of the module."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "CardioLabel"
        self.parent.categories = ["Active Learning"]
        self.parent.dependencies = ["Sequences", "SegmentEditor", "Plots", "Markups"]
        self.parent.contributors = ["cardiolabel"]
        self.parent.helpText = "Corrects masks of the heart of a cardiolabel server, and shows the ejection fraction while they are drawn."
        self.parent.acknowledgementText = "Research software, not a medical device."


class CardioLabelLogic(ScriptedLoadableModuleLogic, Logic):
    """The module's logic; without Qt it is `CardioLabelLib.logic.Logic`."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        Logic.__init__(self, slicer.modules.sequences.logic())


class CardioLabelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: CardioLabelLogic | None = None
        self._shortcuts: list[Any] = []
        self._observed: list[Any] = []
        self._modified = ""
        self._isPlotWatched = False

    def setup(self) -> None:
        """Make the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/CardioLabel.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = CardioLabelLogic()
        self._pause = qt.QTimer()
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.connect("timeout()", self.onPause)
        self._training = qt.QTimer()
        self._training.setInterval(TRAINING_MS)
        self._training.connect("timeout()", self.onTrainingTimer)
        settings = qt.QSettings()
        self.ui.urlEdit.setText(settings.value("CardioLabel/url", "http://127.0.0.1:8000"))
        self.ui.userEdit.setText(settings.value("CardioLabel/user", ""))
        for button, action in (
            ("connectButton", self.onConnect),
            ("nextButton", self.onNext),
            ("predictButton", self.onPredict),
            ("copyButton", self.onCopy),
            ("betweenButton", self.onBetween),
            ("acceptButton", self.onAccept),
            ("rejectButton", self.onReject),
            ("giveUpButton", self.onGiveUp),
            ("submitButton", self.onSubmit),
            ("edButton", lambda: self.onPhase("ed")),
            ("esButton", lambda: self.onPhase("es")),
            ("useVersionButton", self.onUseVersion),
            ("trainButton", self.onTrain),
            ("volumeButton", self.onPredictVolume),
        ):
            getattr(self.ui, button).connect("clicked(bool)", lambda _=False, action=action: action())
        self.ui.worklistTable.connect("cellDoubleClicked(int,int)", self.onPatientChosen)
        self.ui.imageBox.connect("currentIndexChanged(int)", self.onImageChosen)
        self.ui.linesCheckBox.connect("toggled(bool)", lambda _: self.showLines())
        self.ui.segmentEditor.setMRMLScene(slicer.mrmlScene)
        self.ui.segmentEditor.setMRMLSegmentEditorNode(self._editorNode())
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClosed)
        self._enable()

    def cleanup(self) -> None:
        """Called when the module is closed."""
        self.removeObservers()
        self._pause.stop()
        self._training.stop()

    def enter(self) -> None:
        """Called whenever the module is opened."""
        window = slicer.util.mainWindow()
        for keys, action in (
            ("Ctrl+Return", self.onSubmit),
            ("N", self.onNext),
            ("C", self.onCopy),
            (",", lambda: self.onStep(-1)),
            (".", lambda: self.onStep(1)),
        ):
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(keys))
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def exit(self) -> None:
        """Called whenever another module is opened."""
        for shortcut in self._shortcuts:
            shortcut.disconnect("activated()")
            shortcut.setParent(None)
        self._shortcuts.clear()
        self.ui.segmentEditor.setActiveEffect(None)

    # Server and worklist

    def onConnect(self) -> None:
        with self._told():
            url, user = self.ui.urlEdit.text.strip(), self.ui.userEdit.text.strip()
            info = self.logic.connect(url, user, self.ui.passwordEdit.text)
            qt.QSettings().setValue("CardioLabel/url", url)
            qt.QSettings().setValue("CardioLabel/user", user)
            self.ui.passwordEdit.setText("")
            self.ui.modelBox.clear()
            self.ui.modelBox.addItems(sorted(info["models"]))
            self.showWorklist()
            self._say(f"connected to {info['name']}")

    def showWorklist(self) -> None:
        rows = self.logic.worklist()
        self.ui.worklistTable.setRowCount(len(rows))
        for number, row in enumerate(rows):
            low, high = row["ef_low_pct"], row["ef_high_pct"]
            texts = (
                row["patient"],
                "" if row["ef_pct"] is None else f"{row['ef_pct']:.0f}",
                "" if low is None else f"{low:.0f} to {high:.0f}",
                ", ".join(row["flags"]).replace("_", " "),
                f"{row['final']} of {row['images']}",
            )
            for column, text in enumerate(texts):
                self.ui.worklistTable.setItem(number, column, qt.QTableWidgetItem(text))

    def onPatientChosen(self, row: int, column: int) -> None:
        self.openPatient(self.ui.worklistTable.item(row, 0).text())

    def onNext(self) -> None:
        with self._told():
            sample = self.logic.next_best()
            if sample is None:
                self._say("nothing is left to correct")
                return
            self.openPatient(sample["patient"], sample["id"])
            self.ui.whyLabel.setText(f"{sample['id']}: {sample.get('why', '')}")

    # Study

    def openPatient(self, patient: str, image: str = "") -> None:
        if self.logic.study is not None and self.logic.study.unsaved:
            if not slicer.util.confirmYesNoDisplay("There is unsaved work. Open another patient without it?"):
                return
        with self._told():
            self._forgetObservers()
            study = self.logic.open(patient)
            self.ui.imageBox.blockSignals(True)
            self.ui.imageBox.clear()
            for image_id, work in study.images.items():
                self.ui.imageBox.addItem(work.nodes.name, image_id)
            self.ui.imageBox.blockSignals(False)
            self.ui.patientLabel.setText(patient)
            self._layOut()
            chosen = list(study.images).index(image) if image in study.images else 0
            self.ui.imageBox.setCurrentIndex(chosen)
            self.onImageChosen(chosen)
            self.showNumbers()
            self._say("; ".join(study.problems))

    @property
    def _image(self) -> str:
        """Id of the image that is corrected; empty for none."""
        return str(self.ui.imageBox.currentData or "")

    def onImageChosen(self, index: int) -> None:
        study, image = self.logic.study, self._image
        if study is None or image not in study.images:
            return
        nodes = study.images[image].nodes
        self._place(nodes)
        self.ui.segmentEditor.setSegmentationNode(nodes.segmentation)
        self.ui.segmentEditor.setSourceVolumeNode(nodes.volume)
        self.ui.seekWidget.setMRMLSequenceBrowserNode(nodes.browser)
        self.ui.playWidget.setMRMLSequenceBrowserNode(nodes.browser)
        self.showVersions()
        self.showLines()
        self._enable()

    def _layOut(self) -> None:
        """Show the first two images side by side, over the area curve."""
        manager = slicer.app.layoutManager()
        layout = manager.layoutLogic().GetLayoutNode()
        if not layout.IsLayoutDescription(LAYOUT):
            layout.AddLayoutDescription(LAYOUT, LAYOUT_XML)
        manager.setLayout(LAYOUT)
        for view, work in zip(SLICE_VIEWS, self.logic.study.images.values(), strict=False):
            self._place(work.nodes, view)
        plot = manager.plotWidget(0)
        plot.mrmlPlotViewNode().SetPlotChartNodeID(self.logic.curve.chart.GetID())
        if not self._isPlotWatched:
            plot.plotView().connect("dataSelected(vtkStringArray*, vtkCollection*)", self.onPlotSelected)
            self._isPlotWatched = True
        event = slicer.vtkSegmentation.SourceRepresentationModified
        for image, work in self.logic.study.images.items():
            # The node, as a sequence exchanges its segmentation with every frame.
            observed = (work.nodes.segmentation, event, partial(self.onSegmentsModified, image))
            self.addObserver(*observed)
            self._observed.append(observed)

    def _place(self, nodes: Any, view: str = "") -> None:
        """Show an image in a slice view, by default in the one that it has, else in the first."""
        view = view or nodes.view_id.removeprefix("vtkMRMLSliceNode") or SLICE_VIEWS[0]
        nodes.show_in(f"vtkMRMLSliceNode{view}")
        slice_logic = slicer.app.layoutManager().sliceWidget(view).sliceLogic()
        slice_logic.GetSliceCompositeNode().SetBackgroundVolumeID(nodes.volume.GetID())
        slice_logic.GetSliceNode().RotateToVolumePlane(nodes.volume)
        slice_logic.FitSliceToAll()

    def onSegmentsModified(self, image: str, caller: Any, event: Any) -> None:
        self._modified = image
        self._pause.start()

    def onPause(self) -> None:
        """Measure a while after the last stroke."""
        study = self.logic.study
        if study is None or not study.notice(self._modified):
            return
        with self._told():
            self.logic.measure()
        self.showNumbers()
        self.showLines()

    def showNumbers(self) -> None:
        study = self.logic.study
        self.ui.efLabel.setText(words.headline(study.shown, study.report))
        self.ui.methodsLabel.setText("\n".join(words.table(study.shown)))
        self.ui.flagsLabel.setText(words.flags(study.shown))
        unsaved = [study.images[image].nodes.name for image in study.unsaved]
        self.ui.unsavedLabel.setText(f"unsaved: {', '.join(unsaved)}" if unsaved else "")
        self._enable()

    def showLines(self) -> None:
        study, image = self.logic.study, self._image
        if study is None or image not in study.images or not self.ui.linesCheckBox.checked:
            self.logic.lines.clear()
            return
        nodes = study.images[image].nodes
        self.logic.lines.show(study, image, nodes.frame)

    def showVersions(self) -> None:
        self.ui.versionBox.clear()
        with self._told():
            for version in reversed(self.logic.study.versions(self._image)):
                self.ui.versionBox.addItem(words.version_line(version), version["version"])

    def onPlotSelected(self, series: Any, points: Any) -> None:
        """Show the moment that was chosen in the area curve."""
        if self.logic.study is None or not points.GetNumberOfItems():
            return
        frame = int(points.GetItemAsObject(0).GetValue(0))
        for work in self.logic.study.images.values():
            work.nodes.show(frame)
        self.showLines()

    def onStep(self, by: int) -> None:
        study, image = self.logic.study, self._image
        if study is not None and image in study.images:
            nodes = study.images[image].nodes
            nodes.show(nodes.frame + by)
            self.showLines()

    # Corrections

    def onPredict(self) -> None:
        self._corrected(lambda study, image: study.predict(image))

    def onCopy(self) -> None:
        self._corrected(lambda study, image: study.copy_to_next(image))

    def onBetween(self) -> None:
        self._corrected(lambda study, image: study.propose_between(image))

    def onAccept(self) -> None:
        self._corrected(lambda study, image: study.accept(image))

    def onReject(self) -> None:
        self._corrected(lambda study, image: study.reject(image))

    def onGiveUp(self) -> None:
        self._corrected(lambda study, image: study.give_up(image))

    def _corrected(self, action: Any) -> None:
        """Do something to the image's masks, and measure."""
        study, image = self.logic.study, self._image
        if study is None or image not in study.images:
            return
        with self._told():
            action(study, image)
            self.logic.measure()
        self.showNumbers()

    def onSubmit(self) -> None:
        study = self.logic.study
        if study is None:
            return
        with self._told():
            for image in list(study.unsaved):
                try:
                    version = study.submit(image)
                except ConflictError as conflict:
                    question = f"{conflict}\n\nBoth masks are kept. Shall yours be the current one?"
                    mine = slicer.util.confirmYesNoDisplay(question, windowTitle="Two masks")
                    version = study.settle(conflict, mine=mine)
                self._say(f"{study.images[image].nodes.name}: version {version} is current")
            self.logic.measure()
            self.showVersions()
            self.showWorklist()
        self.showNumbers()

    def onPhase(self, phase: str) -> None:
        study, image = self.logic.study, self._image
        if study is None or image not in study.images:
            return
        with self._told():
            study.set_phase(image, **{phase: study.images[image].nodes.frame})
            self.logic.measure()
        self.showNumbers()

    def onUseVersion(self) -> None:
        version = self.ui.versionBox.currentData
        if version:
            self._corrected(lambda study, image: study.roll_back(image, int(version)))
            self.showVersions()

    # A volume that is in the scene only

    def onPredictVolume(self) -> None:
        volume = self.ui.volumeBox.currentNode()
        if volume is None:
            self._say("Choose a volume first.")
            return
        with self._told():
            _, report = self.logic.predict_volume(volume, self.ui.modelBox.currentText)
            lines = words.table(report) or [words.headline(report, report)]
            self.ui.volumeLabel.setText("\n".join([*lines, words.flags(report)]))

    # Training

    def onTrain(self) -> None:
        with self._told():
            self.logic.train(self.ui.modelBox.currentText)
            self._training.start()

    def onTrainingTimer(self) -> None:
        with self._told():
            states = self.logic.training()
            self.ui.trainingLabel.setText("\n".join(words.training(state) for state in states))
            running = [state for state in states if state["state"] not in words.ENDED]
            if not running:
                self._training.stop()
                return
            self.ui.trainingBar.setMaximum(max(1, running[0]["total"]))
            self.ui.trainingBar.setValue(running[0]["done"])

    # Help

    def onSceneClosed(self, caller: Any, event: Any) -> None:
        self._forgetObservers()
        self.logic.close()
        self.ui.imageBox.clear()
        self._enable()

    def _forgetObservers(self) -> None:
        for observed in self._observed:
            self.removeObserver(*observed)
        self._observed.clear()

    def _editorNode(self) -> Any:
        """Return the Segment Editor's node, with which structures do not overlap."""
        node = slicer.mrmlScene.GetSingletonNode("CardioLabel", "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag("CardioLabel")
            node = slicer.mrmlScene.AddNode(node)
        node.SetOverwriteMode(node.OverwriteAllSegments)
        return node

    def _enable(self) -> None:
        study = self.logic.study
        work = study.images.get(self._image) if study is not None else None
        is_cine = work is not None and work.nodes.is_cine
        for name, enabled in (
            ("predictButton", work is not None),
            ("copyButton", is_cine),
            ("betweenButton", is_cine),
            ("acceptButton", work is not None and bool(work.proposed)),
            ("rejectButton", work is not None and bool(work.proposed)),
            ("edButton", is_cine),
            ("esButton", is_cine),
            ("giveUpButton", work is not None),
            ("submitButton", study is not None and bool(study.unsaved)),
            ("useVersionButton", work is not None),
            ("nextButton", self.logic.server is not None),
            ("trainButton", self.logic.server is not None),
            ("volumeButton", self.logic.server is not None),
        ):
            getattr(self.ui, name).setEnabled(enabled)

    def _say(self, text: str) -> None:
        self.ui.messageLabel.setText(text)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the annotator what went wrong, in a sentence."""
        qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            yield
        except (ServerError, ValueError) as error:
            self._say(str(error))
            slicer.util.warningDisplay(str(error), windowTitle="CardioLabel")
        finally:
            qt.QApplication.restoreOverrideCursor()


class CardioLabelTest(ScriptedLoadableModuleTest):
    """Self-test in Slicer: what needs no server."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_runs_give_masks_back()
        self.test_without_a_server_there_is_a_sentence()

    def test_runs_give_masks_back(self) -> None:
        import numpy as np
        from CardioLabelLib.masks import between, mask_of, runs_of

        mask = np.zeros((40, 40), dtype=np.uint8)
        mask[10:20, 10:30] = 1
        self.assertTrue((mask_of(runs_of(mask), mask.shape) == mask).all())
        self.assertTrue((between(mask, mask, 0.5) == mask).all())

    def test_without_a_server_there_is_a_sentence(self) -> None:
        started_s = time.monotonic()
        with self.assertRaises(ServerError):
            CardioLabelLogic().connect("http://127.0.0.1:9")
        self.assertLess(time.monotonic() - started_s, 10)
