"""Several models at one server: short-axis stacks beside echo, each model read when it is asked for."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS
from cardiolabel.io import nifti
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.versions import Versions
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout

from ..inference.models import save_tiny_model
from ..short_axis import CAVITY, RADII_MM, STACKS, WALL, rings, save_ring_model, volume_ml, write_stacks
from .conftest import APP, WEIGHTS, Server, needs_weights, running, start_server_command

# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

STILL = "phantom01_4CH_ED"
SAX_LABELS = {"myocardium": WALL, "lv_cavity": CAVITY}
NAMES = ["camus", "echonet", "sunnybrook", "acdc", "landmarks"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Echo stills and stacks, the shipped or a tiny camus, a sunnybrook of rings, and no landmarks."""
    home = tmp_path_factory.mktemp("models")
    app, studies = home / "app", home / "studies"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("model", "logs", "__pycache__"))
    save_ring_model(app / "model")
    if WEIGHTS.exists():
        for suffix in (".safetensors", ".json"):
            shutil.copy(WEIGHTS.with_suffix(suffix), app / "model")
    else:
        save_tiny_model(app / "model", name="camus")
    write_sample(studies, patients=1, seed=1)
    echo = manifest.read(studies)
    manifest.write([*manifest.read(write_stacks(studies)), *echo], studies)
    with running(
        [*start_server_command(app, studies), "--conf", "models", ",".join(NAMES)], studies
    ) as server:
        yield server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="test")


def slice_summation(patient: dict[str, Any]) -> dict[str, Any]:
    (row,) = [row for row in patient["patient"] if row["method"] == "slice-summation"]
    return row


def refusal(response: Any, status: int, code: str) -> str:
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    return str(body["message"])


def save_as_slicer_does(client: MONAILabelClient, image_id: str, masks: np.ndarray, path: Path) -> Any:
    """Segments are numbered from 1 in Slicer's own order, which ``label_info`` tells."""
    order = ("lv_cavity", "left_atrium", "myocardium")
    numbered = np.zeros_like(masks)
    for number, name in enumerate(order, start=1):
        numbered[masks == SAX_LABELS.get(name, 255)] = number
    sitk.WriteImage(sitk.GetImageFromArray(numbered), str(path))
    info = [{"name": name, "idx": number} for number, name in enumerate(order, start=1)]
    return client.save_label(image_id, str(path), tag="final", params={"label_info": info})


def test_viewers_are_told_each_models_labels_and_views(client: MONAILabelClient) -> None:
    info = client.info()
    models = info["models"]
    assert list(models) == NAMES
    assert {name: model["labels"] for name, model in models.items()} == {
        "camus": CAMUS_LABELS.as_dict(),
        "echonet": {"lv_cavity": 1},
        "sunnybrook": SAX_LABELS,
        "acdc": SAX_LABELS,
        "landmarks": {"lv_cavity": 1},
    }
    assert models["sunnybrook"]["views"] == ["SAX"] and "A4C" in models["camus"]["views"]
    assert {model["type"] for model in models.values()} == {"segmentation"}
    assert info["labels"] == list(CAMUS_LABELS.as_dict())


def test_stacks_are_handed_out_predicted_corrected_and_measured(
    server: Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    assert client.next_sample("first", {})["id"] == STACKS[0]
    file, params = client.infer("sunnybrook", STACKS[0], {"result_extension": ".nrrd"})
    predicted = sitk.GetArrayFromImage(sitk.ReadImage(file))
    edv, esv = (volume_ml(rings(radius)) for radius in RADII_MM.values())
    row = slice_summation(params)
    assert row["edv_ml"] == pytest.approx(volume_ml(predicted), rel=1e-3)
    assert row["edv_ml"] == pytest.approx(edv, rel=0.1)
    assert row["ef_pct"] == pytest.approx(100 * (edv - esv) / edv, abs=5)
    assert params["model"]["name"] == "sunnybrook" and params["label_names"] == ACDC_LABELS.as_dict()
    assert len(params["frames"]) == len(predicted)

    drawn = rings(RADII_MM[next(iter(RADII_MM))] + 2)
    answer = save_as_slicer_does(client, STACKS[0], drawn, tmp_path / "label.nrrd")
    stored = server.studies / "labels" / "final" / f"{STACKS[0]}.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(stored), drawn)
    assert slice_summation(answer["measurement"])["edv_ml"] == pytest.approx(volume_ml(drawn), rel=1e-3)
    assert client.next_sample("first", {})["id"] == STACKS[1]
    patient = server.get("/cardiac/patients/s").json()
    assert patient["sources"] == {STACKS[0]: "final", STACKS[1]: "model"}
    assert slice_summation(patient)["ef_pct"] > row["ef_pct"]
    assert server.get("/cardiac/patients/s/figure.png").content.startswith(b"\x89PNG")
    (version,) = server.get(f"/cardiac/labels/{STACKS[0]}/versions").json()
    assert version["model"]["name"] == "sunnybrook"


def test_a_segment_that_is_no_structure_is_not_stored(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "label.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(rings(9.0)), str(path))
    params = json.dumps(
        {"label_info": [{"name": "lv_cavity", "idx": CAVITY}, {"name": "Segment_2", "idx": 2}]}
    )
    with path.open("rb") as label:
        response = server.put(
            "/datastore/label",
            params={"image": STACKS[1]},
            data={"params": params},
            files={"label": ("label.nrrd", label)},
        )
    assert "Segment_2" in refusal(response, 422, "unusable_image")
    assert not (server.studies / "labels" / "final" / f"{STACKS[1]}.nii.gz").exists()


@pytest.mark.parametrize(("model", "image"), [("camus", STACKS[0]), ("echonet", STACKS[0]), ("acdc", STILL)])
def test_a_model_refuses_images_of_other_views_where_no_other_may_be_used(
    server: Server, model: str, image: str
) -> None:
    answer = server.post(f"/infer/{model}?image={image}", data={"params": '{"strict": true}'})
    message = refusal(answer, 422, "unusable_image")
    assert f"model {model} is for images of view" in message and image in message


@pytest.mark.parametrize(
    ("asked", "image", "used"),
    [
        ("camus", STACKS[0], "sunnybrook"),
        ("echonet", STACKS[1], "sunnybrook"),
        ("landmarks", STACKS[0], "sunnybrook"),
        ("acdc", STILL, "camus"),
        ("sunnybrook", STILL, "camus"),
    ],
)
def test_an_image_of_another_view_gets_the_model_for_its_own(
    server: Server, asked: str, image: str, used: str
) -> None:
    """3D Slicer asks for the first model of the list, whatever the image is."""
    answer = server.post(f"/infer/{asked}?image={image}&output=json").json()
    assert answer["model"]["name"] == used
    assert answer["note"].startswith(f"{image} is of view") and f"model {used} was used" in answer["note"]
    wished = server.post(f"/infer/{used}?image={image}&output=json").json()
    assert "note" not in wished
    assert wished["frames"] == answer["frames"]
    names = ACDC_LABELS if image in STACKS else CAMUS_LABELS
    assert answer["label_names"] == names.as_dict()


def test_a_model_for_the_view_of_an_upload(server: Server) -> None:
    with (server.studies / f"{STACKS[0]}.nii.gz").open("rb") as file:
        answer = server.post("/infer/camus?output=json", files={"file": (f"{STACKS[0]}.nii.gz", file)})
    assert answer.json()["model"]["name"] == "sunnybrook"
    assert "the image is of view SAX" in answer.json()["note"]


def test_an_image_of_unknown_view_says_how_to_tell_it(server: Server) -> None:
    """An echo image gets a mask and a note; slices, of which a model for frames knows nothing, get none."""
    copies = {"scan": STILL, "slices": STACKS[0]}
    for name, image in copies.items():
        shutil.copy(server.studies / f"{image}.nii.gz", server.studies / f"{name}.nii.gz")
    answer = server.post("/infer/camus?image=scan&output=json").json()
    assert "scan is of unknown view" in answer["note"] and "manifest.csv" in answer["note"]
    for model, name in (("sunnybrook", "scan"), ("camus", "slices"), ("sunnybrook", "slices")):
        message = refusal(server.post(f"/infer/{model}?image={name}"), 422, "unusable_image")
        assert f"{name} is of view unknown" in message and "manifest.csv" in message
    strict = {"params": '{"strict": true}'}
    assert server.post("/infer/camus?image=slices&output=json", data=strict).ok
    for name in copies:
        (server.studies / f"{name}.nii.gz").unlink()


def test_an_uploaded_stack_is_not_taken_for_frames(server: Server) -> None:
    """Neither as a file nor as a session; a model of short-axis stacks takes it."""
    content = (server.studies / f"{STACKS[0]}.nii.gz").read_bytes()
    session = server.put("/session/", files={"files": ("scan.nii.gz", content)}).json()["session_id"]
    for answer in (
        server.post("/infer/camus", files={"file": ("scan.nii.gz", content)}),
        server.post(f"/infer/camus?session_id={session}"),
    ):
        assert "let its file name end in 2CH, 4CH or SAX" in refusal(answer, 422, "unusable_image")
    assert server.post(f"/infer/sunnybrook?session_id={session}&output=json").ok


@pytest.mark.parametrize("strict", ['"yes"', "1", "[]"])
def test_strict_is_true_or_false(server: Server, strict: str) -> None:
    answer = server.post(f"/infer/camus?image={STILL}", data={"params": f'{{"strict": {strict}}}'})
    assert "expected true or false" in refusal(answer, 422, "bad_params")


@pytest.mark.parametrize("device", ["tpu", "cuda:97", ["cuda:97", "cpu"], 3, {"name": "cpu"}])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(server: Server, device: object) -> None:
    answer = server.post(f"/infer/camus?image={STILL}", data={"params": json.dumps({"device": device})})
    assert "there are: cpu" in refusal(answer, 422, "unknown_device")
    if isinstance(device, str):
        batch = server.post("/batch/infer/camus?run_sync=true", json={"images": [], "device": device})
        assert "there are: cpu" in refusal(batch, 422, "unknown_device")


@pytest.mark.parametrize("device", ["", None, "cpu", ["cpu"], []])
def test_a_device_that_is_there_is_taken(server: Server, device: object) -> None:
    params = json.dumps({"device": device})
    assert server.post(f"/infer/camus?image={STILL}&output=json", data={"params": params}).ok


def test_two_models_of_one_file_answer_by_their_own_names(server: Server, client: MONAILabelClient) -> None:
    masks = {}
    for model in ("sunnybrook", "acdc"):
        file, params = client.infer(model, STACKS[1], {})
        assert params["model"]["name"] == model
        masks[model] = nifti.read_mask(Path(file))
    np.testing.assert_array_equal(*masks.values())
    saved = server.post(
        f"/infer/acdc?image={STACKS[1]}&output=json", data={"params": json.dumps({"save_label": True})}
    )
    assert saved.ok
    info = server.get("/datastore/label/info", params={"label": STACKS[1], "tag": "original"}).json()
    assert info["model"]["name"] == "acdc"


@needs_weights
def test_echonet_draws_the_cavity_alone_and_measures_it(client: MONAILabelClient) -> None:
    wide, _ = client.infer("camus", STILL, {})
    file, params = client.infer("echonet", STILL, {})
    masks = nifti.read_mask(Path(file))
    assert set(np.unique(masks)) == {0, 1}
    np.testing.assert_array_equal(masks == 1, nifti.read_mask(Path(wide)) == 1)
    assert params["model"]["name"] == "echonet" and params["label_names"] == CAMUS_LABELS.as_dict()
    row = next(row for row in params["patient"] if row["method"] == "single-plane-A4C")
    assert 0 < row["ef_pct"] < 100


def test_missing_weights_of_one_model_leave_the_others_alone(server: Server) -> None:
    refused = server.post(f"/infer/landmarks?image={STILL}")
    assert "no weights for model landmarks" in refusal(refused, 503, "missing_weights")
    assert server.post(f"/infer/camus?image={STILL}&output=json").ok
    assert server.post("/reload").ok


def test_served_models_are_listed_with_their_cards(server: Server) -> None:
    listed = server.get("/cardiac/models").json()
    assert [model["name"] for model in listed] == NAMES
    by_name = {model["name"]: model for model in listed}
    assert by_name["acdc"]["card"] == by_name["sunnybrook"]["card"]
    assert by_name["acdc"]["weights"] == "sunnybrook" and by_name["echonet"]["weights"] == "camus"
    assert by_name["camus"]["loaded"] and by_name["sunnybrook"]["views"] == ["SAX"]
    assert by_name["landmarks"]["card"] is None and "landmarks" in by_name["landmarks"]["reason"]
    assert server.get("/model/info/acdc").json()["card"]["name"] == "sunnybrook"


def test_the_curve_of_a_versions_training_is_kept(server: Server, tmp_path: Path) -> None:
    assert server.get("/cardiac/models/camus/versions/0/curve.png").status_code == 404
    published, made = StudiesLayout(server.studies).models, tmp_path / "made"
    made.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copy(server.studies.parent / "app" / "model" / f"camus{suffix}", made)
    note = {"why": "retrained", "curve": [[8, 0.9, None], [16, 0.5, 0.81], [24, 0.4, 0.84]]}
    versions = Versions(ModelFolders(server.studies.parent / "app" / "model", published))
    number = versions.publish("camus", made, note=note).number
    try:
        answer = server.get(f"/cardiac/models/camus/versions/{number}/curve.png")
        assert answer.status_code == 200 and answer.content[:4] == b"\x89PNG"
        refusal(server.get("/cardiac/models/camus/versions/99/curve.png"), 404, "no_task")
        refusal(server.get("/cardiac/models/nothing/versions/0/curve.png"), 404, "no_task")
    finally:
        assert server.post("/cardiac/models/camus/rollback?version=0").ok


def test_a_model_may_get_weights_of_its_own(server: Server, client: MONAILabelClient) -> None:
    folder = server.studies.parent / "app" / "model"
    assert "acdc" in refusal(server.request("DELETE", "/model/sunnybrook"), 409, "model_in_use")

    def put(name: str) -> Any:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(folder / "sunnybrook.safetensors", f"{name}.safetensors")
            card = json.loads((folder / "sunnybrook.json").read_text())
            archive.writestr(f"{name}.json", json.dumps({**card, "name": name, "version": "2"}))
        return server.put(f"/model/{name}", files={"file": ("model.zip", packed.getvalue())})

    message = refusal(put("echonet"), 422, "unusable_model")
    assert "does not give what model echonet is for: lv_cavity" in message
    assert put("acdc").json()["version"] == "2"
    _, params = client.infer("acdc", STACKS[1], {})
    assert (params["model"]["name"], params["model"]["version"]) == ("acdc", "2")
    shutil.rmtree(StudiesLayout(server.studies).models / "versions" / "acdc")
    assert server.post("/reload").ok
    _, params = client.infer("acdc", STACKS[1], {})
    assert (params["model"]["name"], params["model"]["version"]) == ("acdc", "0")
