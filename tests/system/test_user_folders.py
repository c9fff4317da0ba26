"""State and caches go where the user or the operating system wants them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.system.user_folders import CACHE_VARIABLE, STATE_VARIABLE, cache_folder, state_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in (CACHE_VARIABLE, STATE_VARIABLE, "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_without_variables_they_lie_in_the_home_directory(home: Path) -> None:
    assert home in state_folder().parents and home in cache_folder().parents
    assert state_folder() != cache_folder()


def test_the_state_variable_moves_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, "/srv/cardiolabel")
    assert state_folder() == Path("/srv/cardiolabel") and cache_folder() == Path("/srv/cardiolabel/cache")


def test_the_cache_variable_moves_caches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, "/srv/cardiolabel")
    monkeypatch.setenv(CACHE_VARIABLE, "/tmp/c")  # noqa: S108  nothing is written there
    assert cache_folder() == Path("/tmp/c") and state_folder() == Path("/srv/cardiolabel")  # noqa: S108


def test_without_a_home_directory_the_error_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: Path("~/.local/state/cardiolabel"))
    with pytest.raises(OSError, match=STATE_VARIABLE):
        state_folder()
