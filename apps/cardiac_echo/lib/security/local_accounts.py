"""Local accounts as the server uses them: whether there are any, and the user that each stands for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from cardiolabel.accounts.accounts import Account, AccountRole, Accounts
from lib.security.roles import Role, highest_and_below

ROLES = {
    AccountRole.READER: Role.USER,
    AccountRole.ANNOTATOR: Role.ANNOTATOR,
    AccountRole.REVIEWER: Role.REVIEWER,
    AccountRole.ADMINISTRATOR: Role.ADMIN,
}

_uses_accounts = False


@cache
def accounts() -> Accounts:
    """Return the accounts of the studies folder that is served."""
    return Accounts(Path(settings.MONAI_LABEL_STUDIES))


def choose_login() -> None:
    """Switch login on where the studies folder has accounts, unless a realm was chosen; at the start.

    Raises
    ------
    InputError
        The file of accounts is damaged.
    """
    global _uses_accounts
    if not settings.MONAI_LABEL_AUTH_ENABLE and accounts():
        _uses_accounts = settings.MONAI_LABEL_AUTH_ENABLE = True


def uses_accounts() -> bool:
    """Return whether people log in with local accounts."""
    return _uses_accounts


def user_of_account(account: Account) -> User:
    """Return the user that an account stands for, with every role that its role includes."""
    return User(
        username=account.name, name=account.name, roles=highest_and_below([ROLES[account.role].claim])
    )
