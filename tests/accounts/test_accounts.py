"""Local accounts: who is let in, what is refused, and what stands on the disk."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("pwdlib", reason="needs cardiolabel[server]")

from cardiolabel.accounts import accounts as module
from cardiolabel.accounts.accounts import AccountRole, Accounts
from cardiolabel.errors import ConflictError, InputError

PASSWORD, OTHER = "correct horse battery", "staple of another kind"
ADMINISTRATOR, ANNOTATOR = AccountRole.ADMINISTRATOR, AccountRole.ANNOTATOR


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    accounts = Accounts(tmp_path)
    accounts.add("Ada", ADMINISTRATOR, PASSWORD)
    return accounts


def test_a_folder_without_accounts_has_none(tmp_path: Path) -> None:
    assert not Accounts(tmp_path) and not list(tmp_path.iterdir())


def test_only_the_right_password_gives_the_account(accounts: Accounts) -> None:
    account = accounts.log_in("ada", PASSWORD)
    assert account is not None and (account.name, account.role) == ("Ada", ADMINISTRATOR)
    for name, password in (("ada", OTHER), ("ada", ""), ("eve", PASSWORD), ("", "")):
        assert accounts.log_in(name, password) is None


def test_the_file_holds_a_hash_and_is_for_its_owner_only(accounts: Accounts, tmp_path: Path) -> None:
    (file,) = tmp_path.rglob("accounts.json")
    assert PASSWORD not in file.read_text() and "$argon2id$" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_an_unknown_name_takes_as_long_as_a_wrong_password(accounts: Accounts) -> None:
    """An attacker must not learn by the clock who has an account."""
    accounts.log_in("ada", OTHER), accounts.log_in("eve", OTHER)  # the first hash of a process is slower

    def least_s(name: str) -> float:
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            accounts.log_in(name, OTHER)
            times.append(time.perf_counter() - begun)
        return min(times)

    assert 0.4 < least_s("eve") / least_s("ada") < 2.5


@pytest.mark.parametrize("password", ["", "short", "ab" * 6, PASSWORD * 50, "I am Lovelace, let me in"])
def test_passwords_that_are_soon_guessed_are_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(InputError, match="the password"):
        accounts.add("lovelace", ANNOTATOR, password)


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a/b", "x" * 65, "tab\t", "<b>"])
def test_names_that_are_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(InputError, match="expected 1 to 64"):
        accounts.add(name, ANNOTATOR, PASSWORD)


def test_names_that_differ_in_case_are_one(accounts: Accounts) -> None:
    with pytest.raises(ConflictError, match="Ada already"):
        accounts.add("ADA", ANNOTATOR, PASSWORD)


def test_an_administrator_is_left_whatever_is_changed(accounts: Accounts) -> None:
    for change in (
        lambda: accounts.remove("ada"),
        lambda: accounts.set_role("ada", ANNOTATOR),
        lambda: accounts.set_locked("ada", "on leave"),
    ):
        with pytest.raises(ConflictError, match="no administrator would be left"):
            change()
    accounts.add("bob", ADMINISTRATOR, PASSWORD)
    accounts.remove("ada")
    assert [account.name for account in accounts.all()] == ["bob"]


def test_the_first_account_is_an_administrators(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="first account"):
        Accounts(tmp_path).add("bob", ANNOTATOR, PASSWORD)


def test_wrong_passwords_lock_an_account_and_an_administrator_unlocks_it(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FAILURES", 3)
    accounts.log_in("ada", OTHER)
    assert accounts.log_in("ada", PASSWORD)  # a right one begins the count anew
    for _ in range(3):
        accounts.log_in("ada", OTHER)
    assert accounts.log_in("ada", PASSWORD) is None
    (account,) = Accounts(tmp_path).all()
    assert account.locked == "3 wrong passwords in a row"
    accounts.set_locked("ada", "")
    assert accounts.log_in("ada", PASSWORD)


def test_another_process_changes_what_this_one_sees(accounts: Accounts, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cardiolabel", "accounts"]
    options = {"input": PASSWORD + "\n", "text": True, "capture_output": True, "check": True}
    add = [*command, "add", str(tmp_path), "bob", "--role", "reviewer", "--password-stdin"]
    subprocess.run(add, **options)  # type: ignore[call-overload]
    bob = accounts.log_in("bob", PASSWORD)
    assert bob is not None and bob.role is AccountRole.REVIEWER
    subprocess.run([*command, "lock", str(tmp_path), "bob"], **options)  # type: ignore[call-overload]
    assert accounts.log_in("bob", PASSWORD) is None
    listed = subprocess.run([*command, "list", str(tmp_path)], **options).stdout  # type: ignore[call-overload]
    assert listed.splitlines() == ["Ada\tadministrator", "bob\treviewer\tlocked by an administrator"]


def test_changes_at_once_lose_none(accounts: Accounts) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda k: accounts.add(f"user{k}", ANNOTATOR, PASSWORD), range(8)))
    assert len(accounts.all()) == 9


def test_a_damaged_file_lets_nobody_in(accounts: Accounts, tmp_path: Path) -> None:
    (file,) = tmp_path.rglob("accounts.json")
    file.write_text('{"accounts": [{"name": "ada"}]}')
    with pytest.raises(InputError, match="damaged"):
        accounts.log_in("ada", PASSWORD)
