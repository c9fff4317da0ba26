"""Import of torchvision when its wheel was built for another PyTorch."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import torch

_operators: list[Any] = []
"""Operator libraries; they must live as long as the process."""


def torchvision_module(module: str) -> Any:
    """Import a module of torchvision, even if its wheel was built for another PyTorch.

    Such a wheel cannot load its compiled operators and fails to import, although no network here needs them.
    Declaring each missing operator without an implementation is enough.
    """
    for _ in range(50):
        try:
            return importlib.import_module(module)
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            library.define(f"{missing[1]}(Tensor unused) -> Tensor")
            _operators.append(library)
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise ImportError(f"{module} cannot be imported beside this PyTorch")
