"""Login in the browser: with a local account, or at the realm; the browser keeps a cookie."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from pydantic import BaseModel, ConfigDict

from lib.security.addresses import OHIF, PAGES, START
from lib.security.audit_entry import note_event
from lib.security.cookies import BROWSER, LOGIN, clear_cookie, cookie, set_cookie
from lib.security.local_accounts import accounts, uses_accounts
from lib.security.login_sessions import login_sessions
from lib.security.password_login import check_right, token_for_password
from lib.security.realm_login import RealmIdentity, RealmLogins
from lib.security.roles import Role, has, needs
from lib.server.errors import refused

router = APIRouter(prefix="/auth", tags=["Auth"])

Sender = Annotated[User, needs(Role.USER)]

_realm_logins = RealmLogins()


class Credentials(BaseModel):
    """Name and password of a local account."""

    model_config = ConfigDict(extra="forbid")

    username: str
    password: str


class NewPassword(BaseModel):
    """A change of password: the present one, and the new one."""

    model_config = ConfigDict(extra="forbid")

    present: str
    new: str


@router.post("/session", summary="Log in with a local account")
async def begin(request: Request, response: Response, credentials: Credentials) -> dict[str, Any]:
    """Set the cookie of a login; guesses are limited."""
    _need_accounts()
    address = request.client.host if request.client else ""
    token = await token_for_password(credentials.username, credentials.password, address)
    set_cookie(response, request.scope, LOGIN, token)
    return _shown(await login_sessions().user(token))


@router.get("/session", summary="Who is logged in, and what they may do")
def present(user: Sender) -> dict[str, Any]:
    """Return name and roles of the sender."""
    return {
        **_shown(user),
        "uses_accounts": uses_accounts(),
        "may_annotate": has(Role.ANNOTATOR),
        "may_administer": has(Role.ADMIN),
    }


@router.delete("/session", summary="Log out")
async def end(request: Request, response: Response, user: Sender) -> dict[str, Any]:
    """End the login of this browser; ``leave`` is where the realm's own login ends, if anywhere."""
    identity = login_sessions().end(cookie(request.scope, LOGIN))
    clear_cookie(response, request.scope, LOGIN)
    note_event("logged out")
    leave = None
    if isinstance(identity, RealmIdentity):
        leave = await identity.leave_address(_here(request, START))
    return {"leave": leave}


@router.put("/password", summary="Change one's own password")
async def change_password(
    request: Request, response: Response, user: Sender, change: NewPassword
) -> dict[str, Any]:
    """Change the password of the sender's local account, which ends their other logins."""
    _need_accounts()
    address = request.client.host if request.client else ""
    await check_right(user.username, change.present, address)
    await run_sync(accounts().set_password, user.username, change.new)
    token = await token_for_password(user.username, change.new, address)
    set_cookie(response, request.scope, LOGIN, token)
    note_event("password changed")
    return _shown(user)


@router.get("/login", summary="Log in at the realm", response_class=RedirectResponse, status_code=302)
async def at_realm(request: Request, next: Annotated[str, Query(max_length=2000)] = START) -> Response:
    """Lead the browser to the realm's own page; ``next`` is the page to come back to."""
    _need_realm()
    address, state = await _realm_logins.begin(_own_page(next), _here(request, "/auth/callback"))
    response = RedirectResponse(address, status_code=302)
    set_cookie(response, request.scope, BROWSER, state, same_site="lax")
    return response


@router.get("/callback", summary="Back from the realm", response_class=RedirectResponse, status_code=303)
async def back(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
) -> Response:
    """Set the cookie of a login that the realm confirmed, and lead to the page that it was begun on."""
    _need_realm()
    is_own = bool(state) and cookie(request.scope, BROWSER) == state
    if not (is_own and code):
        note_event("login failed")
        return RedirectResponse(_root(request) + "/login?failed=true", status_code=303)
    identity, next_page = await _realm_logins.end(state, code)
    response = RedirectResponse(_root(request) + next_page, status_code=303)
    set_cookie(response, request.scope, LOGIN, login_sessions().begin(identity))
    clear_cookie(response, request.scope, BROWSER)
    note_event("logged in")
    return response


def _shown(user: User) -> dict[str, Any]:
    return {"username": user.username, "name": user.name or user.username, "roles": user.roles}


def _need_accounts() -> None:
    if not uses_accounts():
        raise refused(404, "no_accounts", "people log in at the realm here, not with local accounts")


def _need_realm() -> None:
    if uses_accounts() or not settings.MONAI_LABEL_AUTH_ENABLE:
        raise refused(404, "no_realm", "people log in with local accounts here, not at a realm")


def _own_page(address: str) -> str:
    """Return the address of a page of this server; the start page in place of any other."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return START
    is_page = parts.path in PAGES or parts.path.startswith(OHIF)
    is_own = not parts.scheme and not parts.netloc and is_page and "\\" not in address
    return address if is_own else START


def _here(request: Request, path: str) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{_root(request)}{path}"


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
