"""What never reaches an endpoint: names that are paths, models that do not exist, pages of other origins.

MONAI Label joins image ids and label tags to folders as they come, starts a process for a model it does not
have, and lets any web page that the annotator opens read and write.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.errors import answer

NAMES = frozenset({"image", "id", "label", "tag", "session_id"})
"""Query parameters that end up as part of a file's path."""

TASKS = {"/train/": "_trainers", "/batch/infer/": "_infers", "/scoring/": "_scoring_methods"}
"""Endpoints that start a process for the task named in the path, and where the app keeps its tasks."""


def allowed_origins() -> list[str]:
    """Origins that may use this server from a browser, besides its own."""
    return [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]


def is_path(name: str) -> bool:
    """Whether a name could lead out of the folder it is looked up in.

    >>> is_path("patient0001_4CH_ED"), is_path("../labels/x"), is_path("/etc/passwd"), is_path("..")
    (False, True, True, True)
    """
    return name in {".", ".."} or any(letter in name for letter in "/\\\0")


class Guard:
    """ASGI middleware that answers such requests itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refusal = _refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)


def _refusal(scope: Scope) -> JSONResponse | None:
    for key, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if key in NAMES and is_path(value):
            return answer(400, "bad_name", f"{key}={value!r}: expected a name, not a path")
    if ".." in scope["path"].split("/"):
        return answer(400, "bad_name", "expected a name, not a path")
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return None
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin and urlsplit(origin).netloc != headers.get("host") and origin not in allowed_origins():
        return answer(
            403, "foreign_origin", f"{origin} may not use this server; see MONAI_LABEL_CORS_ORIGINS"
        )
    if scope["method"] == "POST":
        for prefix, attribute in TASKS.items():
            task = scope["path"].removeprefix(prefix)
            known = getattr(app_instance(), attribute)
            if task and task != scope["path"] and task not in known:
                return answer(
                    404, "unknown_model", f"{prefix}{task}: there are: {', '.join(known) or 'none'}"
                )
    return None
