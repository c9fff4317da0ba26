"""The app through MONAI Label's own loader and client, as 3D Slicer drives it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from scipy.ndimage import binary_erosion

from cardiolabel.active_learning.selection import STRATEGIES
from cardiolabel.domain import CAMUS_LABELS
from cardiolabel.experiments.servers import MONAI_LABEL
from cardiolabel.io import nifti

from .conftest import APP, Server, make_studies, needs_weights, running, start_server_command, true_masks

# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

STILL, CINE = "phantom01_4CH_ED", "phantom02_4CH_cine"
BROKEN = {
    "broken_text": "unreadable_image",
    "broken_empty": "unreadable_image",
    "broken_cut": "unreadable_image",
    "broken_nan": "unusable_image",
    "broken_axes": "unusable_image",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    studies = make_studies(tmp_path_factory.mktemp("server") / "studies")
    write_broken(studies)
    with running(start_server_command(APP, studies, module=MONAI_LABEL), studies) as server:
        yield server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="test")


def write_broken(studies: Path) -> None:
    (studies / "broken_text.nii.gz").write_text("not an image")
    (studies / "broken_empty.nii.gz").touch()
    whole = (studies / f"{STILL}.nii.gz").read_bytes()
    (studies / "broken_cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    pixels = np.ones((32, 40), dtype=np.float32)
    pixels[3, 4] = np.nan
    nib.save(nib.Nifti1Image(pixels, np.eye(4)), studies / "broken_nan.nii.gz")
    nib.save(
        nib.Nifti1Image(np.ones((8, 8, 3, 2), dtype=np.uint8), np.eye(4)), studies / "broken_axes.nii.gz"
    )


def ef_values(answer: Any) -> list[float]:
    """Every EF within an answer, in its order."""
    if isinstance(answer, dict):
        own = [answer["ef_pct"]] if isinstance(answer.get("ef_pct"), (int, float)) else []
        return own + [ef for value in answer.values() for ef in ef_values(value)]
    return [ef for value in answer for ef in ef_values(value)] if isinstance(answer, list) else []


def save(
    client: MONAILabelClient, server: Server, image_id: str, masks: np.ndarray, folder: Path
) -> dict[str, Any]:
    path = folder / f"{image_id}.nii.gz"
    grid = nifti.read(server.studies / f"{image_id}.nii.gz").grid
    nifti.write_mask_like(masks, path, grid=grid)
    return client.save_label(image_id, str(path), tag="final")


def refusal(response: Any, status: int, code: str) -> str:
    """Check the one shape of a failure and return its message."""
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["message"]
    return str(body["message"])


def test_info_tells_the_model_its_labels_and_the_strategies(client: MONAILabelClient) -> None:
    info = client.info()
    assert info["models"]["camus"]["labels"] == CAMUS_LABELS.as_dict()
    assert info["labels"] == list(CAMUS_LABELS.as_dict())
    assert info["strategies"].keys() == {"first", *STRATEGIES}
    assert next(iter(info["strategies"])) == "stratified"  # what clients offer unless told otherwise


def test_next_samples_go_patient_by_patient_and_come_again_only_at_the_end(tmp_path: Path) -> None:
    studies = make_studies(tmp_path / "studies")
    with running(start_server_command(APP, studies), studies) as server:
        client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="alice")
        images = json.loads(server.get("/datastore/?output=all").text)["objects"]
        served = [client.next_sample("first", {})["id"] for _ in range(len(images) + 1)]
        patients = [image_id.split("_")[0] for image_id in served[:-1]]
        assert sorted(served[:-1]) == sorted(images)
        assert patients == sorted(patients)
        assert served[-1] == served[0]

        save(client, server, served[0], true_masks(studies, served[0]), tmp_path)
        again = [client.next_sample("random", {"seed": 7})["id"] for _ in range(len(images) - 1)]
        assert sorted(again) == sorted(set(images) - {served[0]})


@needs_weights
def test_slicer_gets_an_nrrd_with_the_images_geometry(server: Server, client: MONAILabelClient) -> None:
    file, params = client.infer("camus", CINE, {"result_extension": ".nrrd"})
    mask = sitk.ReadImage(file)
    downloaded = Path(file).with_name("image.nii.gz")
    downloaded.write_bytes(server.get("/datastore/image", params={"image": CINE}).content)
    image = sitk.ReadImage(str(downloaded))
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert mask.GetSize() == image.GetSize()
    assert mask.GetOrigin() == pytest.approx(image.GetOrigin())
    assert mask.GetSpacing() == pytest.approx(image.GetSpacing())
    assert mask.GetDirection() == pytest.approx(image.GetDirection())
    assert list(params["label_names"]) == [name for name, _ in CAMUS_LABELS.values]
    assert params["latencies"]["total"] >= 0


@needs_weights
def test_a_client_on_the_servers_machine_keeps_its_result(server: Server) -> None:
    file, _ = MONAILabelClient(server.url).infer("camus", STILL, {"result_extension": ".nrrd"})
    server.get("/info/")
    time.sleep(0.3)  # the server removes its own file after it has answered
    assert Path(file).is_file()
    Path(file).unlink()


@needs_weights
def test_a_cine_of_slanted_pixels_is_refused(server: Server) -> None:
    source = nib.load(server.studies / f"{CINE}.nii.gz")
    sheared = source.affine.copy()
    sheared[0, 1] = 0.2
    nib.save(nib.Nifti1Image(np.asarray(source.dataobj), sheared), server.studies / "sheared_4CH_cine.nii.gz")
    message = refusal(server.post("/infer/camus?image=sheared_4CH_cine"), 422, "unusable_image")
    assert "resample" in message
    (server.studies / "sheared_4CH_cine.nii.gz").unlink()


@needs_weights
def test_a_still_is_three_dimensional_for_slicer(server: Server, client: MONAILabelClient) -> None:
    file, _ = client.infer("camus", STILL, {"result_extension": ".nrrd"})
    image = sitk.ReadImage(str(server.studies / f"{STILL}.nii.gz"))
    mask = sitk.ReadImage(file)
    assert mask.GetSize() == (*image.GetSize()[:2], 1)
    assert mask.GetSpacing()[:2] == pytest.approx(image.GetSpacing()[:2])


@needs_weights
@pytest.mark.parametrize("image_id", [STILL, CINE])
def test_a_nifti_mask_has_the_images_shape_and_affine_and_the_result_its_contract(
    server: Server, client: MONAILabelClient, image_id: str
) -> None:
    file, params = client.infer("camus", image_id, {})
    assert file.endswith(".nii.gz")
    image, mask = nib.load(server.studies / f"{image_id}.nii.gz"), nib.load(file)
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-6)
    assert mask.get_data_dtype() == np.uint8
    truth = true_masks(server.studies, image_id) == 1
    result = nifti.read_mask(Path(file)) == 1
    assert 2 * (truth & result).sum() / (truth.sum() + result.sum()) > 0.5
    assert params.keys() >= {"schema", "frames", "patient", "model", "quality"}
    assert len(params["frames"]) == len(truth)
    assert params["model"]["name"] == "camus"
    json.dumps(params, allow_nan=False)


@needs_weights
# The client opens the files of a session and leaves them to the garbage collector as well.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning")
def test_an_upload_and_a_session_are_measured_alone(server: Server, client: MONAILabelClient) -> None:
    source = str(server.studies / f"{STILL}.nii.gz")
    session = client.create_session(source)["session_id"]
    for options in ({"file": source}, {"session_id": session}):
        file, params = client.infer("camus", "", {}, **options)
        assert nib.load(file).shape == nib.load(source).shape
        assert len(params["frames"]) == 1


@needs_weights
def test_a_batch_goes_on_after_a_broken_image(server: Server) -> None:
    images = ["broken_text", STILL]
    response = server.post(
        "/batch/infer/camus?run_sync=true", json={"images": images, "label_tag": "original"}
    )
    assert response.status_code == 200
    result = response.json()
    assert result["broken_text"]["label"] is None and "gzip" in result["broken_text"]["params"]["reason"]
    assert result[STILL]["label"] == STILL and result[STILL]["params"]["model"]["name"] == "camus"
    stored = server.studies / "labels" / "original" / f"{STILL}.nii.gz"
    image = nib.load(server.studies / f"{STILL}.nii.gz")
    assert nib.load(stored).shape == image.shape and np.any(nib.load(stored).dataobj)


@needs_weights
def test_a_batch_in_the_background_tells_how_far_it_is(server: Server) -> None:
    images = ["phantom01_2CH_ED", "phantom01_4CH_ES", "broken_text"]
    assert server.post("/batch/infer/echonet", json={"images": images}).status_code == 200
    deadline = time.monotonic() + 120
    while (task := server.get("/batch/infer").json())["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert task["status"] == "DONE"
    assert task["progress"] == {"done": 3, "total": 3}
    mask = nib.load(server.studies / "labels" / "original" / f"{images[0]}.nii.gz")
    assert np.unique(mask.dataobj).tolist() == [0, 1]


def test_a_corrected_mask_changes_the_patients_ef(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    images = [f"phantom01_{view}_{phase}" for view in ("4CH", "2CH") for phase in ("ED", "ES")]
    for image_id in images:
        saved = save(client, server, image_id, true_masks(server.studies, image_id), tmp_path)
    before = ef_values(server.get("/cardiac/patients/phantom01").json())
    assert before
    assert ef_values(saved["measurement"]) == before

    masks = true_masks(server.studies, images[-1])
    smaller = binary_erosion(masks == 1, np.ones((1, 9, 9)))
    masks[(masks == 1) & ~smaller] = 2
    answer = save(client, server, images[-1], masks, tmp_path)
    after = ef_values(server.get("/cardiac/patients/phantom01").json())
    assert after[0] > before[0] + 1
    assert ef_values(answer["measurement"]) == after
    assert answer["measurement"]["frames"]
    assert all("contour" not in frame for frame in answer["measurement"]["frames"])
    stored = server.get("/datastore/label/info", params={"label": images[-1], "tag": "final"}).json()
    assert ef_values(stored["measurement"]) == after


def test_a_label_drawn_in_slicer_as_nrrd_is_stored_as_the_images_nifti(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    image_id = "phantom02_2CH_ED"
    masks = true_masks(server.studies, image_id)
    path = tmp_path / "label.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(masks), str(path))
    client.save_label(image_id, str(path), tag="final")
    stored = server.studies / "labels" / "final" / f"{image_id}.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(stored), masks)
    assert nib.load(stored).shape == nib.load(server.studies / f"{image_id}.nii.gz").shape


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
def test_a_label_written_in_the_other_direction_is_turned(
    server: Server, client: MONAILabelClient, tmp_path: Path, extension: str
) -> None:
    image_id = "phantom02_2CH_ES"
    masks = true_masks(server.studies, image_id)
    affine = nib.load(server.studies / f"{image_id}.nii.gz").affine
    turned = affine @ np.diag([-1.0, -1.0, 1.0, 1.0])
    turned[:3, 3] = (affine @ [masks.shape[2] - 1, masks.shape[1] - 1, 0, 1])[:3]
    path = tmp_path / f"label{extension}"
    nib.save(nib.Nifti1Image(masks[:, ::-1, ::-1].transpose(2, 1, 0), turned), tmp_path / "label.nii.gz")
    if extension == ".nrrd":
        sitk.WriteImage(sitk.ReadImage(str(tmp_path / "label.nii.gz")), str(path))
    client.save_label(image_id, str(path), tag="final")
    stored = server.studies / "labels" / "final" / f"{image_id}.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(stored), masks)


@pytest.mark.parametrize("kind", ["text", "empty", "grey values", "another image's"])
def test_what_is_no_mask_of_the_image_is_not_stored(server: Server, tmp_path: Path, kind: str) -> None:
    image_id = "phantom02_4CH_ES"
    path = tmp_path / "label.nii.gz"
    if kind in {"text", "empty"}:
        path.write_text("no mask" if kind == "text" else "")
    else:
        source = {"grey values": f"{image_id}.nii.gz", "another image's": f"truth/{CINE}.nii.gz"}[kind]
        path.write_bytes((server.studies / source).read_bytes())
    with path.open("rb") as label:
        response = server.put(
            "/datastore/label", params={"image": image_id}, files={"label": ("x.nii.gz", label)}
        )
    code = "unreadable_image" if kind in {"text", "empty"} else "unusable_image"
    refusal(response, 422, code)
    assert not (server.studies / "labels" / "final" / f"{image_id}.nii.gz").exists()


def test_patients_are_listed_and_drawn(server: Server) -> None:
    listed = server.get("/cardiac/patients")
    assert listed.status_code == 200
    assert {row["patient"] for row in listed.json()} >= {"phantom01", "phantom02"}
    figure = server.get("/cardiac/patients/phantom01/figure.png")
    assert (figure.status_code, figure.headers["content-type"]) == (200, "image/png")
    assert figure.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("path", ["/cardiac/patients/nobody", "/cardiac/patients/nobody/figure.png"])
def test_an_unknown_patient(server: Server, path: str) -> None:
    assert "nobody" in refusal(server.get(path), 404, "unknown_patient")


@needs_weights
@pytest.mark.parametrize(("image_id", "code"), BROKEN.items())
def test_a_broken_image_is_refused_by_name(server: Server, image_id: str, code: str) -> None:
    message = refusal(server.post("/infer/camus", params={"image": image_id}), 422, code)
    assert image_id in message


@needs_weights
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.txt", "scan"])
def test_an_upload_that_is_no_image(server: Server, name: str) -> None:
    refusal(server.post("/infer/camus", files={"file": (name, b"no image")}), 422, "unreadable_image")


def test_an_unknown_image(server: Server) -> None:
    assert "'nothing'" in refusal(server.post("/infer/camus?image=nothing"), 404, "unknown_image")


def test_an_unknown_image_of_a_label(server: Server) -> None:
    with (server.studies / "truth" / f"{STILL}.nii.gz").open("rb") as label:
        response = server.put("/datastore/label?image=nothing", files={"label": ("x.nii.gz", label)})
    refusal(response, 404, "unknown_image")


@pytest.mark.parametrize("path", ["/infer/nothing?image=x", "/train/nothing", "/batch/infer/nothing"])
def test_an_unknown_model(server: Server, path: str) -> None:
    refusal(server.post(path), 404, "unknown_model")


def test_an_unknown_strategy_names_those_that_exist(server: Server) -> None:
    assert "random, first" in refusal(server.post("/activelearning/nothing"), 404, "unknown_strategy")


@pytest.mark.parametrize("params", ["{", "[1]", "nothing", "3"])
def test_params_that_are_no_json_object(server: Server, params: str) -> None:
    response = server.post("/infer/camus", params={"image": STILL}, data={"params": params})
    refusal(response, 422, "bad_params")


def test_label_params_that_are_no_json(server: Server) -> None:
    with (server.studies / "truth" / f"{STILL}.nii.gz").open("rb") as label:
        files = {"label": ("x.nii.gz", label)}
        response = server.put("/datastore/label", params={"image": STILL}, files=files, data={"params": "{"})
    refusal(response, 422, "bad_params")


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "..", "a\\b", "labels/final/x"])
def test_names_that_are_paths(server: Server, name: str) -> None:
    refusal(server.post("/infer/camus", params={"image": name}), 400, "bad_name")
    files = {"label": ("x.nii.gz", b"")}
    refusal(
        server.put("/datastore/label", params={"image": STILL, "tag": name}, files=files), 400, "bad_name"
    )
    refusal(
        server.put("/datastore/image", params={"image": name}, files={"file": ("x", b"")}), 400, "bad_name"
    )


def test_params_cannot_replace_the_image_by_a_path(server: Server) -> None:
    path = str(server.studies / f"{STILL}.nii.gz")
    response = server.post("/infer/camus?image=nothing", data={"params": json.dumps({"image": path})})
    refusal(response, 400, "bad_name")
    body = {"image": path, "params": {"image": path}}
    refusal(server.post("/infer/wsi/camus", params={"image": STILL}, json=body), 400, "bad_name")


def test_an_inference_request_without_an_image(server: Server) -> None:
    refusal(server.post("/infer/camus"), 422, "no_image")
    refusal(server.post("/infer/camus?session_id=nothing"), 404, "unknown_session")


@needs_weights
def test_a_result_format_that_is_not_written(server: Server) -> None:
    response = server.post(f"/infer/camus?image={STILL}", data={"params": '{"result_extension": ".exe"}'})
    assert ".nrrd" in refusal(response, 422, "unsupported_extension")


def test_pages_of_other_origins_are_kept_out(server: Server) -> None:
    foreign = {"Origin": "http://example.org"}
    refusal(server.post(f"/infer/camus?image={STILL}", headers=foreign), 403, "foreign_origin")
    assert "access-control-allow-origin" not in server.get("/info/", headers=foreign).headers
    assert server.post("/activelearning/first", headers={"Origin": server.url}).status_code == 200
