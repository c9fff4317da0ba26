"""Roles: checked by each route, and again where something is changed.

A route declares its role with `needs`. Code that changes or costs something checks it again with `require`,
so that no other way to it needs less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user.auth import DEFAULT_USER, User
from starlette.exceptions import HTTPException

from lib.server.errors import refused


class Role(StrEnum):
    """Roles of the login, the lowest first; each includes those before it."""

    USER = "USER"
    ANNOTATOR = "ANNOTATOR"
    REVIEWER = "REVIEWER"
    ADMIN = "ADMIN"

    @property
    def claim(self) -> str:
        """Name of the role in tokens."""
        return str(getattr(settings, f"MONAI_LABEL_AUTH_ROLE_{self.value}"))


STRANGER = User(username="", roles=[])
"""A sender without login, where login is on."""

_sender: ContextVar[User] = ContextVar("sender", default=STRANGER)
_serving = False


def begin_serving() -> None:
    """From now on refuse actions in this process that no request with a role asked for."""
    global _serving
    _serving = True


def note_sender(user: User) -> None:
    """Record the sender of the request that is being answered."""
    _sender.set(user)


def sender() -> User:
    """Return the sender of the request that is being answered.

    Everybody has every role without login, and in child processes, which are started only for those who may.
    """
    if settings.MONAI_LABEL_AUTH_ENABLE and _serving:
        return _sender.get()
    return DEFAULT_USER


def sender_name() -> str:
    """Return the login's name; empty without login."""
    return str(sender().username) if settings.MONAI_LABEL_AUTH_ENABLE and _serving else ""


def require(role: Role) -> None:
    """Refuse a sender without this role.

    Raises
    ------
    HTTPException
        403, with the role that is needed.
    """
    if not has(role):
        raise refused(403, "forbidden", f"role {role.claim} is needed; ask your administrator for it")


def has(role: Role) -> bool:
    """Return whether the sender of the request has a role."""
    return role.claim in sender().roles


def highest_and_below(claims: Collection[str]) -> list[str]:
    """Return the highest of some roles, as tokens name them, with those that it includes after it."""
    ranks = [role.claim for role in reversed(Role)]
    highest = min((rank for rank, claim in enumerate(ranks) if claim in claims), default=None)
    return [] if highest is None else ranks[highest:]


def not_logged_in(message: str) -> HTTPException:
    """Return the error for a request without a valid login."""
    return refused(401, "not_logged_in", message, headers={"WWW-Authenticate": "Bearer"})


class Need:
    """Dependency of a route that requires a role, and gives the sender.

    It takes the place of MONAI Label's ``RBAC``, which reads the token again for each dependency and knows no
    cookies.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self) -> User:
        """Return the sender, or refuse."""
        user = sender()
        if user is STRANGER:
            raise not_logged_in("log in again: the login is not valid here")
        require(self.role)
        return user


def needs(role: Role) -> Any:
    """Make a dependency of a route or router that requires a role."""
    return Depends(Need(role))


def declared_role(route: APIRoute) -> Role | None:
    """Return the highest role that a route declares; None where it declares none."""
    needed = {need.role for need in _needs([route.dependant])}
    return next((role for role in reversed(Role) if role in needed), None)


def check_declared(router: APIRouter, *, public: Collection[str]) -> None:
    """Refuse to serve a route that declares no role.

    Parameters
    ----------
    router : APIRouter
    public : collection of str
        Paths that need none.

    Raises
    ------
    RuntimeError
        A route says nothing; it names the route.
    """
    for route in router.routes:
        path = str(getattr(route, "path", route))
        if not isinstance(route, APIRoute) or (path not in public and declared_role(route) is None):
            raise RuntimeError(f"{path}: expected a route with `needs(Role…)`; every route says its role")


def _needs(dependants: Iterable[Dependant]) -> Iterator[Need]:
    for dependant in dependants:
        if isinstance(dependant.call, Need):
            yield dependant.call
        yield from _needs(dependant.dependencies)
