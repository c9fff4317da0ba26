"""Any folder: which files are images, whose they are, and ids that never clash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cardiolabel.datasets import folder
from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.records.layout import MANIFEST


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def by_path(root: Path) -> dict[str, Record]:
    return {item.path.relative_to(root).as_posix(): item for item in folder.records(root)}


def test_images_are_found_in_folders_and_by_suffix(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.nii.gz",
        "b/c/d.nii",
        "e.mha",
        "f.mhd",
        "f.raw",
        "g.PNG",
        "h.mp4",
        "i.txt",
        ".h.nii",
        "._a.nii.gz",
        ".i/j.nii",
        "labels/final/a.nii.gz",
        "a_gt.nii.gz",
        "K.NII.GZ",
    )
    expected = ["K.NII.GZ", "a.nii.gz", "b/c/d.nii", "e.mha", "f.mhd", "g.PNG", "h.mp4"]
    assert list(by_path(tmp_path)) == expected


def test_names_are_understood_and_others_are_their_own_patients(tmp_path: Path) -> None:
    result = by_path(touch(tmp_path, "p1_4CH_ED.nii.gz", "scan.nii.gz"))
    first, other = result["p1_4CH_ED.nii.gz"], result["scan.nii.gz"]
    assert (first.patient, first.view, first.phase) == ("p1", View.A4C, Phase.ED)
    assert (other.patient, other.view, other.phase) == ("scan", View.UNKNOWN, Phase.CINE)
    assert {first.dataset, other.dataset} == {"folder"}


def test_views_in_folders_of_their_own_are_one_patient(tmp_path: Path) -> None:
    result = by_path(touch(tmp_path, "2CH/p1_2CH_ED.nii", "4CH/p1_4CH_ED.nii"))
    assert {item.patient for item in result.values()} == {"p1"}


def test_the_same_name_in_two_folders_is_two_people(tmp_path: Path) -> None:
    result = by_path(
        touch(tmp_path, "x/p1_4CH_ED.nii", "y/p1_4CH_ED.nii", "y/p1_2CH_ED.nii", "y/p2_2CH_ED.nii")
    )
    assert {name: (item.image_id, item.patient) for name, item in result.items()} == {
        "x/p1_4CH_ED.nii": ("x_p1_4CH_ED", "x_p1"),
        "y/p1_2CH_ED.nii": ("y_p1_2CH_ED", "y_p1"),
        "y/p1_4CH_ED.nii": ("y_p1_4CH_ED", "y_p1"),
        "y/p2_2CH_ED.nii": ("p2_2CH_ED", "p2"),
    }


def test_as_many_folders_are_named_as_it_takes(tmp_path: Path) -> None:
    result = by_path(touch(tmp_path, "s1/a/scan.nii", "s2/a/scan.nii", "s2/b/scan.nii"))
    assert [item.image_id for item in result.values()] == ["s1_a_scan", "s2_a_scan", "b_scan"]
    assert len({item.patient for item in result.values()}) == 3


@pytest.mark.parametrize("names", [("P1/4CH_ED.nii", "P1/2CH_ED.nii"), ("P1/4CH_ED.nii", "P2/4CH_ED.nii")])
def test_a_name_that_is_only_a_view_takes_its_folder_s_as_patient(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    result = by_path(touch(tmp_path, *names))
    for name, item in result.items():
        assert item.patient == name.split("/")[0]
        assert item.image_id == name.replace("/", "_").removesuffix(".nii")
        assert item.phase is Phase.ED


def test_one_name_in_two_formats_and_names_that_become_equal(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.nii", "a.mha", "b c.nii", "b_c.nii", "B_C.nii", "a_b/c.nii", "ä.nii", "-.nii", "a_2.nii"
    )
    ids = [item.image_id for item in folder.records(tmp_path)]
    assert len(set(ids)) == 9
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", image_id) for image_id in ids)


def test_ids_are_the_same_every_time(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.nii", "y/a.nii", "a.nii", "a.mha")
    assert folder.records(tmp_path) == folder.records(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.nii.gz", "a_gt.nii.gz"),
        ("a.nii.gz", "a_gt.mha"),
        ("a.mhd", "a_gt.mhd"),
        ("a.NII", "a_gt.nii"),
        ("a.NII.GZ", "a_GT.NII.GZ"),
        ("a.nii.gz", "a_Gt.Nii"),
        ("A_4CH_ED.nii.gz", "A_4CH_ED_GT.nii.gz"),
    ],
)
def test_a_mask_lies_beside_its_image(tmp_path: Path, image: str, mask: str) -> None:
    (item,) = folder.records(touch(tmp_path, image))
    assert folder.reference_path(item) is None
    touch(tmp_path, mask)
    assert folder.reference_path(item) == tmp_path / mask


def test_names_that_differ_in_case_have_masks_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "A.nii.gz", "A_GT.nii.gz")
    result = {item.path.name: folder.reference_path(item) for item in folder.records(tmp_path)}
    assert result == {"a.nii.gz": None, "A.nii.gz": tmp_path / "A_GT.nii.gz"}


def test_the_mask_in_the_image_s_own_format_comes_first(tmp_path: Path) -> None:
    (item,) = folder.records(touch(tmp_path, "a.mhd", "a_gt.mhd", "a_gt.nii.gz"))
    assert folder.reference_path(item) == tmp_path / "a_gt.mhd"


def test_a_manifest_wins_over_names(tmp_path: Path) -> None:
    touch(tmp_path, "p1_4CH_ED.nii.gz", "p2_4CH_ED.nii.gz")
    text = "image_id,patient,view,phase,dataset,path\nx,z,A2C,ES,mine,p1_4CH_ED.nii.gz\n"
    text += "y,z,A2C,ES,mine,gone.nii\n"
    (tmp_path / MANIFEST).write_text(text)
    first, other = folder.records(tmp_path)
    assert (first.image_id, first.patient, first.view, first.dataset) == ("x", "z", View.A2C, "mine")
    assert other.image_id == "p2_4CH_ED"
    (tmp_path / MANIFEST).write_text("nonsense")
    with pytest.raises(ManifestError):
        folder.records(tmp_path)


@pytest.mark.parametrize("names", [(), ("a.txt",), ("a_gt.nii.gz",), ("labels/a.nii",)])
def test_a_folder_without_images(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match=r"found no image; expected images ending in \.nii\.gz"):
        folder.records(touch(tmp_path, *names))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        folder.records(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["p_4CH_ED_gt.nrrd", "p_4CH_ED_gt.seg.nrrd", "p_4CH_ED_GT.mha"])
def test_a_reference_mask_may_be_of_any_format(tmp_path: Path, name: str) -> None:
    (tmp_path / "p_4CH_ED.nii.gz").touch()
    (tmp_path / name).touch()
    (entry,) = folder.listing(tmp_path).entries
    assert entry.masks == tmp_path / name
