"""Events of the server for the audit log: who did what, from where, with which result.

Patients and images are logged by pseudonyms, addresses by their routes. Tokens, bodies, file names and
messages are never logged.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import threading
import time
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from monailabel.config import settings
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cardiolabel.errors import CardiolabelError
from cardiolabel.store.audit.audit_log import AuditLog
from cardiolabel.store.audit.audit_reader import read_events
from cardiolabel.store.audit.places import LOG_NAME, audit_folder, secret_key
from cardiolabel.store.audit.pseudonym import pseudonym
from lib.security.addresses import path_of
from lib.security.audit_entry import AuditEntry, begin_entry
from lib.security.environment import MB, environment
from lib.security.roles import Role, sender, sender_name
from lib.security.seen_roles import SeenRoles

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("cardiolabel.access")

EVENTS: Mapping[tuple[str, str], str] = {
    ("PUT", "/datastore/label"): "label saved",
    ("POST", "/cardiac/labels/{image}/rollback"): "label rolled back",
    ("DELETE", "/datastore/label"): "label removed",
    ("PUT", "/datastore/image"): "image added",
    ("PUT", "/datastore/"): "image added",
    ("DELETE", "/datastore/image"): "image removed",
    ("DELETE", "/datastore/"): "image removed",
    ("GET", "/datastore/image"): "image downloaded",
    ("GET", "/datastore/label"): "label downloaded",
    ("GET", "/cardiac/labels/{image}/versions/{version}"): "label downloaded",
    ("GET", "/datastore/dataset"): "data set exported",
    ("GET", "/model/{model}"): "model downloaded",
    ("PUT", "/model/{model}"): "model replaced",
    ("DELETE", "/model/{model}"): "model removed",
    ("POST", "/cardiac/models/{model}/rollback"): "model rolled back",
    ("POST", "/train/"): "training started",
    ("POST", "/train/{model}"): "training started",
    ("DELETE", "/train/"): "training stopped",
    ("POST", "/batch/infer/{model}"): "batch started",
    ("DELETE", "/batch/infer"): "batch stopped",
    ("POST", "/scoring/"): "scoring started",
    ("POST", "/scoring/{method}"): "scoring started",
    ("DELETE", "/scoring/"): "scoring stopped",
    ("POST", "/reload"): "reloaded",
    ("GET", "/logs/"): "log read",
    ("POST", "/auth/token"): "logged in",
    ("POST", "/auth/session"): "logged in",
    ("POST", "/cardiac/accounts"): "account added",
    ("PUT", "/cardiac/accounts/{name}"): "account changed",
    ("DELETE", "/cardiac/accounts/{name}"): "account removed",
    ("GET", "/cardiac/audit"): "audit log read",
}
"""Events of successful requests, by method and route."""

REFUSALS = {401: "login failed", 403: "refused", 409: "conflict", 413: "too large", 429: "too many"}
"""Events of refused requests by status; other failures are no events."""

REFUSED_CODES = {"bad_name": "refused"}
"""Events of refused requests by the code of the answer."""

_PER_MINUTE_READ, _PER_MINUTE_REFUSED = 1000, 20
_NAMES = ("image", "id", "label", "image_id", "patient")
_OFF = "off"
_ANSWER_BYTES = 65_536

_log: AuditLog | None = None
_key = b""
_seen_roles: SeenRoles | None = None


def open_log(studies: Path, *, read_only: bool) -> AuditLog | None:
    """Open the audit log of a studies folder by the settings; None where it is off.

    Raises
    ------
    OSError
        It cannot be written anywhere.
    """
    global _log, _key, _seen_roles
    settings = environment()
    if settings.audit_log == _OFF:
        return None
    if _log is None:
        folder = audit_folder(studies, read_only=read_only)
        path = Path(settings.audit_log) if settings.audit_log else folder / LOG_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        _key = secret_key(studies, folder)
        _seen_roles = SeenRoles(folder / "roles.json")
        _log = AuditLog(path, max_bytes=settings.audit_max_mb * MB, files=settings.audit_files)
    return _log


def begin(studies: Path, *, read_only: bool) -> None:
    """Log the server's start with its settings, and register the log of its end."""
    log = open_log(studies, read_only=read_only)
    if log is None:
        return
    shown = {
        **environment().model_dump(exclude={"audit_log", "auth_client_secret"}),
        "login": settings.MONAI_LABEL_AUTH_ENABLE,
        "read_only": read_only,
        "sessions": settings.MONAI_LABEL_SESSIONS,
    }
    log.record({"event": "server started", "settings": shown})
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            signal.signal(number, partial(_stopped, log, before))


def recent_events(*, who: str, event: str, subject: str, limit: int) -> dict[str, Any]:
    """Return the latest events, and whether there is a log at all; empty values match all events.

    Parameters
    ----------
    who, event : str
    subject : str
        An image id or a patient; the log has its pseudonym.
    limit : int
    """
    if _log is None:
        return {"is_on": False, "events": []}
    equal_to = {"who": who, "event": event, "subject": pseudonym(subject, _key) if subject else ""}
    return {"is_on": True, "events": read_events(_log.path, equal_to=equal_to, limit=limit)}


def record_promotion(studies: Path, model: str) -> None:
    """Log the promotion of a retrained model, in the process that trained it."""
    is_server = _log is not None
    try:
        log = open_log(studies, read_only=False)
    except (OSError, CardiolabelError):
        logger.warning("a model was published, but the audit log could not record it")
        return
    if log is not None:
        log.record({"event": "model published", "who": "training", "model": model})
        if not is_server:
            log.close()


class Audit:
    """ASGI middleware that logs the event of each request and, on request, an access line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        entry, answer, began_s = begin_entry(), _Answer(), time.monotonic()

        async def watched(message: Message) -> None:
            answer.see(message)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            duration_ms = round(1000 * (time.monotonic() - began_s))
            if environment().access_log:
                route, client = _route(scope), _client(scope)
                access_logger.info(
                    '%s "%s %s" %d %d ms', client, scope["method"], route, answer.status, duration_ms
                )
            if _log:
                _record(_log, scope, entry, answer, duration_ms)


class _Answer:
    """Status of an answer, and its body if that is short JSON."""

    def __init__(self) -> None:
        self.status, self.body, self._is_json = 500, b"", False

    def see(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
            self._is_json = any(value.startswith(b"application/json") for value in kinds)
        elif self._is_json and len(self.body) < _ANSWER_BYTES:
            self.body += message.get("body", b"")[:_ANSWER_BYTES]

    def text(self, name: str) -> str:
        try:
            content = json.loads(self.body)
        except ValueError:
            return ""
        value = content.get(name) if isinstance(content, dict) else None
        return value if isinstance(value, str) else ""


def _record(log: AuditLog, scope: Scope, entry: AuditEntry, answer: _Answer, duration_ms: int) -> None:
    has_login = settings.MONAI_LABEL_AUTH_ENABLE
    who = entry.login if has_login else entry.claimed
    client = _client(scope)
    if has_login and sender_name() and _seen_roles:
        _note_roles(log, _seen_roles, who, client)
    method, route, status = scope["method"], _route(scope), answer.status
    code = answer.text("code") if status >= 400 else "ok"
    event = REFUSED_CODES.get(code) or _event(entry, method, route, scope, status)
    if event is None:
        return
    image = entry.image or _name(scope) or (answer.text("image") if status < 400 else "")
    written = {
        "event": event,
        "who": who,
        "authenticated": bool(has_login and who),
        "role": _role() if has_login else "",
        "client": client,
        "method": method,
        "route": route,
        "subject": pseudonym(image, _key) if image else "",
        "status": status,
        "code": code,
        "duration_ms": duration_ms,
    }
    limit = _PER_MINUTE_REFUSED if status >= 400 else _PER_MINUTE_READ if method == "GET" else None
    log.record(written, per_minute=limit)


def _event(entry: AuditEntry, method: str, route: str, scope: Scope, status: int) -> str | None:
    if status >= 400:
        return REFUSALS.get(status)
    event = entry.event or EVENTS.get((method, route))
    if event == "image added" and parse_qs(_query(scope)).get("replace", ["false"])[0] not in ("false", "0"):
        return "image replaced"
    return event


def _note_roles(log: AuditLog, seen: SeenRoles, who: str, client: str) -> None:
    roles = sorted(sender().roles)
    before = seen.change(who, roles)
    if before is not None:
        log.record({"event": "roles changed", "who": who, "client": client, "from": before, "to": roles})


def _role() -> str:
    """Return the highest role of the sender."""
    return next((role.claim for role in reversed(Role) if role.claim in sender().roles), "")


def _route(scope: Scope) -> str:
    """Return the route's template; nothing for an unknown address."""
    if route := getattr(scope.get("route"), "path", ""):
        return str(route)
    # It was refused before it came to its route.
    routes = _described(scope["app"]) if "app" in scope else ()
    method, path = scope["method"].lower(), path_of(scope)
    return next(
        (route for pattern, methods, route in routes if method in methods and pattern.match(path)), "unknown"
    )


@cache
def _described(api: FastAPI) -> tuple[tuple[re.Pattern[str], frozenset[str], str], ...]:
    """Return pattern, methods and template of every documented route; those without parameters first."""
    paths = sorted(api.openapi()["paths"].items(), key=lambda item: "{" in item[0])
    return tuple((compile_path(path)[0], frozenset(methods), path) for path, methods in paths)


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _query(scope: Scope) -> str:
    return str(scope.get("query_string", b"").decode("latin-1"))


def _name(scope: Scope) -> str:
    """Return the image or the patient that a request names."""
    parameters = scope.get("path_params") or {}
    query = parse_qs(_query(scope))
    names = (str(parameters.get(name) or query.get(name, [""])[0]) for name in _NAMES)
    return next((name for name in names if name), "")


def _stopped(log: AuditLog, before: Any, number: int, frame: FrameType | None) -> None:
    log.record({"event": "server stopped", "signal": signal.Signals(number).name})
    log.end_windows()
    if callable(before):
        before(number, frame)
    elif before == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
