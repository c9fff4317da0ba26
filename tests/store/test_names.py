"""Names that could lead elsewhere are refused before anything touches the disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.errors import BadNameError
from cardiolabel.records.names import check_name, is_name
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, save, text_of

ONE = image_ids(1)[0]
GOOD = ("a", "0", "p1_4CH_ED", "A.b-c_d", "x..y", "a" * 248, "final", "CON")
BAD = (
    "",
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "a/b",
    "../a",
    "a/../b",
    "/a",
    "a\\b",
    "C:\\a",
    "a\0b",
    "a\n",
    "\na",
    "a b",
    "a%2fb",
    "a%00",
    "~a",
    "$a",
    "a*",
    "a?",
    "a'",
    'a"',
    "ä",
    "a\u0301",
    "\u202ea",
    "a\u2215b",
    "a" * 249,
    "a" * 100_000,
)


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_taken(name: str) -> None:
    assert is_name(name) and check_name("tag", name) == name


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_names_that_are_refused(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(BadNameError, match=r"^tag ['\"]") as caught:
        check_name("tag", name)
    assert len(str(caught.value)) < 600  # escaped, and never the whole of a long one


@pytest.mark.parametrize("name", [None, 1, b"a", ["a"]])
def test_what_is_no_text_is_no_name(name: object) -> None:
    assert not is_name(name)


@given(st.text())
def test_whatever_is_taken_stays_in_its_folder(name: str) -> None:
    if is_name(name):
        assert name.isascii() and not set(name) & set("/\\:\0\n") and not name.startswith(".")


def test_nothing_touches_the_disk(plain_folder: Folder) -> None:
    store = plain_folder.open()
    before = sorted(path for path in plain_folder.path.parent.rglob("*"))
    for image_id, tag in [(name, "final") for name in BAD] + [(ONE, name) for name in BAD]:
        with pytest.raises(BadNameError):
            save(store, image_id, "mine", tag=tag)
        with pytest.raises(BadNameError):
            store.writer.roll_back(image_id, tag, 1, Save())
        with pytest.raises(BadNameError):
            store.writer.remove_label(image_id, tag)
        with pytest.raises(BadNameError):
            store.label_path(image_id, tag)
    for name in BAD[1:12]:
        assert store.label(name, name) is None and store.history(name, "final") == []
    assert sorted(path for path in plain_folder.path.parent.rglob("*")) == before


def test_the_longest_id_that_a_file_can_have_can_be_labelled(plain_folder: Folder) -> None:
    longest = "i" * 248
    plain_folder.add([longest])
    store = plain_folder.open()
    save(store, longest, "mine")
    assert text_of(plain_folder.label(longest)) == "mine"


def test_ids_that_differ_in_case_alone_are_two(plain_folder: Folder) -> None:
    plain_folder.add(["scan", "SCAN"])
    store = plain_folder.open()
    for each in ("scan", "SCAN"):
        save(store, each, each)
    assert [text_of(plain_folder.label(each)) for each in ("scan", "SCAN")] == ["scan", "SCAN"]
