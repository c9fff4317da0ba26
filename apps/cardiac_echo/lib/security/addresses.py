"""Paths of requests, and which of them are pages."""

from __future__ import annotations

from starlette.types import Scope

START, REFERENCE, REDOC, OHIF = "/", "/docs", "/redoc", "/ohif/"
DICOM_WEB = "/dicom-web"
"""Where viewers find the images of the PACS."""

LOGIN_END = "/auth/callback"
"""Where the realm sends a browser back to."""

PAGES = (START, REFERENCE, REDOC, "/study", "/upload", "/models", "/agreement", "/people", "/help", "/login")
"""Addresses of this app's own pages."""

OPEN_PAGES = (REFERENCE, REDOC, "/help", "/login")
"""Pages that are shown without a login."""


def path_of(scope: Scope) -> str:
    """Return the path by which routes are looked up."""
    path = str(scope["path"])
    root = str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def is_page(path: str) -> bool:
    """Return whether any site may link to a path, as it only shows something.

    Examples
    --------
    >>> is_page("/study"), is_page("/ohif/viewer"), is_page("/datastore/dataset")
    (True, True, False)
    """
    return path in PAGES or path == LOGIN_END or path.startswith(OHIF)
