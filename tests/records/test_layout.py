"""One class knows where the files of a studies folder lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.domain import Phase, Record, View
from cardiolabel.records.layout import FINAL, ORIGINAL, StudiesLayout, file_of, id_of, labelled_records

STUDIES = StudiesLayout(Path("studies"))


@pytest.mark.parametrize("image_id", ["p1_4CH_ED", "a.b", "x.nii"])
def test_an_id_survives_its_file_name(image_id: str) -> None:
    assert id_of(file_of(Path("masks"), image_id)) == image_id


def test_masks_lie_below_their_tag() -> None:
    assert STUDIES.label("p1", ORIGINAL) == Path("studies/labels/original/p1.nii.gz")
    assert STUDIES.label("p1").parent == STUDIES.final == STUDIES.tagged(FINAL)


def test_private_files_lie_in_one_folder() -> None:
    private = (STUDIES.versions, STUDIES.drafts, STUDIES.database, STUDIES.image_ids)
    assert {path.parent for path in private} == {STUDIES.home}


def record(image_id: str, view: View) -> Record:
    return Record(image_id, "p", view, Phase.ED, "made", Path(image_id))


def test_records_with_a_mask_are_kept_in_order(tmp_path: Path) -> None:
    records = [record("b", View.A4C), record("a", View.A2C), record("c", View.SAX), record("d", View.A4C)]
    for image_id in "abc":
        file_of(tmp_path, image_id).touch()
    assert [stored.image_id for stored in labelled_records(records, tmp_path)] == ["b", "a", "c"]
    apical = labelled_records(records, tmp_path, {View.A2C, View.A4C})
    assert [stored.image_id for stored in apical] == ["b", "a"]


def test_a_folder_among_the_masks_is_no_mask(tmp_path: Path) -> None:
    file_of(tmp_path, "a").mkdir()
    assert labelled_records([record("a", View.A4C)], tmp_path) == []
