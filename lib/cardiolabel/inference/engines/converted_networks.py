"""Cache of converted networks, each with checksums of its files.

A single changed bit in a network can change every volume. A cached network is therefore read once, compared
with its checksums, and loaded from the very bytes that were compared.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cardiolabel.io.files import sync_folder
from cardiolabel.system.user_folders import CACHE_VARIABLE

logger = logging.getLogger(__name__)

_CHECKSUMS = "sha256.json"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedCacheError(OSError):
    """The cache folder belongs to another user, who could replace the networks in it."""


class ConvertedNetworks:
    """Stores the files of converted networks by name, in a folder private to this user.

    Parameters
    ----------
    folder : Path
        Created if missing, readable by this user only.

    Raises
    ------
    UntrustedCacheError
        The folder belongs to another user.
    OSError
        The folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
        if status.st_uid not in {os.geteuid(), 0}:
            raise UntrustedCacheError(
                f"{folder} belongs to another user; set {CACHE_VARIABLE} to a folder of yours"
            )
        self._was_open = bool(status.st_mode & _OTHERS_WRITE)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != 0o700:
            folder.chmod(0o700)
        self._folder = folder

    def read(self, name: str) -> dict[str, bytes] | None:
        """Read the files of a network; None if it is not cached or fails its checksums."""
        folder = self._folder / name
        if not folder.is_dir():
            return None
        try:
            checksums = json.loads((folder / _CHECKSUMS).read_bytes())
            files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != _CHECKSUMS}
            if checksums == _checksums(name, files) and not self._is_open(folder):
                return files
        except (OSError, ValueError) as error:
            logger.debug("a converted network cannot be read: %s", error)
        logger.warning("the cached network %s fails its checksums; it is converted again", name)
        self._put_aside(folder)
        return None

    def keep(self, name: str, files: dict[str, bytes]) -> None:
        """Store a network atomically; raises OSError if the disk refuses."""
        draft = Path(tempfile.mkdtemp(prefix=".partial-", dir=self._folder))
        try:
            checksums = json.dumps(_checksums(name, files)).encode("ascii")
            for file_name, content in {**files, _CHECKSUMS: checksums}.items():
                path = draft / file_name
                path.touch(mode=0o600, exist_ok=False)  # private whatever the umask
                with path.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(self._folder / name)
            sync_folder(self._folder)
        except OSError:
            if not (self._folder / name).is_dir():  # otherwise another process stored it first
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _is_open(self, folder: Path) -> bool:
        """Check whether another user could have changed a network together with its checksums."""
        trusted = {os.geteuid(), 0}
        states = [path.stat() for path in (folder, *folder.iterdir())]
        return self._was_open or any(
            state.st_uid not in trusted or state.st_mode & _OTHERS_WRITE for state in states
        )

    def _put_aside(self, folder: Path) -> None:
        """Remove a network from the cache atomically, so that no process reads part of it."""
        with (
            suppress(OSError),
            tempfile.TemporaryDirectory(prefix=".damaged-", dir=self._folder) as elsewhere,
        ):
            folder.replace(Path(elsewhere) / "model")


def _checksums(name: str, files: dict[str, bytes]) -> dict[str, object]:
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in sorted(files.items())}
    return {"network": name, "files": sums}
