"""Whatever a server makes is no more open to others than its umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from .conftest import APP, Server, make_studies, running, start_server_command, write_still

STILL, CINE = "phantom01_4CH_ED", "phantom02_4CH_cine"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def make_everything(server: Server, content: bytes) -> None:
    """Have the server make every kind of file that it keeps."""
    image = {"files": {"file": ("new.nii.gz", content)}}
    mask = {"files": {"label": ("x.nii.gz", (server.studies / "truth" / f"{STILL}.nii.gz").read_bytes())}}
    requests = [
        ("PUT", "/datastore/image?image=new", image),
        ("PUT", f"/datastore/label?image={STILL}", mask),
        ("POST", f"/cardiac/labels/{STILL}/rollback?version=1", {}),
        ("POST", f"/infer/camus?image={CINE}", {"data": {"params": '{"save_label": true}'}}),
        ("POST", "/infer/camus", image),
        ("POST", "/activelearning/first", {"json": {"client_id": "ada"}}),
        ("GET", f"/datastore/image?image={CINE}", {}),
        ("PUT", "/session/", {"files": {"files": ("x.nii.gz", content)}}),
        ("GET", "/cardiac/worklist", {}),
        ("DELETE", "/datastore/image?id=new", {}),
    ]
    for method, path, options in requests:
        assert server.request(method, path, **options).ok, (method, path)


@pytest.mark.long
@pytest.mark.parametrize("mask", [0o077, 0o027])
def test_no_file_or_folder_is_more_open_than_the_umask_says(tmp_path: Path, mask: int) -> None:
    content = write_still(tmp_path / "sent.nii.gz", np.zeros((40, 40), np.uint8)).read_bytes()
    home = tmp_path / "home"
    with umask(mask), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        home.mkdir()
        studies = make_studies(home / "studies")
        with running(start_server_command(APP, studies), studies) as server:
            make_everything(server, content)
            paths = [path for path in home.rglob("*") if not path.is_symlink()]
    modes = {
        str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode) for path in paths if path.exists()
    }
    open_to_others = {name: oct(mode) for name, mode in modes.items() if mode & mask}
    assert not open_to_others
    kinds = {Path(name).parts[:3] for name in modes}
    made = (
        "labels/final",
        "labels/original",
        ".cardiolabel/versions",
        ".cardiolabel/viewer",
        ".cardiolabel/audit",
        ".cardiolabel/images",
        ".cardiolabel/store.sqlite",
    )
    assert {("studies", *name.split("/")) for name in made} <= kinds
    if mask == 0o027:  # nor less, where nothing is secret
        assert modes["studies/labels/final"] == 0o750
        assert modes[f"studies/labels/final/{STILL}.nii.gz"] == 0o640
