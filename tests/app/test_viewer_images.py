"""What next sample hands out for 3D Slicer, and masks that lie on it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS
from cardiolabel.io import nifti
from cardiolabel.system.user_folders import CACHE_VARIABLE

from ..short_axis import STACKS, write_stacks
from .conftest import APP, Server, needs_weights, running, start_server_command

STILL, CINE = "phantom01_4CH_ED", "phantom02_4CH_cine"
TILTED, FOUR_AXES, UNCALIBRATED = "tilted_4CH_ED", "fouraxes_4CH_cine", "uncalibrated_4CH_cine"
MIRRORED, PLAIN, UPPER_CASE = "mirrored_4CH_cine", "plain_4CH_cine", "upper_4CH_ED"
COPIED = {CINE, TILTED, FOUR_AXES, UNCALIBRATED, MIRRORED}
ALL = sorted({STILL, CINE, TILTED, FOUR_AXES, UNCALIBRATED, MIRRORED, PLAIN, UPPER_CASE, *STACKS})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("viewer")
    studies = make_odd_studies(home)
    with running(start_server_command(APP, studies), studies) as server:
        yield server


def make_odd_studies(home: Path) -> Path:
    """Stacks, stills and cines as other programs write them."""
    write_sample(home / "sample", patients=2, seed=1)
    studies = write_stacks(home / "studies")
    for image_id in (STILL, CINE):
        shutil.copy(home / "sample" / f"{image_id}.nii.gz", studies)
    still = np.asarray(nib.load(studies / f"{STILL}.nii.gz").dataobj)
    frames = np.asarray(nib.load(studies / f"{CINE}.nii.gz").dataobj)[..., :3]
    affine = np.diag([-0.5, -0.5, 0.04, 1.0])
    tilt = np.array([[1, 0, 0, 9], [0, 0.6, -0.8, 8], [0, 0.8, 0.6, 7], [0, 0, 0, 1.0]])

    def write(image_id: str, pixels: np.ndarray, placed: np.ndarray | None) -> None:
        image = nib.Nifti1Image(pixels, placed)
        if placed is None:
            image.header["pixdim"][1:4] = 0, 0, 0.04
        (studies / f"{image_id}.nii.gz").write_bytes(gzip.compress(image.to_bytes(), 1))

    for image_id, pixels, placed in (
        (TILTED, still, tilt @ affine),
        (FOUR_AXES, frames[:, :, None], affine),
        (UNCALIBRATED, frames, None),
        (MIRRORED, frames, affine @ np.diag([-1.0, 1.0, 1.0, 1.0])),
        (PLAIN, frames, np.diag([-0.5, -0.5, 12.0, 1.0])),
    ):
        write(image_id, pixels, placed)
    shutil.copy(studies / f"{STILL}.nii.gz", studies / f"{UPPER_CASE}.NII.GZ")
    return studies


@pytest.fixture(scope="module")
def samples(server: Server) -> dict[str, dict[str, Any]]:
    """What next sample says of every image."""
    answers = [server.post("/activelearning/first", json={"client_id": "reader"}).json() for _ in ALL]
    return {answer["id"]: answer for answer in answers}


def is_letters(text: str) -> bool:
    return not any(letter.isdigit() for letter in text)


def download(server: Server, path: str, **query: str) -> bytes:
    answer = server.get(path, params=query)
    assert answer.ok, answer.text
    return answer.content


def read(content: bytes, folder: Path, suffix: str) -> sitk.Image:
    path = folder / f"volume{suffix}"
    path.write_bytes(content)
    return sitk.ReadImage(str(path))


def places(image: sitk.Image, axes: int) -> np.ndarray:
    """Where the voxels of an image lie, as far as ITK reads it."""
    direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:axes, :axes]
    return np.vstack([direction * image.GetSpacing()[:axes], image.GetOrigin()[:axes]])


def test_every_image_has_a_file_of_its_own_whose_name_has_no_number(
    server: Server, samples: dict[str, dict[str, Any]]
) -> None:
    assert sorted(samples) == ALL
    names = [Path(sample["path"]).name for sample in samples.values()]
    assert len(set(names)) == len(ALL) and all(map(is_letters, names))
    for image_id, sample in samples.items():
        path = Path(sample["path"])
        assert [other.name for other in path.parent.iterdir()] == [path.name]
        assert sample["name"] == path.name and sample["PatientID"] == image_id
        content = path.read_bytes()
        assert sample["checksum"] == f"SHA512:{hashlib.sha512(content).hexdigest()}"
        assert content == download(server, "/datastore/image", image=image_id)
        stored = next(file for file in server.studies.iterdir() if file.name.startswith(f"{image_id}."))
        assert stored.read_bytes() == download(server, "/datastore/image", image=image_id, stored="true")
        assert (content == stored.read_bytes()) is (image_id not in COPIED)
        query = {"image": image_id, "check_sum": sample["checksum"]}
        assert server.request("HEAD", "/datastore/image", params=query).ok


def test_frames_are_at_least_ten_mm_apart_and_slices_as_they_were(
    server: Server, samples: dict[str, dict[str, Any]]
) -> None:
    for image_id, sample in samples.items():
        image = sitk.ReadImage(sample["path"])
        if "cine" in image_id:
            assert image.GetDimension() == 3 and image.GetSpacing()[2] >= 10
        elif image_id in STACKS:
            assert image.GetSpacing()[2] == 8
    assert sitk.ReadImage(samples[PLAIN]["path"]).GetSpacing()[2] == 12


def test_a_link_follows_its_image_and_a_copy_is_made_anew(server: Server) -> None:
    def handed_out() -> dict[str, Any]:
        while True:
            answer = server.post("/activelearning/first", json={"client_id": "reader"}).json()
            if answer["id"] in (STILL, CINE):
                return answer

    for _ in range(2):
        before = handed_out()
        image = server.studies / f"{before['id']}.nii.gz"
        content = image.read_bytes()
        read_image = nib.load(image)
        brighter = np.asarray(read_image.dataobj) // 2
        nib.save(nib.Nifti1Image(brighter, read_image.affine), image)
        server.request("PUT", f"/cardiac/leases/{before['id']}?client_id=reader")
        after = before
        while after["id"] != before["id"] or after is before:
            after = handed_out()
        assert after["checksum"] != before["checksum"] and after["name"] != before["name"]
        shown = np.asarray(nib.load(after["path"]).dataobj)
        np.testing.assert_array_equal(shown, brighter)
        assert not Path(before["path"]).exists()
        image.write_bytes(content)


@needs_weights
@pytest.mark.parametrize("image_id", ALL)
def test_masks_lie_on_the_image_as_it_is_opened_and_come_back_as_drawn(
    server: Server, tmp_path: Path, image_id: str
) -> None:
    image = read(download(server, "/datastore/image", image=image_id), tmp_path, ".nii.gz")
    params = {"result_extension": ".nrrd", "save_label": True}
    answer = server.post(f"/infer/camus?image={image_id}&output=image", data={"params": json.dumps(params)})
    assert answer.ok, answer.text
    predicted = read(answer.content, tmp_path, ".nrrd")
    query = {"label": image_id, "tag": "original"}
    original = read(download(server, "/datastore/label", **query), tmp_path, ".nii.gz")
    for mask in (predicted, original):
        assert mask.GetDimension() == 3
        axes = image.GetDimension()
        assert mask.GetSize()[:axes] == image.GetSize()
        np.testing.assert_allclose(places(mask, axes), places(image, axes), atol=1e-5)
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (predicted, original)))

    drawn = sitk.GetArrayFromImage(predicted)
    drawn[:, : drawn.shape[1] // 3] = 0
    drawn[-1, :4, :3] = 2
    written = sitk.GetImageFromArray(drawn)
    written.CopyInformation(predicted)
    for suffix in (".nrrd", ".nii.gz"):
        path = tmp_path / f"drawn{suffix}"
        sitk.WriteImage(sitk.Flip(written, [False, False, image_id == MIRRORED]), str(path))
        with path.open("rb") as file:
            saved = server.put(
                "/datastore/label", params={"image": image_id}, files={"label": (path.name, file)}
            )
        assert saved.ok, saved.text
        stored = download(server, "/datastore/label", label=image_id, tag="final", stored="true")
        (tmp_path / "stored.nii.gz").write_bytes(stored)
        np.testing.assert_array_equal(nifti.read_mask(tmp_path / "stored.nii.gz"), drawn)
        labels = server.studies / "labels" / "final"
        assert stored == (labels / f"{image_id}.nii.gz").read_bytes()


@needs_weights
def test_stored_labels_name_their_values(server: Server) -> None:
    """Also those that something else put into the folder, whatever clients note of them."""
    labels = server.studies / "labels"
    for image_id in (STILL, STACKS[1]):
        server.post(f"/infer/camus?image={image_id}", data={"params": '{"save_label": true}'})
    (labels / "final").mkdir(exist_ok=True)
    shutil.copy(labels / "original" / f"{STACKS[1]}.nii.gz", labels / "final")
    assert server.post("/reload").ok
    note = {"params": {"label_names": {"left_atrium": 1}, "reader": "x"}}
    noted = server.put(
        "/datastore/label/info", params={"label": STILL, "tag": "original"}, data={"info": json.dumps(note)}
    )
    assert noted.ok
    objects = server.get("/datastore/?output=all").json()["objects"]
    for image_id, tag, names in (
        (STILL, "original", CAMUS_LABELS),
        (STACKS[1], "original", ACDC_LABELS),
        (STACKS[1], "final", ACDC_LABELS),
    ):
        for info in (
            objects[image_id]["labels"][tag]["info"],
            server.get("/datastore/label/info", params={"label": image_id, "tag": tag}).json(),
        ):
            label_names = info["params"]["label_names"]
            assert label_names == names.as_dict()
            assert list(label_names.values()) == list(range(1, len(label_names) + 1))
    assert objects[STILL]["labels"]["original"]["info"]["params"]["reader"] == "x"


def test_nothing_is_left_of_an_image_that_is_removed(
    server: Server, samples: dict[str, dict[str, Any]]
) -> None:
    path = Path(samples[MIRRORED]["path"])
    assert path.exists()
    assert server.request("DELETE", "/datastore/image", params={"id": MIRRORED}).ok
    assert not path.parent.exists()


def test_a_folder_that_is_only_read_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(APP))
    from cardiolabel.studies.studies import Studies
    from lib.files.viewer_images import ViewerImages

    folder = tmp_path / "studies"
    write_sample(folder, patients=2, seed=1)
    before = sorted(folder.rglob("*"))
    studies = Studies(folder)
    images = ViewerImages(studies, read_only=True)
    for image_id in (STILL, CINE):
        image = images.get(studies.record(image_id))
        assert image.path.is_file() and image.path.is_relative_to(tmp_path / "cache")
        assert image.is_copy is (image_id == CINE)
    assert sorted(folder.rglob("*")) == before
    again = ViewerImages(Studies(folder), read_only=True).get(studies.record(CINE))
    assert (again.path, again.checksum) == (image.path, image.checksum)  # kept for the next server
