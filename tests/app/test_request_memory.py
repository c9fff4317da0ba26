"""A server's memory is bounded whatever is uploaded, by one client or by many at once."""

from __future__ import annotations

import gzip
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from .conftest import APP, Server, make_studies, needs_weights, running, start_server_command

pytestmark = needs_weights

LIMIT_MB = 400
SLACK_MB = 350
"""What libraries and the allocator keep, and small requests beside the large ones."""

LARGE = {
    "as many frames as a header can state": (1, 1, 32767),
    "frames, on the fourth axis": (1, 1, 1, 20000),
    "a stack of 30 000 slices": (8, 8, 30000),
    "one giant frame": (12000, 12000),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("memory") / "studies")
    (studies / "large_4CH_cine.nii.gz").write_bytes(content(LARGE["as many frames as a header can state"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_MAX_REQUEST_MB", str(LIMIT_MB))
        with running(start_server_command(APP, studies), studies) as ready:
            yield ready


def content(shape: tuple[int, ...]) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["pixdim"][1:4] = 0.3
    stream = zlib.compressobj(1, wbits=31)
    pieces = [stream.compress(header.binaryblock + bytes(4))]
    left = math.prod(shape)
    while left > 0:
        pieces.append(stream.compress(bytes(min(left, 2**22))))
        left -= 2**22
    return b"".join([*pieces, stream.flush()])


def memory_mb(server: Server, what: str = "VmRSS") -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) // 1024


@pytest.mark.parametrize("shape", LARGE.values(), ids=LARGE)
def test_an_upload_that_would_take_too_much_is_answered_413(server: Server, shape: tuple[int, ...]) -> None:
    before = memory_mb(server)
    name = "large_4CH_ED.nii.gz"
    for answer in (
        server.post("/infer/camus", files={"file": (name, content(shape))}),
        server.put("/datastore/image", files={"file": (name, content(shape))}),
        server.put("/session/", files={"files": (name, content(shape))}),
    ):
        assert answer.status_code == 413, answer.text
        assert answer.json()["code"] == "too_large" and f"at most {LIMIT_MB} MB" in answer.json()["message"]
    assert memory_mb(server, "VmHWM") - before < SLACK_MB


def test_an_image_of_the_folder_that_is_too_large_harms_nothing_else(server: Server) -> None:
    image = "large_4CH_cine"
    assert server.post("/infer/camus", params={"image": image}).status_code == 413
    label = {"label": ("m.nii.gz", content((1, 1, 32767)))}
    assert server.put("/datastore/label", params={"image": image}, files=label).status_code == 413
    patient = server.get("/cardiac/patients/large").json()
    assert "memory" in patient["frames"][0]["reason"]
    for path in ("/cardiac/patients", "/cardiac/worklist", "/cardiac/patients/large/figure.png"):
        assert server.get(path).status_code == 200
    assert server.get("/datastore/image", params={"image": image}).status_code == 200


@pytest.mark.long
def test_many_at_once_share_one_budget(server: Server) -> None:
    """Each of them takes most of the limit, all together several times as much."""
    cine = content((1400, 1100, 24))

    def ask(number: int) -> tuple[int, str | None]:
        answer = server.post("/infer/camus", files={"file": (f"p{number}_4CH_cine.nii.gz", cine)})
        return answer.status_code, answer.headers.get("Retry-After")

    before = memory_mb(server)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))
    counted = Counter(status for status, _ in answers)
    assert set(counted) <= {200, 503} and counted[200] >= 1
    assert all(retry is not None for status, retry in answers if status == 503)
    assert memory_mb(server, "VmHWM") - before < LIMIT_MB + SLACK_MB


def test_a_bomb_of_a_mask_is_refused_by_its_header(server: Server) -> None:
    before = memory_mb(server, "VmHWM")
    image = next(server.studies.glob("*_4CH_ED.nii.gz")).name.removesuffix(".nii.gz")
    header = (
        b"NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 30000 30000 1\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nencoding: gzip\n"
        b"space origin: (0,0,0)\n\n"
    )
    label = {"label": ("m.nrrd", header + gzip.compress(bytes(2**22)) + bytes(900_000))}
    answer = server.put("/datastore/label", params={"image": image}, files=label)
    assert answer.status_code == 422 and "does not fit its image" in answer.text
    assert memory_mb(server, "VmHWM") - before < 50
