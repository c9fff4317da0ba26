"""Adding, replacing and removing image files: nobody's file, id or labels become another's."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import BadNameError, ConflictError, ImageContentError, UnknownImageError
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store.image_files import ImageFiles, sha256
from cardiolabel.store.image_names import name_key
from cardiolabel.store.store import Store

from .folders import save

MANIFEST = "image_id,patient,view,phase,dataset,path\n"


def image(folder: Path, value: int, *, suffix: str = ".nii.gz", width: int = 8, mm: float = 0.5) -> Path:
    """A still whose pixels say which one it is."""
    path = folder / f"upload{value}-{width}-{mm}{suffix}"
    nifti.write_clip(Clip(np.full((1, 8, width), value, np.uint8), Spacing(row_mm=mm, col_mm=mm)), path)
    return path


class Images:
    """A studies folder with its image files and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.studies = StudiesFolder(folder)
        self.store = Store(folder, records=self.studies.by_id, watch=False)
        self.files = ImageFiles(self.studies, self.store)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    images = Images(tmp_path / "studies")
    yield images
    images.store.close()


def test_the_same_file_again_is_the_same_image(images: Images, uploads: Path) -> None:
    source = image(uploads, 1)
    assert {images.files.add(source, "p1_4CH_ED").image_id for _ in range(3)} == {"p1_4CH_ED"}
    assert images.names() == ["p1_4CH_ED.nii.gz"]
    assert sha256(images.folder / "p1_4CH_ED.nii.gz") == sha256(source)


@pytest.mark.parametrize(
    ("first", "second", "suffix"),
    [
        ("p1_4CH_ED", "p1_4CH_ED", ".nii.gz"),
        ("p1_4CH_ED", "P1_4ch_ed", ".nii.gz"),
        ("p1_4CH_ED", "p1_4CH_ED", ".nii"),
        ("p1_4CH_ED", "p1_4CH_ED.nii", ".nii.gz"),
        ("M\u00fcller_4CH_ED", "Mu\u0308ller_4CH_ED", ".nii.gz"),
        ("M\u00fcller_4CH_ED", "m\u00dcLLER_4CH_ED", ".nii.gz"),
        ("stra\u00dfe", "STRASSE", ".nii.gz"),
        ("p1", "p1 ", ".nii.gz"),
    ],
)
def test_a_name_that_could_be_taken_for_another_image_s_is_refused(
    images: Images, uploads: Path, first: str, second: str, suffix: str
) -> None:
    owner = images.files.add(image(uploads, 1), first).image_id
    before = {path: path.read_bytes() for path in images.folder.glob("*.nii*")}
    with pytest.raises(ConflictError, match="taken by image") as refused:
        images.files.add(image(uploads, 2, suffix=suffix), second)
    assert repr(owner) in str(refused.value) and str(images.folder) not in str(refused.value)
    assert {path: path.read_bytes() for path in images.folder.glob("*.nii*")} == before


def test_a_file_s_name_is_taken_where_its_image_has_another_id(images: Images, uploads: Path) -> None:
    (images.folder / "scan7.nii.gz").write_bytes(image(uploads, 1).read_bytes())
    row = "ada_4CH_ED,ada,A4C,ED,made,scan7.nii.gz\n"
    (images.folder / "manifest.csv").write_text(MANIFEST + row)
    before = (images.folder / "scan7.nii.gz").read_bytes()
    for name in ("scan7", "Scan7", "ada_4CH_ED", "ADA_4ch_ed"):
        with pytest.raises(ConflictError, match="'ada_4CH_ED'"):
            images.files.add(image(uploads, 2), name)
    assert images.files.add(image(uploads, 1), "scan7").image_id == "ada_4CH_ED"
    assert (images.folder / "scan7.nii.gz").read_bytes() == before


def test_a_file_that_the_manifest_waits_for_is_added_under_its_own_id_only(
    images: Images, uploads: Path
) -> None:
    rows = "ada_4CH_ED,ada,A4C,ED,made,scan7.nii.gz\nbo_4CH_ED,bo,A4C,ED,made,bo_4CH_ED.nii.gz\n"
    (images.folder / "manifest.csv").write_text(MANIFEST + rows)
    for name in ("scan7", "ada_4CH_ED"):
        with pytest.raises(ConflictError, match="'ada_4CH_ED'"):
            images.files.add(image(uploads, 1), name)
    assert images.files.add(image(uploads, 2), "bo_4CH_ED").patient == "bo"


def test_an_unreadable_file_s_name_is_taken(images: Images, uploads: Path) -> None:
    (images.folder / "scan7.mha").write_bytes(b"of some other program")
    with pytest.raises(ConflictError, match="'scan7'"):
        images.files.add(image(uploads, 1), "scan7")


def test_an_id_whose_labels_are_kept_is_for_its_own_image_only(images: Images, uploads: Path) -> None:
    images.files.add(image(uploads, 1), "p1_4CH_ED")
    save(images.store, "p1_4CH_ED", "drawn")
    images.files.remove("p1_4CH_ED", author="ada")
    assert images.names() == []
    for name in ("p1_4CH_ED", "p1_4ch_ed"):
        with pytest.raises(ConflictError, match="'p1_4CH_ED'"):
            images.files.add(image(uploads, 2), name)
    assert images.files.add(image(uploads, 1), "p1_4CH_ED").image_id == "p1_4CH_ED"
    assert len(images.store.history("p1_4CH_ED", "final")) == 1
    with pytest.raises(UnknownImageError):
        images.files.remove("nothing", author="")


def test_an_id_whose_image_was_taken_away_by_hand_is_not_given_to_another(
    images: Images, uploads: Path
) -> None:
    images.files.add(image(uploads, 1), "p1_4CH_ED")
    save(images.store, "p1_4CH_ED", "drawn")
    (images.folder / "p1_4CH_ED.nii.gz").unlink()
    with pytest.raises(ConflictError, match="labels are kept"):
        images.files.add(image(uploads, 2), "p1_4CH_ED")


def test_an_id_without_labels_is_free_again(images: Images, uploads: Path) -> None:
    images.files.add(image(uploads, 1), "p1_4CH_ED")
    images.files.remove("p1_4CH_ED", author="")
    images.files.add(image(uploads, 2), "p1_4CH_ED")
    assert sha256(images.folder / "p1_4CH_ED.nii.gz") == sha256(image(uploads, 2))


def test_a_name_of_a_reference_mask(images: Images, uploads: Path) -> None:
    with pytest.raises(BadNameError, match="reference mask"):
        images.files.add(image(uploads, 1), "p1_4CH_ED_gt")


def test_of_many_threads_with_one_name_one_succeeds(images: Images, uploads: Path) -> None:
    sources, start = [image(uploads, value) for value in range(16)], threading.Barrier(16)

    def add(number: int) -> str | None:
        start.wait()
        try:
            return images.files.add(sources[number], ("p1", "P1")[number % 2]).image_id
        except ConflictError:
            return None

    with ThreadPoolExecutor(16) as pool:
        values = [image_id for image_id in pool.map(add, range(16)) if image_id]
    assert len(values) == 1 and images.names() == [f"{values[0]}.nii.gz"]


def _add_in_process(folder: Path, source: Path, start: object, results: object) -> None:
    images = Images(folder)
    start.wait()  # type: ignore[attr-defined]
    try:
        images.files.add(source, "p1")
        results.put(True)  # type: ignore[attr-defined]
    except ConflictError:
        results.put(False)  # type: ignore[attr-defined]
    finally:
        images.store.close()


def test_of_several_processes_with_one_name_one_succeeds(
    images: Images, uploads: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    workers = [
        context.Process(target=_add_in_process, args=(images.folder, image(uploads, value), start, results))
        for value in range(4)
    ]
    for worker in workers:
        worker.start()
    succeeded = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sum(succeeded) == 1 and images.names() == ["p1.nii.gz"]


def test_replacing_keeps_the_old_file_and_the_final_label(images: Images, uploads: Path) -> None:
    old, new = image(uploads, 1), image(uploads, 2)
    images.files.add(old, "p1_4CH_ED")
    save(images.store, "p1_4CH_ED", "drawn")
    save(images.store, "p1_4CH_ED", "predicted", tag="original")
    replaced = images.files.replace("p1_4CH_ED", new, checksum=sha256(old), author="ada")
    assert (replaced.version, replaced.checksum) == (1, sha256(new))
    assert sha256(images.folder / "p1_4CH_ED.nii.gz") == sha256(new)
    stored = images.folder / ".cardiolabel" / "images" / "p1_4CH_ED"
    assert sha256(stored / "1.nii.gz") == sha256(old)
    note = json.loads((stored / "1.json").read_text())
    assert (note["replaced_by"], note["sha256"]) == ("ada", sha256(old))
    assert [label.tag for label in images.store.labels("p1_4CH_ED")] == ["final"]
    assert len(images.store.history("p1_4CH_ED", "original")) == 1
    again = images.files.replace("p1_4CH_ED", new, checksum=sha256(new), author="ada")
    assert again.version == 1
    back = images.files.replace("p1_4CH_ED", stored / "1.nii.gz", checksum=sha256(new), author="ada")
    assert back.version == 2 and sha256(images.folder / "p1_4CH_ED.nii.gz") == sha256(old)


def test_what_another_replaced_meanwhile_is_not_replaced(images: Images, uploads: Path) -> None:
    old = image(uploads, 1)
    images.files.add(old, "p1")
    start = threading.Barrier(8)

    def replace(value: int) -> int:
        source = image(uploads, value)
        start.wait()
        try:
            images.files.replace("p1", source, checksum=sha256(old), author="")
        except ConflictError as error:
            assert error.details["checksum"].startswith("SHA256:")
            return 0
        return value

    with ThreadPoolExecutor(8) as pool:
        values = [value for value in pool.map(replace, range(2, 10)) if value]
    assert len(values) == 1
    assert sha256(images.folder / "p1.nii.gz") == sha256(image(uploads, values[0]))


@pytest.mark.parametrize("change", [{"width": 9}, {"mm": 0.6}, {"suffix": ".nii"}])
def test_pixels_elsewhere_do_not_replace(images: Images, uploads: Path, change: dict[str, float]) -> None:
    old = image(uploads, 1)
    images.files.add(old, "p1")
    with pytest.raises(ImageContentError, match="'p1'"):
        images.files.replace("p1", image(uploads, 2, **change), checksum=sha256(old), author="")  # type: ignore[arg-type]
    assert sha256(images.folder / "p1.nii.gz") == sha256(old)
    assert not (images.folder / ".cardiolabel" / "images" / "p1").exists()


def test_name_keys_of_different_names_differ() -> None:
    names = ["p1", "p2", "p1_4CH_ED", "p1_4CH_ES", "p1_2CH_ED", "p10", "p1-1", "p1.1"]
    assert len({name_key(name) for name in names}) == len(names)


def test_what_a_killed_process_left_is_cleared_and_what_is_written_now_stays(
    images: Images, uploads: Path
) -> None:
    images.files.add(image(uploads, 1), "p1")
    left = images.folder / ".partial-0123.nii.gz"
    left.write_bytes(b"half an image")
    os.utime(left, (0, 0))
    with atomic(images.folder / "p2.nii.gz") as draft:
        draft.write_bytes(b"half another")
        os.utime(draft, (0, 0))
        images.files.clear_abandoned()
        assert draft.is_file()
    assert images.names() == ["p1.nii.gz", "p2.nii.gz"]
