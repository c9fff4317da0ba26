"""Accounts in a file that only its owner may read, changed by the server and by the command line."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from cardiolabel.accounts.passwords import check_password, hash_password, is_right
from cardiolabel.errors import ConflictError, InputError
from cardiolabel.io.files import atomic
from cardiolabel.records.private_folders import make_private_folder, private_folders

__all__ = ["Account", "AccountRole", "Accounts"]

MOST_FAILURES = 100
"""Wrong passwords in a row after which an account is locked, as NIST SP 800-63B has it."""

_NAME = re.compile(r"[\w][\w.@+-]{0,63}")
_LOCK_S = 30
_FOLDER, _FILE = "accounts", "accounts.json"


class AccountRole(StrEnum):
    """What an account may do; each role includes those before it."""

    READER = "reader"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Account:
    """One account.

    Attributes
    ----------
    name : str
        As it is written; names that differ in case only are one.
    role : AccountRole
    password_hash : str
        Argon2id.
    locked : str
        Why nobody can log in; empty where one can.
    failures : int
        Wrong passwords since the last right one.
    changed_at : str
        Time of the last change by an administrator or the owner, UTC.
    """

    name: str
    role: AccountRole
    password_hash: str
    locked: str = ""
    failures: int = 0
    changed_at: str = ""

    def as_json(self) -> dict[str, object]:
        """Return what an administrator is shown: everything but the hash."""
        return {"name": self.name, "role": self.role, "locked": self.locked, "changed_at": self.changed_at}


class Accounts:
    """The accounts of one studies folder, read anew whenever their file has changed.

    Parameters
    ----------
    studies : Path
        The studies folder, which keeps the file unless it can only be read.
    """

    def __init__(self, studies: Path) -> None:
        self._studies = studies
        self._reading = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def __bool__(self) -> bool:
        """Whether there is any account."""
        return bool(self._current())

    def all(self) -> list[Account]:
        """Return all accounts by name."""
        return sorted(self._current().values(), key=lambda account: account.name.casefold())

    def get(self, name: str) -> Account | None:
        """Return an account, or None."""
        return self._current().get(name.casefold())

    def add(self, name: str, role: AccountRole, password: str) -> Account:
        """Add an account.

        Raises
        ------
        InputError
            The name or the password is not accepted, or the first account is no administrator's.
        ConflictError
            There is an account of that name.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r}: expected 1 to 64 letters, digits and . _ @ + -")
        check_password(password, name)
        account = Account(name, role, hash_password(password), changed_at=_now())
        with self._changing() as accounts:
            if name.casefold() in accounts:
                message = f"there is an account {accounts[name.casefold()].name} already"
                raise ConflictError(message, {})
            if not accounts and role is not AccountRole.ADMINISTRATOR:
                raise InputError("the first account must be an administrator's")
            accounts[name.casefold()] = account
        return account

    def set_role(self, name: str, role: AccountRole) -> Account:
        """Change what an account may do.

        Raises
        ------
        InputError
            There is no such account.
        ConflictError
            No administrator would be left.
        """
        return self._change(name, role=role)

    def set_password(self, name: str, password: str) -> Account:
        """Change a password, which ends every login of the account.

        Raises
        ------
        InputError
            There is no such account, or the password is not accepted.
        """
        check_password(password, name)
        return self._change(name, password_hash=hash_password(password), failures=0)

    def set_locked(self, name: str, why: str) -> Account:
        """Lock an account, which ends its logins, or with no reason unlock it.

        Raises
        ------
        InputError
            There is no such account.
        ConflictError
            No administrator would be left.
        """
        return self._change(name, locked=why, failures=0)

    def remove(self, name: str) -> None:
        """Remove an account; what its owner did stays recorded under the name.

        Raises
        ------
        InputError
            There is no such account.
        ConflictError
            No administrator would be left.
        """
        with self._changing() as accounts:
            _existing(accounts, name)
            before = dict(accounts)
            del accounts[name.casefold()]
            _check_administrators(before, accounts)

    def log_in(self, name: str, password: str) -> Account | None:
        """Return the account of a name and its password; None for any other pair, and if it is locked.

        Takes as long for a name that there is not. `MOST_FAILURES` wrong passwords lock an account.
        """
        account = self.get(name)
        right = is_right(password, account.password_hash if account else None)
        if account is None or account.locked:
            return None
        if not right:
            self._note_failure(name)
            return None
        if account.failures:
            self._note_success(name)
        return account

    def _note_failure(self, name: str) -> None:
        with self._changing() as accounts:
            if account := accounts.get(name.casefold()):
                failures = account.failures + 1
                locked = (
                    f"{failures} wrong passwords in a row" if failures >= MOST_FAILURES else account.locked
                )
                accounts[name.casefold()] = replace(account, failures=failures, locked=locked)

    def _note_success(self, name: str) -> None:
        with self._changing() as accounts:
            if account := accounts.get(name.casefold()):
                accounts[name.casefold()] = replace(account, failures=0)

    def _change(self, name: str, **changes: Any) -> Account:
        with self._changing() as accounts:
            before = dict(accounts)
            account = replace(_existing(accounts, name), **changes, changed_at=_now())
            accounts[name.casefold()] = account
            _check_administrators(before, accounts)
        return account

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Account]]:
        """Yield the accounts, to be changed in place; nothing is written where the block raises."""
        path = self._file() or make_private_folder(self._studies, _FOLDER) / _FILE
        with FileLock(path.with_suffix(".lock"), timeout=_LOCK_S, mode=0o600):
            accounts = dict(self._current())
            yield accounts
            rows = [asdict(account) for account in accounts.values()]
            with atomic(path) as draft:
                draft.chmod(0o600)
                draft.write_text(json.dumps({"accounts": rows}, indent=1), encoding="utf-8")

    def _current(self) -> dict[str, Account]:
        """Return the accounts as they are on the disk, by lower-case name."""
        with self._reading:
            path = self._file()
            if path is None:
                self._stamp, self._accounts = None, {}
                return self._accounts
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._accounts, self._stamp = _read(path), stamp
            return self._accounts

    def _file(self) -> Path | None:
        with suppress(OSError):  # without a home directory there is one place only
            for folder in private_folders(self._studies, _FOLDER):
                if (folder / _FILE).is_file():
                    return folder / _FILE
        return None


def _read(path: Path) -> dict[str, Account]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["accounts"]
        accounts = [Account(**{**row, "role": AccountRole(row["role"])}) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: damaged ({error}); restore it, or remove it to make accounts anew"
        ) from None
    return {account.name.casefold(): account for account in accounts}


def _existing(accounts: dict[str, Account], name: str) -> Account:
    account = accounts.get(name.casefold())
    if account is None:
        raise InputError(f"there is no account {name!r}")
    return account


def _check_administrators(before: dict[str, Account], after: dict[str, Account]) -> None:
    if _has_administrator(before) and not _has_administrator(after):
        raise ConflictError("no administrator would be left; make another one first", {})


def _has_administrator(accounts: dict[str, Account]) -> bool:
    return any(row.role is AccountRole.ADMINISTRATOR and not row.locked for row in accounts.values())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
