"""Installs this app's routes, error answers and middleware in MONAI Label's API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from monailabel.config import settings
from monailabel.utils.async_tasks import utils as background
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lib.api import (
    accounts,
    agreement,
    audit,
    browser_login,
    dataset,
    description,
    dicom,
    drawing,
    events,
    images,
    infer,
    labels,
    login,
    models,
    overview,
    pages,
    patients,
    reload,
    samples,
    sessions,
    tasks,
    training,
    uploads,
    viewers,
    worklist,
)
from lib.api import logs as log_routes
from lib.security.addresses import LOGIN_END, OHIF, PAGES
from lib.security.answer_headers import AnswerHeaders
from lib.security.audit import Audit, begin
from lib.security.front import bound_connections
from lib.security.guard import Guard
from lib.security.login import Login
from lib.security.roles import begin_serving, check_declared
from lib.security.sites import allowed_origins
from lib.security.uploads import Uploads
from lib.server import errors, logs
from lib.server.child_process import run_task
from lib.server.startup import clear_start

ROUTERS = (
    *(overview.router, description.router),
    *(viewers.router, infer.router, sessions.router, tasks.router),
    *(models.router, models.served, models.versions, training.router),
    *(log_routes.router, dataset.router, reload.router),
    *(patients.router, agreement.router, images.router, labels.router, samples.router),
    *(worklist.router, drawing.router, events.router, uploads.router, pages.router),
    *(accounts.router, audit.router, dicom.router),
)
"""Routers in order of precedence."""

STOCK = frozenset({"/favicon.ico"})
"""MONAI Label's own routes that stay. No other route of any version is served."""

PUBLIC = frozenset(
    {
        *("/auth/", "/auth/token", "/auth/session", "/auth/login", LOGIN_END),
        "/openapi.json",
        "/web/{version}/{path:path}",
        OHIF + "{path:path}",
        *PAGES,
    }
)
"""Routes of this app that need no role."""

TOKENS = {"type": "oauth2", "flows": {"password": {"tokenUrl": "auth/token", "scopes": {}}}}
"""How programs log in, as OpenAPI describes it."""


def routers() -> tuple[APIRouter, ...]:
    """Return the routers that are served; with login those of login as well."""
    return (login.router, browser_login.router, *ROUTERS) if settings.MONAI_LABEL_AUTH_ENABLE else ROUTERS


def install() -> None:
    """Install routes, error answers and middleware in MONAI Label's API, once per process."""
    from monailabel.app import app as api  # the server has it; the processes that train must not make another

    if not getattr(api.state, "cardiolabel", False):
        api.state.cardiolabel = True
        with clear_start():
            begin(Path(settings.MONAI_LABEL_STUDIES), read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY)
        _install(api)
        bound_connections()


def _install(api: FastAPI) -> None:
    errors.install(api)
    begin_serving()
    background._task_func = run_task
    api.router.routes[:] = [route for route in api.router.routes if getattr(route, "path", None) in STOCK]
    for router in routers():
        check_declared(router, public=PUBLIC)
        api.include_router(router)
    api.openapi_schema = None
    described = api.openapi()
    if settings.MONAI_LABEL_AUTH_ENABLE:
        described["components"]["securitySchemes"] = {"password": TOKENS}
        described["security"] = [{"password": []}]
    logs.show_routes_only(_words(described["paths"]))
    # MONAI Label lets every web page in, with credentials.
    cross_origin: Any = CORSMiddleware
    inner = [middleware for middleware in api.user_middleware if middleware.cls is not cross_origin]
    doors = [Middleware(layer) for layer in (Audit, AnswerHeaders, errors.Failures, Guard, Login, Uploads)]
    api.user_middleware[:] = [*_cors(), *doors, *inner]
    # The stack is made when the server starts, before the app is; the next request makes it anew.
    api.middleware_stack = None


def _cors() -> list[Middleware]:
    origins = allowed_origins()
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    ]


def _words(paths: dict[str, Any]) -> Iterator[str]:
    """Return the fixed parts of routes."""
    for path in paths:
        yield from (part for part in path.split("/") if not re.fullmatch(r"\{.*\}", part))
