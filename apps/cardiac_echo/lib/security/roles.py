"""Who may do what: asked by each route before anything, and again where something is done.

A route says the role that it needs with `needs`. What changes or costs something says so once more, with
`require`, so that no other way to it needs less.
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
from monailabel.endpoints.user.auth import DEFAULT_USER, RBAC, User

from lib.server.errors import refused


class Role(StrEnum):
    """Roles of the login, the lowest first; each includes those before it."""

    USER = "USER"
    ANNOTATOR = "ANNOTATOR"
    REVIEWER = "REVIEWER"
    ADMIN = "ADMIN"

    @property
    def claim(self) -> str:
        """What tokens call the role."""
        return str(getattr(settings, f"MONAI_LABEL_AUTH_ROLE_{self.value}"))


STRANGER = User(username="", roles=[])
"""Whoever is not logged in, where login is on."""

_sender: ContextVar[User] = ContextVar("sender", default=STRANGER)
_serving = False


def begin_serving() -> None:
    """From now on this process answers requests, and what nobody with a role asked for is refused."""
    global _serving
    _serving = True


def note_sender(user: User) -> None:
    """Remember who sent the request that is being answered."""
    _sender.set(user)


def sender() -> User:
    """Who sent the request that is being answered.

    Everybody has every role where there is no login, and in processes beside the server, which are started
    only for those who may.
    """
    if settings.MONAI_LABEL_AUTH_ENABLE and _serving:
        return _sender.get()
    return DEFAULT_USER


def sender_name() -> str:
    """Return the login's name; empty without login, where nobody is known by name."""
    return str(sender().username) if settings.MONAI_LABEL_AUTH_ENABLE and _serving else ""


def require(role: Role) -> None:
    """Refuse what the sender of the request may not do.

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


def needs(role: Role) -> Any:
    """Let a route answer only those who have a role: one of its, or its router's, dependencies."""
    return Depends(RBAC(role.claim))


def declared_role(route: APIRoute) -> Role | None:
    """Return the highest role that a route says it needs; None where it says nothing."""
    claims = {check.roles for check in _checks([route.dependant]) if isinstance(check.roles, str)}
    return next((role for role in reversed(Role) if role.claim in claims), None)


def check_declared(router: APIRouter, *, public: Collection[str]) -> None:
    """Refuse to serve a route that does not say which role it needs.

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


def _checks(dependants: Iterable[Dependant]) -> Iterator[RBAC]:
    for dependant in dependants:
        if isinstance(dependant.call, RBAC):
            yield dependant.call
        yield from _checks(dependant.dependencies)
