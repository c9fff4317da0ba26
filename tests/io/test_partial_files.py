"""What a killed writer left is cleared; what a running one writes to stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from cardiolabel.io.files import atomic, remove_partial

OLD = time.time() - 3600

KILLED = """
import os, signal, sys
from pathlib import Path
from cardiolabel.io.files import atomic
with atomic(Path(sys.argv[1])) as draft:
    draft.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "x.nii.gz"], check=False)
    (left,) = tmp_path.iterdir()
    remove_partial(tmp_path, older_than_s=60)
    assert left.exists()
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_stays_however_old(tmp_path: Path) -> None:
    with atomic(tmp_path / "x.nii.gz") as draft:
        draft.write_bytes(b"half")
        os.utime(draft, (OLD, OLD))
        remove_partial(tmp_path)
        draft.write_bytes(b"whole")
    assert (tmp_path / "x.nii.gz").read_bytes() == b"whole" and len(list(tmp_path.iterdir())) == 1


def test_folders_and_names_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".partial-folder").mkdir()
    (tmp_path / "x.partial-1").touch()
    remove_partial(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
