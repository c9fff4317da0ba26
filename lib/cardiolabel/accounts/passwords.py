"""Passwords: which ones are accepted, and their hashes by Argon2id."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cardiolabel.errors import InputError

if TYPE_CHECKING:
    from pwdlib import PasswordHash

__all__ = ["LONGEST", "SHORTEST", "check_password", "hash_password", "is_right"]

SHORTEST, LONGEST = 12, 1024
"""Fewest and most characters of a password."""

_FEWEST_DIFFERENT = 5


def check_password(password: str, name: str) -> None:
    """Refuse a password that is soon guessed.

    Raises
    ------
    InputError
        It is too short or too long, repeats a few characters, or holds the account's name.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(f"the password has {len(password)} characters; expected {SHORTEST} to {LONGEST}")
    if len(set(password)) < _FEWEST_DIFFERENT:
        raise InputError(
            f"the password repeats few characters; expected at least {_FEWEST_DIFFERENT} different"
        )
    if len(name) > 3 and name.casefold() in password.casefold():
        raise InputError("the password holds the account's name; expected another")


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, with its salt and parameters."""
    return _hasher().hash(password)


def is_right(password: str, hashed: str | None) -> bool:
    """Return whether a password has this hash; takes as long where there is none."""
    right = _hasher().verify(password, hashed or _hash_of_nothing())
    return right and hashed is not None


@cache
def _hasher() -> PasswordHash:
    from pwdlib import PasswordHash  # comes with cardiolabel[server]

    return PasswordHash.recommended()


@cache
def _hash_of_nothing() -> str:
    return hash_password("no account has this password")
