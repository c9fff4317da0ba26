"""The manifest: round trips, what people do to it, names, scans and the split."""

from __future__ import annotations

import gzip
import logging
import unicodedata
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.domain import Convention, Phase, Record, View
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.records import file_names, manifest

HEADER = "image_id,patient,view,phase,dataset,path"


def record(folder: Path, image_id: str = "p1_4CH_ED", patient: str = "p1") -> Record:
    return Record(image_id, patient, View.A4C, Phase.ED, "camus", folder / f"{image_id}.nii.gz")


def full_record(folder: Path) -> Record:
    return replace(
        record(folder, "p2_2CH_cine", "p2"),
        view=View.A2C,
        phase=Phase.CINE,
        ed_frame=11,
        es_frame=1,
        frame_rate_hz=56.5,
        sex="M",
        age_years=65,
        image_quality="Medium",
        reference_ef_pct=9.1,
        reference_convention=Convention.CAMUS,
        split="VAL",
    )


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "manifest.csv").write_bytes(text.encode(encoding))
    return folder


def named(*names: str) -> list[Record]:
    return [file_names.record_from_name(Path(name)) for name in names]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = [record(tmp_path), full_record(tmp_path)]
    manifest.write(records, tmp_path)
    back = manifest.read(tmp_path)
    assert back == records
    assert [item.path for item in back] == [item.path for item in records]
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


def test_every_field_of_a_record_is_a_column(tmp_path: Path) -> None:
    manifest.write([record(tmp_path)], tmp_path)
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert lines[0].split(",") == [field.name for field in fields(Record)]
    assert lines[1] == "p1_4CH_ED,p1,A4C,ED,camus,p1_4CH_ED.nii.gz,,,,,,,,,,,,"


def test_no_records_is_a_manifest_too(tmp_path: Path) -> None:
    manifest.write([], tmp_path)
    assert manifest.read(tmp_path) == []


@pytest.mark.parametrize("patient", ["Müller, Jürgen", 'the "second"', "a;b", "病人"])
def test_patients_may_be_called_anything(tmp_path: Path, patient: str) -> None:
    manifest.write([record(tmp_path, patient=patient)], tmp_path)
    assert manifest.read(tmp_path)[0].patient == patient


def test_people_reorder_columns_and_excel_adds_a_mark_and_blank_lines(tmp_path: Path) -> None:
    text = (
        "\ufeff path , view,phase,dataset,patient,image_id,es_frame,age_years,sex\r\n"
        "a.nii.gz, a4c ,ed,camus,p1,a,3.0,,\r\n,,,,,,,,\r\n\r\nb.nii.gz,UNKNOWN,Cine,camus,p2,b\r\n"
    )
    first, second = manifest.read(written(tmp_path, text))
    assert (first.view, first.phase, first.es_frame) == (View.A4C, Phase.ED, 3)
    assert first.age_years is None and first.sex is None and first.ed_frame is None
    assert (second.view, second.phase, second.es_frame) == (View.UNKNOWN, Phase.CINE, None)


def test_an_extra_column_of_notes_is_ignored_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert manifest.read(written(tmp_path, f"{HEADER},notes\na,p1,A4C,ED,camus,a.nii.gz,nice\n"))
    assert "notes" in caplog.text


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("a,p1,PLAX,ED,camus,a.nii.gz", "view"),
        ("a,p1,A4C,systole,camus,a.nii.gz", "phase"),
        ("a,p1,A4C,ED,camus,../a.nii.gz", "path"),
        ("a,p1,A4C,ED,camus,b/../../a.nii.gz", "path"),
        ("a,p1,A4C,ED,camus,/data/a.nii.gz", "path"),
        (r"a,p1,A4C,ED,camus,C:\data\a.nii.gz", "path"),
        (r"a,p1,A4C,ED,camus,..\a.nii.gz", "path"),
        ("a,p1,A4C,ED,camus,.", "path"),
        ("../a,p1,A4C,ED,camus,a.nii.gz", "image_id"),
        (".a,p1,A4C,ED,camus,a.nii.gz", "image_id"),
        ("a b,p1,A4C,ED,camus,a.nii.gz", "image_id"),
        (",p1,A4C,ED,camus,a.nii.gz", "image_id"),
        ("a,,A4C,ED,camus,a.nii.gz", "patient"),
        ("a,p1,A4C,ED,camus", "path"),
        ("ok,p1,A4C,ED,camus,b.nii.gz", "image_id"),
        ("b,p1,A4C,ED,camus,ok.nii.gz", "path"),
    ],
)
def test_faults_name_line_and_column(tmp_path: Path, row: str, column: str) -> None:
    text = f"{HEADER}\nok,p0,A4C,ED,camus,ok.nii.gz\n{row}\n"
    with pytest.raises(ManifestError, match=rf"manifest\.csv, line 3, column {column}: .*expected"):
        manifest.read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *[("ed_frame", cell) for cell in ("0", "-1", "1.5", "one", "nan", "inf", "1e400")],
        *[("frame_rate_hz", cell) for cell in ("0", "-50", "nan", "fast")],
        *[("age_years", cell) for cell in ("-1", "6,5".replace(",", "."), "old")],
        *[("reference_ef_pct", cell) for cell in ("-1", "101", "nan", "55%")],
        ("reference_convention", "simpson"),
    ],
)
def test_optional_cells_are_checked_too(tmp_path: Path, column: str, cell: str) -> None:
    text = f"{HEADER},{column}\na,p1,A4C,ED,camus,a.nii.gz,{cell}\n"
    with pytest.raises(ManifestError, match=rf"line 2, column {column}: '{cell}'; expected"):
        manifest.read(written(tmp_path, text))


def test_the_values_that_exist_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="one of A2C, A4C, SAX, unknown"):
        manifest.read(written(tmp_path, f"{HEADER}\na,p1,5CH,ED,camus,a.nii.gz\n"))


def test_lines_are_counted_in_the_file_and_not_in_rows(tmp_path: Path) -> None:
    text = f'{HEADER}\n\na,"p\n1",A4C,ED,camus,a.nii.gz\nb,p,A9C,ED,camus,b.nii.gz\n'
    with pytest.raises(ManifestError, match="line 5, column view"):
        manifest.read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column image_id"),
        (HEADER.replace(",view", ""), "no column view"),
        (HEADER.replace(",", ";"), "semicolons"),
        (f"{HEADER},path", "path occurs twice"),
        (f"{HEADER}\na,p1,A4C,ED,camus,a.nii.gz,,,x", "line 2.*cells"),
        (f'{HEADER}\na,"p1,A4C', "line 2.*comma-separated"),
    ],
)
def test_malformed_tables(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        manifest.read(written(tmp_path, text))


def test_other_encodings_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="line 2: expected UTF-8"):
        manifest.read(written(tmp_path, f"{HEADER}\na,Müller,A4C,ED,camus,a.nii.gz\n", "latin-1"))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.csv: cannot be read"):
        manifest.read(tmp_path)


def test_links_and_detours_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (folder / "a.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    for path in (folder / "a.nii.gz", tmp_path / "link" / "a.nii.gz", folder / ".." / "studies" / "a.nii.gz"):
        manifest.write([replace(record(folder), path=path)], folder)
        assert manifest.read(folder)[0].path == folder / "a.nii.gz"


@pytest.mark.parametrize("fault", ["outside", "id", "twice"])
def test_what_read_would_refuse_is_not_written(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    manifest.write([record(folder)], folder)
    before = (folder / "manifest.csv").read_bytes()
    wrong = {
        "outside": [replace(record(folder), path=tmp_path / "a.nii.gz")],
        "id": [replace(record(folder), image_id="a/b")],
        "twice": [record(folder), record(folder)],
    }[fault]
    with pytest.raises(ManifestError):
        manifest.write(wrong, folder)
    assert (folder / "manifest.csv").read_bytes() == before
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "patient", "view", "phase"),
    [
        ("patient0001_4CH_ED.nii.gz", "patient0001", View.A4C, Phase.ED),
        ("PATIENT0001_2ch_es.NII.GZ", "PATIENT0001", View.A2C, Phase.ES),
        ("patient0001_4CH_half_sequence.nii.gz", "patient0001", View.A4C, Phase.CINE),
        ("patient0001_4CH_sequence.mhd", "patient0001", View.A4C, Phase.CINE),
        ("X_A4C_cine.mha", "X", View.A4C, Phase.CINE),
        ("X_A2C.nii", "X", View.A2C, Phase.CINE),
        ("X-es-a2c.nii", "X", View.A2C, Phase.ES),
        ("SC-HF-I-1_sax.nii.gz", "SC-HF-I-1", View.SAX, Phase.CINE),
        ("a_b_ED.nii", "a_b", View.UNKNOWN, Phase.ED),
        ("scan.nii", "scan", View.UNKNOWN, Phase.CINE),
        ("patient0001.4CH.nii", "patient0001.4CH", View.UNKNOWN, Phase.CINE),
        ("p1_4CH_ED_copy.nii", "p1_4CH_ED_copy", View.UNKNOWN, Phase.CINE),
        ("reused_shed.nii", "reused_shed", View.UNKNOWN, Phase.CINE),
        ("4CH_ED.nii", "4CH_ED", View.A4C, Phase.ED),
        ("Jürgen_4CH_ED.nii", "Jürgen", View.A4C, Phase.ED),
    ],
)
def test_names(name: str, patient: str, view: View, phase: Phase) -> None:
    understood = file_names.record_from_name(Path(name))
    assert (understood.patient, understood.view, understood.phase) == (patient, view, phase)
    assert (understood.dataset, understood.path) == ("folder", Path(name))


@given(st.text(min_size=1).filter(lambda text: "/" not in text))
def test_any_name_gives_an_id_that_the_manifest_takes(name: str) -> None:
    understood = file_names.record_from_name(Path("f") / f"{name}.nii")
    assert file_names.clean_id(understood.image_id) == understood.image_id
    assert understood.image_id.isascii() and understood.image_id[0].isalnum()


def test_two_names_that_differ_stay_two_patients() -> None:
    first, other = named("Müller_4CH_ED.nii", "Möller_2CH_ED.nii")
    assert first.patient != other.patient


def test_a_scan_adds_what_the_manifest_does_not_name(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "p1_4CH_ED.nii.gz", "a.mha", "c.mhd", "c.raw", ".hidden.nii", "b_gt.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "labels" / "final").mkdir(parents=True)
    (tmp_path / "labels" / "final" / "b.nii.gz").touch()
    manifest.write([replace(record(tmp_path), view=View.A2C, patient="renamed")], tmp_path)
    result = manifest.scan(tmp_path, strict=True)
    assert [item.image_id for item in result] == ["p1_4CH_ED", "a", "b", "c"]
    assert (result[0].patient, result[0].view) == ("renamed", View.A2C)


@pytest.mark.parametrize(
    ("cell", "file"),
    [
        (r"images\p1.nii.gz", "images/p1.nii.gz"),
        (r".\images\deep\p1.nii.gz", "images/deep/p1.nii.gz"),
        (r"images/deep\p1.nii.gz", "images/deep/p1.nii.gz"),
        (r"images\P1.NII.GZ", "images/P1.NII.GZ"),
        (r"bilder\Müller 1.nii.gz", unicodedata.normalize("NFD", "bilder/Müller 1.nii.gz")),
        (r"odd\name.nii.gz", r"odd\name.nii.gz"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_paths_may_be_written_as_on_windows(tmp_path: Path, cell: str, file: str, encoding: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    written(tmp_path, f"{HEADER}\r\nx,P,A4C,ED,x,{cell}\r\n", encoding)
    (result,) = manifest.scan(tmp_path, strict=True)
    assert (result.image_id, result.path) == ("x", tmp_path / file)


@pytest.mark.parametrize(
    "cell", [r"C:\images\p1.nii.gz", r"\\server\p1.nii.gz", r"..\p1.nii.gz", r"C:p1.nii"]
)
def test_paths_out_of_the_folder_are_refused_with_line_and_column(tmp_path: Path, cell: str) -> None:
    with pytest.raises(
        ManifestError, match=r"line 2, column path: .*; expected a file in the manifest's own"
    ):
        manifest.read(written(tmp_path, f"{HEADER}\nx,P,A4C,ED,x,{cell}\n"))


def test_one_file_written_in_two_ways_is_refused(tmp_path: Path) -> None:
    text = f"{HEADER}\na,P,A4C,ED,x,images/p1.nii.gz\nb,P,A4C,ES,x,images\\p1.nii.gz\n"
    with pytest.raises(ManifestError, match=r"line 3, column path: .* is on line 2 already"):
        manifest.read(written(tmp_path, text))


def test_a_compressed_manifest_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(gzip.compress(HEADER.encode()))
    with pytest.raises(ManifestError, match=r"manifest\.csv: compressed with gzip"):
        manifest.read(tmp_path)


def test_a_scan_needs_no_manifest(tmp_path: Path) -> None:
    assert manifest.scan(tmp_path) == []
    (tmp_path / "p1_4CH_ED.nii.gz").touch()
    assert manifest.scan(tmp_path)[0].view is View.A4C


def test_a_scan_never_gives_one_id_twice(tmp_path: Path) -> None:
    for name in ("a b.nii", "a_b.nii", "A_B.nii.gz", "p1_4CH_ED.nii.gz", "x.nii.gz"):
        (tmp_path / name).touch()
    manifest.write([replace(record(tmp_path), path=tmp_path / "x.nii.gz")], tmp_path)
    ids = [item.image_id for item in manifest.scan(tmp_path)]
    assert len(ids) == len(set(ids)) == 5


def test_missing_files_are_left_out_without_naming_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest.write([record(tmp_path, "secret_name")], tmp_path)
    caplog.set_level(logging.DEBUG)
    assert manifest.scan(tmp_path) == []
    levels = {entry.levelno: entry.getMessage() for entry in caplog.records}
    assert "secret" not in levels[logging.WARNING] and "1 images" in levels[logging.WARNING]
    assert "secret" in levels[logging.DEBUG]
    with pytest.raises(ManifestError, match=r"secret_name\.nii\.gz"):
        manifest.scan(tmp_path, strict=True)


def test_a_scan_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        manifest.scan(tmp_path / "nowhere")


PATIENTS = st.sets(st.text("abcdefgh0123", min_size=1, max_size=4), min_size=1, max_size=20)


@given(PATIENTS, st.integers(0, 20), st.integers(), st.randoms(use_true_random=False))
def test_the_split_keeps_patients_whole(patients: set[str], holdout: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    records = named(
        *[
            f"{name}_{view}_{phase}.nii"
            for name in sorted(patients)
            for view in ("2CH", "4CH")
            for phase in ("ED", "ES")
        ]
    )
    holdout = min(holdout, len(patients))
    stored, aside = manifest.split_by_patient(records, holdout=holdout, seed=seed)
    assert len({item.patient for item in aside}) == holdout
    assert not {item.patient for item in aside} & {item.patient for item in stored}
    assert len(stored) + len(aside) == len(records)
    random.shuffle(records)
    again = manifest.split_by_patient(records, holdout=holdout, seed=seed)[1]
    assert {item.image_id for item in again} == {item.image_id for item in aside}


@given(PATIENTS, st.integers(), st.integers(0, 20))
def test_a_new_patient_displaces_at_most_one(patients: set[str], seed: int, holdout: int) -> None:
    holdout = min(holdout, len(patients))
    before = {r.patient for r in manifest.split_by_patient(named(*patients), holdout=holdout, seed=seed)[1]}
    grown = named(*patients, "newcomer")
    after = {r.patient for r in manifest.split_by_patient(grown, holdout=holdout, seed=seed)[1]}
    assert after <= before | {"newcomer"}
    assert len(before - after) <= 1


def test_another_seed_gives_another_split() -> None:
    records = named(*[f"p{number}" for number in range(100)])
    sides = [manifest.split_by_patient(records, holdout=50, seed=seed)[1] for seed in (0, 1)]
    assert sides[0] != sides[1]


def test_the_split_of_a_published_ranking_never_changes() -> None:
    records = named("a_4CH_ED", "b_4CH_ED", "c_4CH_ED", "d_4CH_ED", "e_4CH_ED")
    assert {r.patient for r in manifest.split_by_patient(records, holdout=2, seed=7)[1]} == {"c", "e"}


@pytest.mark.parametrize("holdout", [-1, 3])
def test_more_patients_than_there_are(holdout: int) -> None:
    with pytest.raises(DatasetError, match="2 patients"):
        manifest.split_by_patient(named("a", "b"), holdout=holdout, seed=0)


@pytest.mark.parametrize("cell", ["val", "Val", "VAL"])
def test_a_split_is_read_in_any_letter_case(tmp_path: Path, cell: str) -> None:
    (result,) = manifest.read(written(tmp_path, f"{HEADER},split\na,p1,A4C,ED,camus,a.nii.gz,{cell}\n"))
    assert result.split == "VAL"


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="column split: 'held out'; expected one of TRAIN, VAL, TEST"):
        manifest.read(written(tmp_path, f"{HEADER},split\na,p1,A4C,ED,camus,a.nii.gz,held out\n"))
    with pytest.raises(ValueError, match="expected one of TRAIN, VAL, TEST"):
        replace(record(tmp_path), split="val")
