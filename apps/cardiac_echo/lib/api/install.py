"""Adds this app's routes, error answers and doors to MONAI Label's API."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lib import errors, guard
from lib.api import infer, labels, patients

ROUTERS = (patients.router, infer.router, labels.router)


def install() -> None:
    """Add routes, error answers and the guard to MONAI Label's API, once per process."""
    from monailabel.app import app as api  # the server has it; the processes that train must not make another

    if not getattr(api.state, "cardiolabel", False):
        api.state.cardiolabel = True
        _install(api)


def _install(api: FastAPI) -> None:
    errors.install(api)
    for router in ROUTERS:
        api.include_router(router)
        # Ahead of MONAI Label's, some of which these replace.
        api.router.routes.insert(0, api.router.routes.pop())
    # MONAI Label lets every web page in, with credentials.
    api.user_middleware[:] = [one for one in api.user_middleware if one.cls is not CORSMiddleware]
    api.user_middleware.insert(0, Middleware(guard.Guard))
    if origins := guard.allowed_origins():
        api.user_middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_credentials=True,
                allow_methods=["*"],
                allow_headers=["*"],
            ),
        )
    # The stack is made when the server starts, before the app is; the next request makes it anew.
    api.middleware_stack = None
