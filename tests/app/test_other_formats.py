"""Uploads of ultrasound DICOM, videos and pictures: converted, kept, predicted."""

from __future__ import annotations

import gzip
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monailabel.client import MONAILabelClient
from PIL import Image
from pydicom import dcmread

from cardiolabel.datasets.phantom import SampleFormat, make_study, write_sample
from cardiolabel.domain import Clip, Phase, Record, Spacing, View
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.system.user_folders import STATE_VARIABLE

from .conftest import APP, Server, make_studies, running, start_server_command

pytestmark = [
    # MONAI Label's client leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("formats") / "studies")
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def nifti_bytes(image: nib.Nifti1Image) -> bytes:
    return gzip.compress(image.to_bytes())


@pytest.fixture(scope="module")
def still() -> Clip:
    study = make_study("q1", seed=3, shape=(256, 320), spacing=Spacing(0.58, 0.58), cine=False)
    return next(image.clip for image in study.images if (image.view, image.phase) == (View.A4C, Phase.ED))


@pytest.fixture
def dicom(still: Clip, tmp_path: Path) -> Path:
    path = tmp_path / "q1_4CH_ED.dcm"
    write_ultrasound(still, path, Identity("q1"), view=View.A4C)
    return path


def test_the_stock_client_adds_a_dicom_file_and_predicts_it(
    server: Server, dicom: Path, still: Clip, tmp_path: Path
) -> None:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    assert client.upload_image(str(dicom), "q1_4CH_ED")["image"] == "q1_4CH_ED"
    mask_file, result = client.infer("camus", "q1_4CH_ED", {})
    mask = nib.load(mask_file)
    stored = nib.load(StudiesLayout(server.studies).image("q1_4CH_ED"))
    np.testing.assert_allclose(mask.affine, stored.affine, atol=1e-4)
    assert mask.shape[:2] == stored.shape[:2] == (320, 256)
    assert result["frames"][0]["lv_area_mm2"] > 500
    (original,) = (StudiesLayout(server.studies).removed_images / "q1_4CH_ED").glob("original.*")
    assert original.read_bytes() == dicom.read_bytes()


def test_the_view_and_rate_of_an_upload_come_from_its_tags(
    server: Server, still: Clip, tmp_path: Path
) -> None:
    path = tmp_path / "IM0001"
    cine = Clip(np.repeat(still.pixels, 4, axis=0), still.spacing, 40.0)
    write_ultrasound(cine, path, Identity("q7"), view=View.A2C)
    content = path.read_bytes()
    answer = server.put("/datastore/image", params={"image": "q7"}, files={"file": ("IM0001", content)})
    assert answer.status_code == 200, answer.text
    (row,) = (row for row in manifest.read(server.studies) if row.image_id == "q7")
    assert (row.view, row.frame_rate_hz) == (View.A2C, 40.0)
    other = tmp_path / "other.dcm"
    write_ultrasound(cine, other, Identity("q8"), view=View.UNKNOWN)
    dataset = dcmread(other)
    dataset.SeriesDescription = "PLAX"
    dataset.save_as(other)
    answer = server.put("/datastore/image", files={"file": (other.name, other.read_bytes())})
    assert answer.status_code == 422 and "another view" in answer.text


def test_a_session_takes_a_picture(server: Server, still: Clip, tmp_path: Path) -> None:
    path = tmp_path / "q2_4CH_ED.png"
    Image.fromarray(still.pixels[0]).save(path)
    answer = server.put("/session/", files={"files": (path.name, path.read_bytes())})
    assert answer.status_code == 200, answer.text
    assert answer.json()["session_info"]["image"] == "q2_4CH_ED.nii.gz"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.dcm", b"\0" * 128 + b"DICM" + b"\xff" * 200, "holds no image"),
        ("a.dcm", b"", "a.dcm"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "picture"),
        ("a.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 100, "video"),
        ("noname", b"\0" * 128 + b"DICM", "noname: holds no image"),
    ],
)
def test_damaged_files_are_answered_with_the_reason(
    server: Server, name: str, content: bytes, reason: str
) -> None:
    for route, field in (("/datastore/image?image=z1", "file"), ("/session/", "files")):
        answer = server.put(route, files={field: (name, content)})
        assert answer.status_code == 422 and reason in answer.text, answer.text
        assert str(server.studies.parent) not in answer.text


def test_removing_an_image_removes_its_original(server: Server, dicom: Path) -> None:
    server.put(
        "/datastore/image", params={"image": "q9_4CH_ED"}, files={"file": (dicom.name, dicom.read_bytes())}
    )
    home = StudiesLayout(server.studies).removed_images / "q9_4CH_ED"
    assert [*home.glob("original.*")]
    assert server.request("DELETE", "/datastore/image", params={"id": "q9_4CH_ED"}).status_code == 200
    assert not [*home.glob("original.*")]


def test_a_folder_of_dicom_files_is_served(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = tmp_path_factory.mktemp("export") / "studies"
    write_sample(studies, patients=1, seed=4, kind=SampleFormat.DICOM)
    shutil.rmtree(studies / "DICOM" / "phantom01" / "SAX")  # its phases take long to compare
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with running(start_server_command(APP, studies), studies) as server:
        client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
        image = client.next_sample("first", {})["id"]
        mask_file, result = client.infer("camus", image, {})
        assert nib.load(mask_file).shape[:2] == (320, 256)
        (patient,) = {row["patient"] for row in result["patient"]}
        assert patient.startswith("p") and "phantom" not in patient
        client.save_label(image, mask_file, "final", {"label_info": []})
        assert server.get(f"/cardiac/patients/{patient}").status_code == 200
        assert len([*studies.glob("*.nii.gz")]) == 2
        assert "phantom01" not in server.log.read_text(errors="replace")


def test_the_view_of_an_upload_that_names_none_is_recognised_or_asked(server: Server, still: Clip) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 320), dtype=np.uint8)
    for name, pixels in (("still9", still.pixels[0]), ("noise9", noise)):
        image = nib.Nifti1Image(pixels.T, np.diag([0.58, 0.58, 1, 1]))
        answer = server.put("/datastore/image", files={"file": (f"{name}.nii.gz", nifti_bytes(image))})
        assert answer.status_code == 200, answer.text
    views = {row.image_id: row.view for row in manifest.read(server.studies)}
    assert views["still9"] is View.A4C and "noise9" not in views
    notes = [
        server.get("/datastore/image/info", params={"image": name}).json()["view_note"]
        for name in ("still9", "noise9")
    ]
    assert notes[0].startswith("recognised as A4C") and "say" in notes[1]


@pytest.mark.long
def test_files_that_come_while_the_server_runs_are_taken_in(
    tmp_path_factory: pytest.TempPathFactory, still: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = make_studies(tmp_path_factory.mktemp("late") / "studies")
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with running(start_server_command(APP, studies), studies) as server:
        write_ultrasound(still, studies / "IM0001", Identity("late"), view=View.UNKNOWN)
        late: list[Record] = []
        end_s = time.monotonic() + 60
        while not late and time.monotonic() < end_s:
            time.sleep(1)
            late = [row for row in manifest.read(studies) if (row.dataset, row.view) == ("dicom", View.A4C)]
        assert late and server.get(f"/cardiac/patients/{late[0].patient}").status_code == 200
