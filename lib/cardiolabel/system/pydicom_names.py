"""The module of storage class names that pydicom 3 no longer has, for pydicom-seg.

MONAI Label imports pydicom-seg, whose last release reads them from ``pydicom._storage_sopclass_uids``.
``cardiolabel.pth``, which is installed beside the package, calls `provide` whenever Python starts, so that
MONAI Label's own start command works as well. Nothing is imported until the module is asked for.

References
----------
https://github.com/razorx89/pydicom-seg, version 0.4.1, ``reader.py``
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing's, which every start of Python would wait for
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["provide"]

_MODULE = "pydicom._storage_sopclass_uids"


class _StorageNames:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(fullname, self)  # type: ignore[arg-type]  # its two methods are enough

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from pydicom import uid

        names = {name: getattr(uid, name) for name in dir(uid) if name.endswith("Storage")}
        module.__dict__.update(names)


def provide() -> None:
    """Add the module for those who import it; a pydicom that has it keeps its own."""
    if not any(isinstance(finder, _StorageNames) for finder in sys.meta_path):
        sys.meta_path.append(_StorageNames())
