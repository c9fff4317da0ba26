"""Ids of images: they follow from the file alone, and labels under earlier ids stay with their patients."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.errors import DatasetError
from cardiolabel.records.file_names import earlier_ids, id_from_name
from cardiolabel.records.image_ids import image_ids
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.left_out_labels import left_out_labels
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store.database import Database, sqlite_url
from cardiolabel.store.tables import images

TANAKA, SATO = "田中_4CH_ED.nii.gz", "佐藤_4CH_ED.nii.gz"
NAMES = st.text(alphabet="aAbB ._-éü田中Ж😀4CHED", min_size=1, max_size=12)


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def ids(folder: Path) -> dict[str, str]:
    """Image ids by file name, scanned anew."""
    return {record.path.name: record.image_id for record in StudiesFolder(folder).records()}


def masks(folder: Path) -> dict[str, str]:
    """The label file that each image has, by the image's file name."""
    studies = StudiesFolder(folder)
    files = {
        record.path.name: studies.label_file(folder / "labels" / "final", record)
        for record in studies.records()
    }
    return {name: path.name for name, path in files.items() if path.is_file()}


def record_images(folder: Path, patients: dict[str, str]) -> None:
    """What the store of an earlier version recorded: the patient of each image id."""
    (folder / ".cardiolabel").mkdir(parents=True, exist_ok=True)
    database = Database(sqlite_url(folder / ".cardiolabel" / "store.sqlite"))
    rest = {"present": True, "open": True, "patient_rank": 0, "rank": 0, "shuffle": 0, "info": {}}
    rows = [{"image_id": image_id, "patient": patient, **rest} for image_id, patient in patients.items()]
    with database.writing() as connection:
        connection.execute(images.insert(), rows)
    database.close()


def reported(folder: Path) -> dict[str, str]:
    return dict(left_out_labels(StudiesFolder(folder), read=False))


@given(st.sets(NAMES.map(lambda name: unicodedata.normalize("NFC", name)), min_size=2, max_size=6), st.data())
def test_an_id_depends_on_its_file_alone(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "nothing"
    files = sorted(f"{name}.nii.gz" for name in names)
    others = data.draw(st.lists(st.sampled_from(files), unique=True))
    together = image_ids(folder, [Path(name) for name in files]).by_name
    fewer = image_ids(folder, [Path(name) for name in others]).by_name
    assert len(set(together.values())) == len(files)
    assert fewer == {name: together[name] for name in others}


@given(NAMES)
def test_both_unicode_forms_of_a_name_give_one_id(name: str) -> None:
    forms = {id_from_name(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert len(forms) == 1


def test_ids_of_one_patient_s_images_differ_in_what_their_names_say_only() -> None:
    ids = {end: id_from_name(f"Ана Ж_{end}") for end in ("4CH_ED", "4CH_ES", "2CH_half_sequence")}
    assert len({image_id.removesuffix(end) for end, image_id in ids.items()}) == 1
    assert all(image_id.endswith(f"_{end}") for end, image_id in ids.items())


def test_plain_names_are_their_own_ids_and_leave_no_register(tmp_path: Path) -> None:
    put(tmp_path, "p1_4CH_ED.nii.gz", "Scan.nii.gz", "scan.nii.gz")
    assert ids(tmp_path) == {name: name.removesuffix(".nii.gz") for name in ids(tmp_path)}
    assert not StudiesLayout(tmp_path).image_ids.exists()


@pytest.mark.parametrize(
    ("first", "other", "earlier"),
    [
        (TANAKA, SATO, "4CH_ED"),
        ("Patient 1_4CH_ED.nii.gz", "Patient+1_4CH_ED.nii.gz", "Patient_1_4CH_ED"),
        ("Patient 1_4CH_ED.nii.gz", "Patient_1_4CH_ED.nii.gz", "Patient_1_4CH_ED"),
        ("Müller.nii.gz", "Möller.nii.gz", "M_ller"),
        ("Иванов_2CH_ES.nii.gz", "Петров_2CH_ES.nii.gz", "2CH_ES"),
        ("x y.nii", "x y.nii.gz", "x_y"),
        ("scan.nii", "scan.nii.gz", "scan"),
        ("scan.NII.GZ", "scan.nii.gz", "scan"),
    ],
)
def test_a_label_under_an_earlier_id_stays_with_its_image_as_files_come_and_go(
    tmp_path: Path, first: str, other: str, earlier: str
) -> None:
    put(tmp_path, first, f"labels/final/{earlier}.nii.gz")
    assert ids(tmp_path) == {first: earlier}
    put(tmp_path, other)
    assert masks(tmp_path) == {first: f"{earlier}.nii.gz"}
    (tmp_path / first).unlink()
    assert masks(tmp_path) == {}
    assert "its image is not in this folder" in reported(tmp_path)[f"labels/final/{earlier}.nii.gz"]
    put(tmp_path, first)
    assert masks(tmp_path) == {first: f"{earlier}.nii.gz"}


def test_a_plain_file_keeps_its_label_when_a_name_comes_that_was_cleaned_to_it(tmp_path: Path) -> None:
    put(tmp_path, "a_b.nii.gz", "labels/final/a_b.nii.gz")
    assert ids(tmp_path) == {"a_b.nii.gz": "a_b"}
    put(tmp_path, "a b.nii.gz", "A_B.nii.gz", "a_b.nii", "labels/final/A_B.nii.gz")
    assert masks(tmp_path) == {"a_b.nii.gz": "a_b.nii.gz", "A_B.nii.gz": "A_B.nii.gz"}
    assert len(set(ids(tmp_path).values())) == 4


@pytest.mark.parametrize("leaves", [TANAKA, SATO])
def test_a_label_that_could_be_of_two_images_is_that_of_neither_and_both_are_named(
    tmp_path: Path, leaves: str
) -> None:
    put(tmp_path, TANAKA, SATO, "labels/final/4CH_ED.nii.gz")
    assert masks(tmp_path) == {}
    reason = reported(tmp_path)["labels/final/4CH_ED.nii.gz"]
    assert all(f"{ids(tmp_path)[name]} ({name})" in reason for name in (TANAKA, SATO))
    (tmp_path / leaves).unlink()
    assert masks(tmp_path) == {}  # nor that of the one that is left
    (stored,) = ids(tmp_path).values()
    (tmp_path / "labels/final/4CH_ED.nii.gz").rename(tmp_path / f"labels/final/{stored}.nii.gz")
    assert list(masks(tmp_path).values()) == [f"{stored}.nii.gz"] and reported(tmp_path) == {}


@pytest.mark.parametrize(
    "names",
    [
        (TANAKA, SATO),
        ("a b.nii.gz", "a_b.nii.gz"),
        ("Scan.nii.gz", "scan.nii.gz"),
        ("x.nii", "x.nii.gz"),
        ("Scan.nii.gz", "scan.nii.gz", "scan_2.nii.gz"),
    ],
)
def test_labels_of_all_images_that_shared_an_earlier_id_stay_as_they_were(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    earlier = earlier_ids(names)
    put(tmp_path, *names, *(f"labels/final/{image_id}.nii.gz" for image_id in earlier.values()))
    assert ids(tmp_path) == earlier
    newcomer = "!" + names[0]  # sorts before all of them
    put(tmp_path, newcomer)
    (tmp_path / names[0]).unlink()
    result = ids(tmp_path)
    assert result.pop(newcomer) not in earlier.values()
    assert result == {name: earlier[name] for name in names[1:]}


@pytest.mark.parametrize("there", [(TANAKA, SATO), (TANAKA,), (SATO,)])
def test_the_records_of_an_earlier_version_say_whose_an_id_is(tmp_path: Path, there: tuple[str, ...]) -> None:
    put(tmp_path, *there, "labels/final/4CH_ED.nii.gz")
    record_images(tmp_path, {"4CH_ED": "田中", "p1_4CH_ED": "p1"})
    assert masks(tmp_path) == ({TANAKA: "4CH_ED.nii.gz"} if TANAKA in there else {})
    put(tmp_path, TANAKA, SATO)
    assert masks(tmp_path) == {TANAKA: "4CH_ED.nii.gz"}


def test_the_records_of_two_images_that_shared_an_earlier_id(tmp_path: Path) -> None:
    put(tmp_path, "a b.nii.gz", "a_b.nii.gz")
    record_images(tmp_path, {"a_b": "a_b", "a_b_2": "a b"})  # not in the order of the files
    assert ids(tmp_path) == {"a_b.nii.gz": "a_b", "a b.nii.gz": "a_b_2"}


def test_an_image_that_is_gone_keeps_its_earlier_id_from_one_that_is_called_so(tmp_path: Path) -> None:
    put(tmp_path, "Patient_1_4CH_ED.nii.gz", "labels/final/Patient_1_4CH_ED.nii.gz")
    record_images(tmp_path, {"Patient_1_4CH_ED": "Patient 1"})
    assert masks(tmp_path) == {}
    put(tmp_path, "Patient 1_4CH_ED.nii.gz")
    assert masks(tmp_path) == {"Patient 1_4CH_ED.nii.gz": "Patient_1_4CH_ED.nii.gz"}


def test_labels_of_names_that_only_look_numbered_stay(tmp_path: Path) -> None:
    names = ("Scan.nii.gz", "scan.nii.gz", "scan_2.nii.gz")
    put(tmp_path, *names, "labels/final/Scan.nii.gz", "labels/final/scan_2.nii.gz")
    assert masks(tmp_path) == {name: name for name in (names[0], names[2])}


def test_two_numbered_names_are_no_earlier_ids(tmp_path: Path) -> None:
    names = ("scan.nii.gz", "scan_2.nii.gz", "scan_3.nii.gz")
    put(tmp_path, *names, *(f"labels/final/{name}" for name in names))
    record_images(tmp_path, {name.removesuffix(".nii.gz"): name.removesuffix(".nii.gz") for name in names})
    assert masks(tmp_path) == {name: name for name in names}


def test_a_folder_copied_from_macos_and_compressed_since_keeps_its_ids(tmp_path: Path) -> None:
    put(tmp_path, "Müller_4CH_ED.nii", "labels/final/M_ller_4CH_ED.nii.gz")
    assert masks(tmp_path) == {"Müller_4CH_ED.nii": "M_ller_4CH_ED.nii.gz"}
    decomposed = unicodedata.normalize("NFD", "Müller_4CH_ED.nii.gz")
    (tmp_path / "Müller_4CH_ED.nii").rename(tmp_path / decomposed)
    assert masks(tmp_path) == {decomposed: "M_ller_4CH_ED.nii.gz"}


def test_a_folder_that_cannot_be_written_to_is_read(tmp_path: Path) -> None:
    put(tmp_path, TANAKA, "labels/final/4CH_ED.nii.gz", ".cardiolabel")  # a file in the register's place
    assert masks(tmp_path) == {TANAKA: "4CH_ED.nii.gz"}
    put(tmp_path, SATO)
    assert masks(tmp_path) == {}  # nothing tells any more whose it is


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Patient_1_4CH_ED.nii.gz", "Patient 1_4CH_ED.nii.gz"),
        ("4CH_ED.nii.gz", TANAKA),
        (TANAKA, SATO),
        (TANAKA, "4CH_ED.nii.gz"),
        ("Scan.nii.gz", "scan.nii.gz"),
    ],
)
@pytest.mark.parametrize("is_recorded", [False, True], ids=["plain folder", "with a store"])
def test_an_image_that_takes_another_s_place_gets_none_of_its_labels(
    tmp_path: Path, first: str, other: str, is_recorded: bool
) -> None:
    (image_id,) = ids(put(tmp_path, first)).values()
    put(tmp_path, f"labels/final/{image_id}.nii.gz")
    if is_recorded:
        (patient,) = StudiesFolder(tmp_path).patients()
        record_images(tmp_path, {image_id: patient})
    else:
        assert masks(tmp_path) == {first: f"{image_id}.nii.gz"}
    (tmp_path / first).unlink()
    put(tmp_path, other)
    assert masks(tmp_path) == {}
    assert list(reported(tmp_path)) == [f"labels/final/{image_id}.nii.gz"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"ids": [], "disputed": {}}'])
def test_a_damaged_register_is_named(tmp_path: Path, content: str) -> None:
    put(tmp_path, TANAKA)
    StudiesLayout(tmp_path).image_ids.parent.mkdir()
    StudiesLayout(tmp_path).image_ids.write_text(content)
    with pytest.raises(DatasetError, match=r"image_ids\.json: the register of image ids cannot be read"):
        ids(tmp_path)


def test_what_another_process_noted_stays_in_the_register(tmp_path: Path) -> None:
    put(tmp_path, TANAKA)
    first = ids(tmp_path)
    content = json.loads(StudiesLayout(tmp_path).image_ids.read_text())
    assert content["ids"] == {image_id: name for name, image_id in first.items()}
    put(tmp_path, SATO)
    assert ids(tmp_path).items() >= first.items()


def test_the_manifest_s_ids_are_its_own(tmp_path: Path) -> None:
    put(tmp_path, "p1.nii.gz", "images/x.nii.gz", "labels/final/p1.nii.gz")
    rows = "image_id,patient,view,phase,dataset,path\np1,z,A4C,ED,d,images/x.nii.gz\n"
    (tmp_path / "manifest.csv").write_text(rows)
    assert masks(tmp_path) == {"x.nii.gz": "p1.nii.gz"}
    assert len(set(ids(tmp_path).values())) == 2


@pytest.mark.parametrize(
    "label",
    [
        "Patient 1_4CH_ED.nii.gz",
        "Patient 1_4CH_ED.nrrd",
        "Patient 1_4CH_ED.seg.nrrd",
        "Patient 1_4CH_ED.NII.GZ",
        "Patient 1_4CH_ED.mha",
    ],
)
def test_a_label_called_as_its_image_belongs_to_it(tmp_path: Path, label: str) -> None:
    put(tmp_path, "Patient 1_4CH_ED.nii.gz", "Patient_1_4CH_ED.nii.gz", f"labels/final/{label}")
    assert masks(tmp_path) == {"Patient 1_4CH_ED.nii.gz": label}
    assert reported(tmp_path) == {}


def test_a_label_called_as_an_image_of_a_folder_within_belongs_to_none(tmp_path: Path) -> None:
    put(tmp_path, "images/scan.nii.gz", "labels/final/scan.nii.gz")
    rows = "image_id,patient,view,phase,dataset,path\np1,z,A4C,ED,d,images/scan.nii.gz\n"
    (tmp_path / "manifest.csv").write_text(rows)
    assert masks(tmp_path) == {} and list(reported(tmp_path)) == ["labels/final/scan.nii.gz"]


def test_labels_of_no_image_are_named_with_what_to_do(tmp_path: Path) -> None:
    files = (
        "labels/final/x.nii.gz",
        "labels/x.nrrd",
        "labels/final/deep/p1.nii.gz",
        "labels/final/notes.txt",
    )
    put(tmp_path, "p1.nii.gz", "labels/final/p1.nii.gz", "labels/final/.hidden.nii.gz", *files)
    result = reported(tmp_path)
    assert sorted(result) == sorted(files[:3])
    assert "no image has this name or id" in result["labels/final/x.nii.gz"]
    assert "move it to labels/final" in result["labels/final/deep/p1.nii.gz"]


def of(names: Iterable[str]) -> list[Path]:
    return [Path(name) for name in names]


def test_many_names_take_no_time(tmp_path: Path) -> None:
    names = [f"患者{number}_4CH_ED.nii.gz" for number in range(3000)]
    assert len(set(image_ids(tmp_path, of(names)).by_name.values())) == 3000


@pytest.mark.parametrize("later", [False, True])
def test_a_label_that_an_earlier_version_gave_to_another_file_is_given_to_none(
    tmp_path: Path, later: bool
) -> None:
    """Without a register nobody knows whose it is, unless the other file came after the label."""
    blank, plain = tmp_path / "p 1_4CH_ED.nii.gz", tmp_path / "p_1_4CH_ED.nii.gz"
    label = tmp_path / "labels" / "final" / plain.name
    label.parent.mkdir(parents=True)
    for path in (plain, label, blank) if later else (blank, plain, label):
        path.touch()
        time.sleep(0.01)
    ids = image_ids(tmp_path, [blank, plain])
    assert (ids.by_name[plain.name] == "p_1_4CH_ED") is later
    assert ("p_1_4CH_ED" in ids.disputed) is not later
