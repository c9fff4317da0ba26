"""A cached network is used only if it is byte for byte what this user stored."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cardiolabel.inference.engines.converted_networks import ConvertedNetworks, UntrustedCacheError

FILES = {"part0of1.xml": b"<net/>" * 100, "part0of1.bin": bytes(range(256)) * 400}


def change_bytes(folder: Path) -> None:
    file = folder / "part0of1.bin"
    content = file.read_bytes()
    file.write_bytes(content[:40_000] + bytes(20_000) + content[60_000:])


def add_file(folder: Path) -> None:
    (folder / "part1of1.xml").write_bytes(b"<more/>")


def remove_file(folder: Path) -> None:
    (folder / "part0of1.bin").unlink()


def spoil_checksums(folder: Path) -> None:
    (folder / "sha256.json").write_text("{")


def remove_checksums(folder: Path) -> None:
    (folder / "sha256.json").unlink()


def let_others_write(folder: Path) -> None:
    (folder / "part0of1.bin").chmod(0o666)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    ConvertedNetworks(tmp_path / "openvino").keep("camus", FILES)
    return tmp_path / "openvino"


def test_a_cached_network_is_read_back(cache: Path) -> None:
    assert ConvertedNetworks(cache).read("camus") == FILES
    assert ConvertedNetworks(cache).read("other") is None


@pytest.mark.parametrize(
    "change",
    [change_bytes, add_file, remove_file, spoil_checksums, remove_checksums, let_others_write],
)
def test_a_changed_file_is_removed_with_a_warning(
    cache: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    change(cache / "camus")
    with caplog.at_level(logging.WARNING):
        assert ConvertedNetworks(cache).read("camus") is None
    assert "converted again" in caplog.text and list(cache.iterdir()) == []
    ConvertedNetworks(cache).keep("camus", FILES)
    assert ConvertedNetworks(cache).read("camus") == FILES


def test_a_network_under_another_name_is_rejected(cache: Path) -> None:
    (cache / "camus").rename(cache / "echonet")
    assert ConvertedNetworks(cache).read("echonet") is None


def test_the_cache_is_private_to_its_user(tmp_path: Path) -> None:
    umask = os.umask(0o002)
    try:
        cached = ConvertedNetworks(tmp_path / "openvino")
        cached.keep("camus", FILES)
    finally:
        os.umask(umask)
    paths = [tmp_path / "openvino", *(tmp_path / "openvino").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}
    assert cached.read("camus") == FILES


def test_a_cache_that_others_could_write_to_is_distrusted_and_made_private(cache: Path) -> None:
    cache.chmod(0o777)
    assert ConvertedNetworks(cache).read("camus") is None
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_another_users_cache_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = cache.stat().st_uid + 1234
    if os.geteuid() == 0:
        os.chown(cache, other, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(UntrustedCacheError, match="another user"):
        ConvertedNetworks(cache)
