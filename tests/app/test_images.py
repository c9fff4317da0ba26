"""Images of a folder that two servers share: added once, replaced by name only, removed with a note."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient

from .conftest import APP, Server, make_studies, running, start_server_command, true_masks, write_still

pytestmark = [
    # MONAI Label's client leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

STILL = "phantom01_4CH_ED"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    studies = make_studies(tmp_path_factory.mktemp("images") / "studies")
    command = start_server_command(APP, studies)
    with running(command, studies) as first, running(command, studies) as second:
        yield [first, second]


@pytest.fixture
def server(servers: list[Server]) -> Server:
    return servers[0]


def picture(folder: Path, seed: int, *, size: int = 64) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8)
    return write_still(folder / f"{seed}-{size}.nii.gz", pixels).read_bytes()


def add(
    server: Server, name: str, content: bytes, *, match: str = "", suffix: str = ".nii.gz"
) -> requests.Response:
    params = {"image": name, **({"replace": "true"} if match else {})}
    headers = {"If-Match": f'"{match}"'} if match else {}
    return server.put(
        "/datastore/image", params=params, files={"file": (f"x{suffix}", content)}, headers=headers
    )


def stored(server: Server, name: str) -> bytes:
    answer = server.get("/datastore/image", params={"image": name, "stored": "true"})
    assert answer.headers["etag"] == f'"SHA256:{hashlib.sha256(answer.content).hexdigest()}"'
    return answer.content


def test_of_many_uploads_under_one_new_name_one_succeeds(servers: list[Server], tmp_path: Path) -> None:
    contents = [picture(tmp_path, seed) for seed in range(16)]

    def upload(number: int) -> requests.Response:
        name = ("many_4CH_ED", "MANY_4ch_ed")[number // 2 % 2]
        return add(servers[number % 2], name, contents[number])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(upload, range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + 15 * [409]
    (number,) = (number for number, answer in enumerate(answers) if answer.ok)
    image_id = answers[number].json()["image"]
    for answer in answers:
        if not answer.ok:
            assert (answer.json()["code"], answer.json()["image"]) == ("conflict", image_id)
            assert image_id in answer.json()["message"] and str(tmp_path) not in answer.text
    for server in servers:
        assert stored(server, image_id) == contents[number]


def test_many_uploads_of_the_same_file_are_one_image(servers: list[Server], tmp_path: Path) -> None:
    content = picture(tmp_path, 100)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: add(servers[number % 2], "same_4CH_ED", content), range(8)))
    assert [answer.json() for answer in answers] == 8 * [{"image": "same_4CH_ED"}]


def test_a_file_of_another_image_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    before = stored(server, STILL)
    manifest = server.studies / "manifest.csv"
    rows = manifest.read_text()
    try:
        (server.studies / f"{STILL}.nii.gz").rename(server.studies / "scan7.nii.gz")
        manifest.write_text(rows.replace(f",{STILL}.nii.gz", ",scan7.nii.gz"))
        assert stored(server, STILL) == before
        for name, suffix in (("scan7", ".nii.gz"), ("Scan7", ".nii.gz"), (STILL.upper(), ".nii.gz")):
            answer = add(server, name, picture(tmp_path, 1), suffix=suffix)
            assert (answer.status_code, answer.json()["image"]) == (409, STILL)
        assert stored(server, STILL) == before
    finally:
        (server.studies / "scan7.nii.gz").rename(server.studies / f"{STILL}.nii.gz")
        manifest.write_text(rows)


def test_an_image_is_replaced_by_name_with_its_checksum_only(server: Server, tmp_path: Path) -> None:
    old, new = picture(tmp_path, 200), picture(tmp_path, 201)
    assert add(server, "swap_4CH_ED", old).ok
    checksum = f"SHA256:{hashlib.sha256(old).hexdigest()}"
    assert add(server, "swap_4CH_ED", new).status_code == 409
    for match, status, code in (
        ("7", 428, "checksum_needed"),
        ("MD5:" + 32 * "0", 428, "checksum_needed"),
        ("SHA256:" + 64 * "0", 409, "conflict"),
    ):
        answer = add(server, "swap_4CH_ED", new, match=match)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert add(server, "nothing", new, match=checksum).status_code == 404
    larger = add(server, "swap_4CH_ED", picture(tmp_path, 202, size=65), match=checksum)
    assert (larger.status_code, larger.json()["code"]) == (422, "unusable_image")
    assert stored(server, "swap_4CH_ED") == old
    with ThreadPoolExecutor(8) as pool:
        sent = [picture(tmp_path, seed) for seed in range(210, 218)]
        answers = list(pool.map(lambda each: add(server, "swap_4CH_ED", each, match=checksum), sent))
    assert sorted(answer.status_code for answer in answers) == [200] + 7 * [409]
    (number,) = (number for number, answer in enumerate(answers) if answer.ok)
    assert answers[number].json() == {
        "image": "swap_4CH_ED",
        "version": 1,
        "checksum": f"SHA256:{hashlib.sha256(sent[number]).hexdigest()}",
    }
    assert stored(server, "swap_4CH_ED") == sent[number]
    remaining = server.studies / ".cardiolabel" / "images" / "swap_4CH_ED" / "1.nii.gz"
    assert remaining.read_bytes() == old


def test_an_id_of_a_removed_image_with_labels_is_for_the_same_file_only(
    servers: list[Server], tmp_path: Path
) -> None:
    server, image_id = servers[0], "phantom02_2CH_ES"
    content = stored(server, image_id)
    label = server.studies / "truth" / f"{image_id}.nii.gz"
    files = {"label": ("x.nii.gz", label.read_bytes())}
    assert server.put("/datastore/label", params={"image": image_id}, files=files).ok
    removed = server.request("DELETE", "/datastore/image", params={"id": image_id})
    assert removed.json() == {
        "image": image_id,
        "kept": ["versions of its labels", "checksum of its file"],
    }
    for each in servers:
        answer = add(each, image_id, picture(tmp_path, 300))
        assert (answer.status_code, answer.json()["image"]) == (409, image_id)
    assert add(server, image_id, content).json() == {"image": image_id}
    assert server.post(f"/cardiac/labels/{image_id}/rollback?version=1").ok
    path = tmp_path / "label.nii.gz"
    path.write_bytes(server.get("/datastore/label", params={"label": image_id, "tag": "final"}).content)
    assert true_masks(server.studies, image_id).any() and path.stat().st_size


def test_monai_label_s_client_adds_images(server: Server, tmp_path: Path) -> None:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    picture(tmp_path, 400)
    path = tmp_path / "400-64.nii.gz"
    assert client.upload_image(str(path), "client_4CH_ED")["image"] == "client_4CH_ED"
    assert client.upload_image(str(path), "client_4CH_ED")["image"] == "client_4CH_ED"
    assert "client_4CH_ED" in json.dumps(client.datastore())
