"""Where the audit log is kept, and the key of its pseudonyms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.errors import InputError
from cardiolabel.store.audit.places import audit_folder, read_key, secret_key
from cardiolabel.store.audit.pseudonym import pseudonym


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def test_it_lies_in_the_studies_folder_and_is_closed_to_others(studies: Path) -> None:
    folder = audit_folder(studies)
    assert folder == studies.resolve() / ".cardiolabel" / "audit"
    secret_key(studies, folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "key").stat().st_mode & 0o777 == 0o600


def test_of_studies_that_are_only_read_it_lies_among_the_user_s_states(studies: Path, state: Path) -> None:
    folder = audit_folder(studies, read_only=True)
    assert folder.is_relative_to(state) and folder.stat().st_mode & 0o777 == 0o700
    key = secret_key(studies, folder)
    assert list(studies.iterdir()) == [] and read_key(studies) == key


def test_where_the_studies_folder_takes_nothing_it_lies_among_the_states(studies: Path, state: Path) -> None:
    (studies / ".cardiolabel").write_bytes(b"a file where a folder should be")
    assert audit_folder(studies).is_relative_to(state)


def test_one_key_is_made_however_many_servers_start(studies: Path) -> None:
    folder = audit_folder(studies)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(studies, folder), range(8)))
    assert len(keys) == 1 and len(next(iter(keys))) == 32


@pytest.mark.parametrize("content", ["", "00", "no digits", 64 * "0" + "0"])
def test_a_damaged_key_is_not_replaced(studies: Path, content: str) -> None:
    folder = audit_folder(studies)
    (folder / "key").write_text(content)
    with pytest.raises(InputError, match="damaged"):
        secret_key(studies, folder)
    assert (folder / "key").read_text() == content


def test_pseudonyms_need_the_key() -> None:
    names = ["patient0001", "patient0001_4CH_ED", "patient0002"]
    first, second = ({pseudonym(name, key) for name in names} for key in (b"a", b"b"))
    assert len(first) == len(second) == 3 and not first & second
    assert pseudonym("Mu\u0308ller", b"a") == pseudonym("M\u00fcller", b"a")


def test_the_command_tells_the_pseudonym(studies: Path) -> None:
    requested = CliRunner().invoke(app, ["audit", "pseudonym", str(studies), "patient0001"])
    assert requested.exit_code == 2 and "no server wrote an audit log" in requested.stderr
    key = secret_key(studies, audit_folder(studies))
    told = CliRunner().invoke(app, ["audit", "pseudonym", str(studies), "patient0001"])
    assert (told.exit_code, told.stdout.strip()) == (0, pseudonym("patient0001", key))
