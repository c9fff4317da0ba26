"""The page of a folder's results: complete, escaped, self-contained, and not too large."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

from cardiolabel.domain import Convention, Method
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import PatientRow
from cardiolabel.reporting.ef_histogram import ef_histogram_svg
from cardiolabel.reporting.summary_page import (
    FLAG_WORDS,
    FolderSummary,
    PatientSummary,
    Reference,
    Source,
    summary_page,
)

MODEL = {"name": "camus", "version": "2.2.0", "sha256": "0123456789abcdef" * 4, "engine": "torch cpu"}
EVIL = "<script>alert('x')</script>&\""
ROW = PatientRow("p1", Method.BIPLANE, Convention.GUIDELINE, edv_ml=100.0, esv_ml=45.0, ef_pct=55.0)
SUMMARY = FolderSummary(
    folder="heart",
    model=MODEL,
    made=datetime(2026, 5, 4, 3, 2, tzinfo=UTC),
    images=4,
    patients=[PatientSummary(ROW)],
    problems=[],
)
VOID = {"meta", "img", "rect", "line"}


class Reader(HTMLParser):
    """Elements, their attributes and texts; complains of tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def page(found: FolderSummary) -> str:
    return "".join(summary_page(found))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_says_what_was_run_and_on_what() -> None:
    text = " ".join(read(page(SUMMARY)).words)
    for message in (
        "heart",
        "4, of 1 patients",
        "camus 2.2.0",
        "0123456789ab",
        "torch cpu",
        "2026-05-04 03:02 UTC",
    ):
        assert message in text
    assert "0123456789abc" not in text


def test_nothing_of_a_file_becomes_markup() -> None:
    row = replace(ROW, patient=EVIL, reason=EVIL, ef_pct=None)
    result = replace(
        SUMMARY,
        folder=EVIL,
        model=dict.fromkeys(MODEL, EVIL),
        problems=[(EVIL, EVIL)],
        patients=[PatientSummary(row, overlays=(EVIL,))],
    )
    text = page(result)
    reader = read(text)
    assert "<script" not in text
    assert {tag for tag, _ in reader.found} >= {"table", "img", "a"}
    assert "script" not in {tag for tag, _ in reader.found}
    assert not any(name.startswith("on") for _, attributes in reader.found for name in attributes)
    assert EVIL in reader.words


def test_nothing_is_fetched_but_pictures_beside_the_page() -> None:
    each = PatientSummary(ROW, overlays=("a b#1%_ED",))
    text = page(replace(SUMMARY, patients=[each], bland_altman_png=b"png"))
    reader = read(text)
    used = [
        value for _, attributes in reader.found for name in ("src", "href") if (value := attributes.get(name))
    ]
    assert set(used) == {"overlays/a%20b%231%25_ED.png", "data:image/png;base64,cG5n"}
    (picture,) = (result for tag, result in reader.found if tag == "img" and "overlays" in str(result["src"]))
    assert picture["loading"] == "lazy" and picture["alt"] == "a b#1%_ED"
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", text)
    assert "url(" not in text and "@import" not in text


def test_flagged_patients_come_first_then_names() -> None:
    flagged = (Flag.FORESHORTENING, Flag.UNUSUAL_EF)
    rows = [
        replace(ROW, patient="c"),
        replace(ROW, patient="a", ef_pct=None, reason="no A2C image"),
        replace(ROW, patient="d", quality=flagged),
        replace(ROW, patient="b", quality=flagged[:1]),
    ]
    reader = read(page(replace(SUMMARY, patients=[PatientSummary(row) for row in rows])))
    _, *lines = reader.rows
    assert [line[0] for line in lines] == ["b", "d", "a", "c"]
    assert all(FLAG_WORDS[flag] in lines[1][5] for flag in flagged)
    assert lines[2][1:] == ["", "100.0", "45.0", "not measurable", "no A2C image"]
    assert "Flagged: 2 of 4; they come first." in " ".join(reader.words)


def test_an_ef_has_its_interval_below_it_where_the_model_gives_one() -> None:
    row = replace(ROW, ef_low_pct=41.4, ef_high_pct=68.6)
    reader = read(page(replace(SUMMARY, patients=[PatientSummary(row)])))
    assert reader.rows[1][1] == "55.041 to 69"


def test_every_flag_has_words() -> None:
    assert set(FLAG_WORDS) == set(Flag)


def test_references_say_where_they_are_from_and_differ_within_one_convention() -> None:
    references = {
        "m": Reference(Source.MASKS, 50.0, Convention.GUIDELINE, 55.0),
        "n": Reference(Source.MANIFEST, 50.0, Convention.CAMUS, 47.5),
        "o": Reference(Source.MANIFEST, 50.0, None, None),
        "p": None,
    }
    patients = [PatientSummary(replace(ROW, patient=name), each) for name, each in references.items()]
    reader = read(page(replace(SUMMARY, patients=patients, bland_altman_png=b"png")))
    head, *lines = reader.rows
    assert head[-2:] == ["Reference EF, %", "Difference, points"]
    assert [line[-2:] for line in lines] == [
        ["50.0", "+5.0"],
        ["50.0manifest, camus; predicted 47.5", "−2.5"],
        ["50.0manifest, convention not named", ""],
        ["", ""],
    ]
    text = " ".join(reader.words)
    assert "labels/final by the same code" in text and "that of manifest.csv" in text
    assert "Reference" not in " ".join(read(page(SUMMARY)).rows[0])


def test_images_without_a_mask_are_listed_and_very_many_are_counted() -> None:
    problems = [(f"image{number}", "torn " * 99) for number in range(600)]
    reader = read(page(replace(SUMMARY, problems=problems)))
    named = [row for row in reader.rows if row[0].startswith("image")]
    assert len(named) == 500 and all(len(row[1]) < 310 for row in named)
    text = " ".join(reader.words)
    assert "Images without a mask: 600" in text and "100 more are in frames.csv" in text


def test_a_patient_without_any_ef_is_reported() -> None:
    reader = read(page(replace(SUMMARY, patients=[PatientSummary(replace(ROW, ef_pct=None, reason="torn"))])))
    assert "No patient has an EF" in " ".join(reader.words)
    assert "svg" not in {tag for tag, _ in reader.found}


def test_groups_of_ef_are_counted_with_their_borders() -> None:
    efs = (10.0, 40.0, 40.1, 49.9, 50.0, 70.0)
    patients = [PatientSummary(replace(ROW, ef_pct=ef)) for ef in (*efs, None)]
    text = " ".join(read(page(replace(SUMMARY, patients=patients))).words)
    assert "Reduced (≤ 40 %): 2; between: 2; preserved (≥ 50 %): 2. Without an EF: 1." in text


def test_bars_are_as_high_as_patients_are_many() -> None:
    svg = ef_histogram_svg([1.0, 52.0, 53.0, 54.9, 100.0])
    bars = re.findall(r'height="([\d.]+)" fill="[^"]+"><title>(\d+ to \d+) %: (\d+)', svg)
    assert len(bars) == 20
    assert {edges: (float(high), int(count)) for high, edges, count in bars if count != "0"} == {
        "0 to 5": (63.3, 1),
        "50 to 55": (190.0, 3),
        "95 to 100": (63.3, 1),
    }


def test_ten_thousand_images_make_a_page_under_5_mb() -> None:
    row = replace(ROW, quality=(Flag.FORESHORTENING, Flag.ANNULUS_TILT, Flag.FRAGMENTS))
    reference = Reference(Source.MANIFEST, 50.0, Convention.CAMUS, 47.5)
    patients = [
        PatientSummary(
            replace(row, patient=f"patient{number:05d}"),
            reference,
            tuple(f"patient{number:05d}_{view}CH_{phase}" for view in "24" for phase in ("ED", "ES")),
        )
        for number in range(2500)
    ]
    pieces = list(summary_page(replace(SUMMARY, patients=patients)))
    assert sum(map(len, pieces)) < 5_000_000
    assert max(map(len, pieces)) < 10_000  # written row by row
