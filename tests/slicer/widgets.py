"""Stand-ins for the Qt widgets that MONAI Label's extension uses; slicer-core comes without Qt.

They remember items, texts, values and table cells, and tell a combo box's slots that its choice changed.
Every other call does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from types import ModuleType
from typing import Any


class Widget:
    """Any widget; a method that is not defined here does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.__dict__.update(
            items=[],
            slots=[],
            cells={},
            currentIndex=-1,
            checked=False,
            value=0,
            toolTip="",
            enabled=True,
            placeModeEnabled=False,
            collapsed=False,
            currentPath="",
            rowCount=0,
            arguments=arguments,
            typed="",
            blocked=False,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__.setdefault(name, _Method())

    # Combo boxes -------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return len(self.items)

    @property
    def currentText(self) -> str:  # noqa: N802  # as Qt calls it
        return self.items[self.currentIndex] if 0 <= self.currentIndex < self.count else self.typed

    @currentText.setter
    def currentText(self, text: str) -> None:  # noqa: N802
        self.setCurrentText(text)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "currentText":
            self.setCurrentText(value)
        else:
            self.__dict__[name] = value

    def setCurrentText(self, text: str | None) -> None:  # noqa: N802
        self.__dict__["typed"] = text or ""
        self.setCurrentIndex(self.findText(text))

    def setCurrentIndex(self, index: int) -> None:  # noqa: N802
        changed = index != self.currentIndex
        self.__dict__["currentIndex"] = index
        if changed and not self.blocked:
            for slot in self.slots:
                slot(*[index] * bool(signature(slot).parameters))  # PythonQt leaves out what a slot takes not

    def addItem(self, *arguments: Any) -> None:  # noqa: N802
        """Text, with an icon before it or data behind it."""
        self.items.append(next(argument for argument in arguments if isinstance(argument, str)))
        if self.currentIndex < 0:
            self.setCurrentIndex(0)

    def addItems(self, texts: list[str]) -> None:  # noqa: N802
        for text in texts:
            self.addItem(text)

    def findText(self, text: str | None) -> int:  # noqa: N802
        return self.items.index(text) if text in self.items else -1

    def itemText(self, index: int) -> str:  # noqa: N802
        return self.items[index] if 0 <= index < self.count else ""

    def blockSignals(self, block: bool) -> bool:  # noqa: N802
        before = self.blocked
        self.__dict__["blocked"] = block
        return before

    def connect(self, signal: str, slot: Callable[..., None]) -> None:
        if signal == "currentIndexChanged(int)":
            self.slots.append(slot)

    # Tables -----------------------------------------------------------------------------------

    def clear(self) -> None:
        self.items.clear()
        self.cells.clear()
        self.__dict__["currentIndex"] = -1

    def setRowCount(self, rows: int) -> None:  # noqa: N802
        self.__dict__["rowCount"] = rows

    def setItem(self, row: int, column: int, cell: Widget) -> None:  # noqa: N802
        self.cells["text", row, column] = cell

    def setCellWidget(self, row: int, column: int, cell: Widget) -> None:  # noqa: N802
        self.cells["widget", row, column] = cell

    def item(self, row: int, column: int) -> Widget | None:
        return self.cells.get(("text", row, column))

    def cellWidget(self, row: int, column: int) -> Widget | None:  # noqa: N802
        return self.cells.get(("widget", row, column))

    # Values -----------------------------------------------------------------------------------

    def text(self) -> str:
        return self.arguments[0] if self.arguments else self.typed

    def flags(self) -> int:
        return 0

    def checkState(self) -> int:  # noqa: N802
        return 0

    def setChecked(self, checked: bool) -> None:  # noqa: N802
        self.__dict__["checked"] = checked

    def setValue(self, value: float) -> None:  # noqa: N802
        self.__dict__["value"] = value

    def setToolTip(self, text: str) -> None:  # noqa: N802
        self.__dict__["toolTip"] = text

    def setText(self, text: str) -> None:  # noqa: N802
        self.setCurrentText(text)

    def setEnabled(self, enabled: Any) -> None:  # noqa: N802
        self.__dict__["enabled"] = bool(enabled)

    def currentNode(self) -> None:  # noqa: N802
        return None


class _Method:
    """A widget's method or signal that does nothing; a method gives another widget."""

    def __call__(self, *arguments: Any, **options: Any) -> Widget:
        return Widget()

    def connect(self, *arguments: Any) -> None:
        return None


class Widgets:
    """What a ``.ui`` file holds: a widget for every name that is asked for."""

    def __getattr__(self, name: str) -> Widget:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__.setdefault(name, Widget())


class CheckBox(Widget):
    """Tells itself from a combo box in a table."""


class Settings:
    """Slicer's settings, of this process only."""

    values: dict[str, Any] = {}  # noqa: RUF012  # every instance shares them, as in Qt

    def value(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802
        self.values[key] = value


class _Constants:
    WaitCursor = ToolTipRole = 3
    ItemIsEditable = 2


def qt() -> ModuleType:
    """A module ``qt`` of these stand-ins; it serves as ``ctk`` as well."""
    module = ModuleType("qt")
    vars(module).update(
        Qt=_Constants,
        QApplication=Widget(),
        QSettings=Settings,
        QCheckBox=CheckBox,
        QDialog=Widget,
        SIGNAL=str,
        __getattr__=lambda name: Widget,
    )
    return module
