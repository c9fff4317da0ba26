"""Local accounts, for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict

from cardiolabel.accounts.accounts import Account, AccountRole
from lib.security.local_accounts import accounts, uses_accounts
from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(prefix="/cardiac/accounts", tags=["Auth"], dependencies=[needs(Role.ADMIN)])

Name = Annotated[str, PathParameter(max_length=64)]


class NewAccount(BaseModel):
    """An account to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: AccountRole
    password: str


class Change(BaseModel):
    """What is to be changed of an account."""

    model_config = ConfigDict(extra="forbid")

    role: AccountRole | None = None
    password: str | None = None
    locked: bool | None = None


@router.get("", summary="All local accounts")
def list_accounts() -> dict[str, Any]:
    """Return names and roles, and why an account is locked."""
    return {
        "uses_accounts": uses_accounts(),
        "accounts": [account.as_json() for account in accounts().all()] if uses_accounts() else [],
    }


@router.post("", summary="Add a local account", status_code=201)
async def add(account: NewAccount) -> dict[str, Any]:
    """Add an account with its first password."""
    _need_accounts()
    added = await run_sync(accounts().add, account.name, account.role, account.password)
    return added.as_json()


@router.put("/{name}", summary="Change role, password or lock of a local account")
async def change(name: Name, changes: Change) -> dict[str, Any]:
    """Change an account; a new password and a lock end its logins."""
    account = _existing(name)
    if changes.role is not None:
        account = accounts().set_role(name, changes.role)
    if changes.password is not None:
        account = await run_sync(accounts().set_password, name, changes.password)
    if changes.locked is not None:
        account = accounts().set_locked(name, "locked by an administrator" if changes.locked else "")
    return account.as_json()


@router.delete("/{name}", summary="Remove a local account")
def remove(name: Name) -> dict[str, Any]:
    """Remove an account; what its owner did stays recorded under the name."""
    account = _existing(name)
    accounts().remove(name)
    return account.as_json()


def _need_accounts() -> None:
    if not uses_accounts():
        raise refused(
            409,
            "no_accounts",
            "make the first account by the command: cardiolabel accounts add STUDIES NAME",
        )


def _existing(name: str) -> Account:
    _need_accounts()
    account = accounts().get(name)
    if account is None:
        raise refused(404, "unknown_account", f"there is no account {name!r}")
    return account
