"""Addresses of this server that are pages, and how an address is read."""

from __future__ import annotations

from starlette.types import Scope

START, REFERENCE, OHIF = "/", "/docs", "/ohif/"


def path_of(scope: Scope) -> str:
    """Return the path that routes are looked up by."""
    path = str(scope["path"])
    root = str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def is_page(path: str) -> bool:
    """Return whether a link may lead to an address from anywhere: it only shows something.

    Examples
    --------
    >>> is_page("/"), is_page("/ohif/viewer"), is_page("/datastore/dataset")
    (True, True, False)
    """
    return path in (START, REFERENCE) or path.startswith(OHIF)
