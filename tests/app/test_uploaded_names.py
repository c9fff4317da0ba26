"""Names of uploaded files, and a folder that stock MONAI Label kept: whose images and labels are."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray

from cardiolabel.records.file_names import id_from_name

from .conftest import APP, Server, running, start_server_command

pytestmark = [
    # MONAI Label's client leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

AFFINE = np.diag([-0.5, -0.5, 1.0, 1.0])
ED, ES = (90.0, 45.0), (75.0, 35.0)
"""Length and diameter of half ellipsoids, in mm."""

EF_PCT = 100 * (1 - ES[0] * ES[1] ** 2 / (ED[0] * ED[1] ** 2))


def half_ellipse(length_mm: float, diameter_mm: float) -> NDArray[np.uint8]:
    """A cavity, apex up, in pixels of 0.5 mm, (column, row)."""
    x, y = np.ogrid[:160, :240]
    inside = ((x - 79.5) * 0.5 / (diameter_mm / 2)) ** 2 + ((y - 210) * 0.5 / length_mm) ** 2 <= 1
    return (inside & (y <= 210)).astype(np.uint8)


def nifti_bytes(pixels: NDArray[np.uint8], name: str) -> bytes:
    content = nib.Nifti1Image(pixels, AFFINE).to_bytes()
    return gzip.compress(content) if name.lower().endswith(".gz") else content


def write_stock_folder(folder: Path) -> None:
    """Four images with labels, two of them NRRD and two of names with blanks."""
    objects = {}
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for patient, ext in (("Patient 1", ".nii.gz"), ("q1", ".nrrd")):
        for phase, size in (("ED", ED), ("ES", ES)):
            key, mask = f"{patient}_4CH_{phase}", half_ellipse(*size)
            (folder / f"{key}.nii.gz").write_bytes(nifti_bytes(mask * 60, ".nii.gz"))
            if ext == ".nrrd":
                image = sitk.GetImageFromArray(mask.T[np.newaxis])
                image.SetSpacing((0.5, 0.5, 1.0))
                sitk.WriteImage(image, str(labels / f"{key}{ext}"))
            else:
                (labels / f"{key}{ext}").write_bytes(nifti_bytes(mask, ext))
            label = {"ext": ext, "info": {"ts": 2, "client_id": "anna"}}
            objects[key] = {"image": {"ext": ".nii.gz", "info": {}}, "labels": {"final": label}}
    document = {"name": "x", "description": "", "images_dir": ".", "labels_dir": "labels", "objects": objects}
    (folder / "datastore_v2.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = tmp_path_factory.mktemp("stock")
    write_stock_folder(studies)
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def info(server: Server, image_id: str) -> dict[str, str]:
    result: dict[str, str] = server.get("/datastore/image/info", params={"image": image_id}).json()
    return result


def test_every_label_of_a_stock_folder_counts(server: Server) -> None:
    patients = {row["patient"]: row for row in server.get("/cardiac/patients").json()}
    for name in ("Patient 1", "q1"):
        assert patients[name]["final"] == 2
        assert patients[name]["ef"][0]["ef_pct"] == pytest.approx(EF_PCT, abs=1)
    image_id = id_from_name("Patient 1_4CH_ED")
    (version,) = server.get(f"/cardiac/labels/{image_id}/versions").json()
    assert (version["origin"], version["author"]) == ("imported", "anna")


@pytest.mark.parametrize(
    ("name", "image_id", "patient", "view", "phase"),
    [
        ("P7_4CH_ED.NII.GZ", "P7_4CH_ED", "P7", "A4C", "ED"),
        ("P8_2CH_ES.Nii", "P8_2CH_ES", "P8", "A2C", "ES"),
        ("Patient 2_4CH_ED.nii.gz", None, "Patient 2", "A4C", "ED"),
        ("田中_4CH_ED.nii.gz", None, "田中", "A4C", "ED"),
        ("佐藤_4CH_ED.NII", None, "佐藤", "A4C", "ED"),
        ("../masks/p9_4CH_ED.nii.gz", "p9_4CH_ED", "p9", "A4C", "ED"),
        ("C:\\dir\\p10_4CH_ED.nii.gz", "p10_4CH_ED", "p10", "A4C", "ED"),
        ("..\\..\\Müller_4CH_ED.nii.gz", None, "Müller", "A4C", "ED"),
    ],
)
def test_an_uploaded_image_is_what_its_name_says(
    server: Server, name: str, image_id: str | None, patient: str, view: str, phase: str
) -> None:
    content = nifti_bytes(half_ellipse(*ED) * 60, name)
    answer = server.put("/datastore/", files={"file": (name, content)})
    assert answer.status_code == 200, answer.text
    values = answer.json()["image"]
    assert values == (image_id or id_from_name(f"{patient}_4CH_ED"))
    result = info(server, values)
    assert (result["patient"], result["view"], result["phase"]) == (patient, view, phase)
    assert server.get("/datastore/image", params={"image": values}).content == content
    assert server.put("/datastore/", files={"file": (name, content)}).json() == {"image": values}
    other = nifti_bytes(half_ellipse(*ES) * 60, name)
    refused = server.put("/datastore/", files={"file": (name, other)})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_an_image_called_as_a_reference_mask_is_refused(server: Server) -> None:
    content = nifti_bytes(half_ellipse(*ED), "x_GT.nii.gz")
    answer = server.put("/datastore/", files={"file": ("x_GT.nii.gz", content)})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_name")


def test_a_label_sent_by_the_stock_client_under_a_relative_path(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = nifti_bytes(half_ellipse(*ED) * 60, ".nii.gz")
    server.put("/datastore/", files={"file": ("r1_4CH_ED.nii.gz", content)})
    (tmp_path / "masks").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "masks" / "x.nii.gz").write_bytes(nifti_bytes(half_ellipse(*ED), ".nii.gz"))
    monkeypatch.chdir(tmp_path / "work")
    client = MONAILabelClient(server.url)
    client.save_label("r1_4CH_ED", "../masks/x.nii.gz")
    assert len(server.get("/cardiac/labels/r1_4CH_ED/versions").json()) == 1
