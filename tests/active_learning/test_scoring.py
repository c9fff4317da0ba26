"""Phantom studies scored by the shipped model, and what the worklist makes of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.active_learning.patient_score import ScoringImage, score_patient
from cardiolabel.active_learning.score_folder import pending, score_folder
from cardiolabel.active_learning.selection import STRATEGIES
from cardiolabel.active_learning.worklist import Worklist
from cardiolabel.cli.options import MODELS
from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Convention, Method, View
from cardiolabel.io import nifti
from cardiolabel.measurements.records import Study
from cardiolabel.models.models import SOURCES, Models
from cardiolabel.store.store import Store
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.score_reader import ScoreReader
from cardiolabel.studies.studies import Studies
from cardiolabel.uncertainty.swapped_views import ViewDirection

pytestmark = pytest.mark.skipif(
    not (MODELS / "camus.safetensors").is_file(), reason="needs the shipped weights of camus"
)

WAY = (Method.BIPLANE, Convention.GUIDELINE)


@pytest.fixture(scope="module")
def models() -> Models:
    """The shipped model, which tells views apart in patients, but not in what phantoms have for them."""
    models = Models([SOURCES["camus"]], MODELS)
    predictor = models.named("camus")
    predictor.card = replace(predictor.card, views={})
    return models


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Path:
    """Three phantoms, called clinical ones, that were scored."""
    folder = tmp_path_factory.mktemp("scored") / "studies"
    write_sample(folder, patients=3, seed=1)
    listed = folder / "manifest.csv"
    listed.write_text(listed.read_text().replace(",phantom,", ",clinic,"))
    studies = Studies(folder, models=models)
    store = Store(folder, records=studies.by_id, watch=False)
    assert score_folder(studies, store) == 3
    store.close()
    return folder


@pytest.fixture
def opened(original: Path, models: Models, tmp_path: Path) -> Iterator[tuple[Studies, Store, Worklist]]:
    folder = tmp_path / "studies"
    shutil.copytree(original, folder)  # keeps modification times
    studies = Studies(folder, models=models)
    store = Store(folder, records=studies.by_id, watch=False)
    reader = ScoreReader(store)
    yield studies, store, Worklist(PatientReports(studies, reader), store, reader)
    store.close()


def submit(studies: Studies, image_id: str) -> None:
    record = studies.record(image_id)
    target = studies.folder / "labels" / "final" / f"{image_id}.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    masks = nifti.read_mask(studies.folder / "truth" / f"{image_id}.nii.gz")
    nifti.write_mask_like(masks, target, grid=nifti.read(record.path).grid)


def spread(store: Store, patient: str) -> float:
    (result,) = [
        score.score["ef"][0]["spread_pct"] for score in store.scores_since(0) if score.patient == patient
    ]
    return float(result)


def test_ef_is_that_of_the_masks_and_its_interval_holds_it(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, _ = opened
    for patient in studies.by_patient():
        (row,) = [r for r in studies.measure(patient).study.rows if (r.method, r.convention) == WAY]
        seen = [ScoringImage(record, studies.image(record)) for record in studies.of_patient(patient)]
        score = score_patient(seen, studies.models.named("camus"))
        best = score.best()
        assert best is not None
        assert best[0].ef_pct == pytest.approx(row.ef_pct, abs=0.5)
        assert 0.3 < best[1].spread_pct < 15
        assert sum(best[1].share.values()) == pytest.approx(1)
        spreads = ScoreReader(store).spreads_pct(patient, state=studies.state(patient))
        assert ScoreReader(store).spreads_pct(patient, state="other") == {}
        assert spreads[WAY] == pytest.approx(best[1].spread_pct, abs=0.01)


def test_intervals_are_of_the_spread_while_it_is_known(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, _ = opened
    plain, scored = PatientReports(studies), PatientReports(studies, ScoreReader(store))
    flat, drawn = (width(reports.measure("phantom01").study) for reports in (plain, scored))
    assert flat == pytest.approx(
        2 * studies.models.named("camus").card.intervals["biplane guideline"]["flat_pct"]
    )
    assert drawn != pytest.approx(flat)
    submit(studies, "phantom01_4CH_ED")
    assert width(scored.measure("phantom01").study) == pytest.approx(flat)  # the spread was of other masks


def width(study: Study) -> float:
    (row,) = [r for r in study.rows if (r.method, r.convention) == WAY]
    assert row.ef_low_pct is not None
    assert row.ef_high_pct is not None
    return row.ef_high_pct - row.ef_low_pct


def test_only_what_changed_is_scored_again(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, _ = opened
    assert pending(studies, store) == []
    patient = next(iter(studies.by_patient()))
    image_id = studies.of_patient(patient)[0].image_id
    before = spread(store, patient)
    submit(studies, image_id)
    assert [each for each, _ in pending(studies, store)] == [patient]
    assert score_folder(studies, store) == 1
    assert spread(store, patient) < before
    (score,) = [score.score for score in store.scores_since(0) if score.patient == patient]
    assert image_id not in score["shares"]
    assert score["images"][image_id]["entropy"] is None


def test_a_budget_ends_after_a_whole_patient(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, _ = opened
    for patient in studies.by_patient():
        submit(studies, studies.of_patient(patient)[0].image_id)
    assert score_folder(studies, store, most_images=1) == 1
    assert len(pending(studies, store)) == 2


def test_a_broken_image_is_flagged_and_the_others_scored(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, worklist = opened
    record = studies.of_patient("phantom01")[0]
    record.path.write_bytes(b"not an image")
    score_folder(studies, store)
    rows = {row["image"]: row for row in worklist.rows()}
    assert rows[record.image_id]["flags"] == ["unreadable"]
    others = [
        row for row in rows.values() if row["patient"] == "phantom01" and row["image"] != record.image_id
    ]
    assert all(row["entropy"] is not None for row in others)


def test_views_named_the_wrong_way_round_are_flagged_unless_the_pictures_are_anyway(
    opened: tuple[Studies, Store, Worklist], monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, _, _ = opened
    records = studies.of_patient("phantom01")
    seen = [ScoringImage(record, studies.image(record)) for record in records]
    predictor = studies.models.named("camus")

    def flags(direction: np.ndarray) -> set[tuple[str, ...]]:
        card = replace(predictor.card, views=ViewDirection(direction, 0.0).as_dict())
        monkeypatch.setattr(predictor, "card", card)
        return {image.flags for image in score_patient(seen, predictor).images}

    embeddings = {image.image_id: image.embedding for image in score_patient(seen, predictor).images}
    four, two = (
        next(embeddings[record.image_id] for record in records if record.view is view)
        for view in (View.A4C, View.A2C)
    )
    assert flags(two - four) == {("views_swapped",)}
    assert flags(four - two) == {()}
    seen = [replace(each, record=replace(each.record, dataset="phantom")) for each in seen]
    assert flags(two - four) == {("phantom",)}


def test_rows_are_the_most_open_first(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, store, worklist = opened
    store.take("phantom01_4CH_ED", "ann")
    rows = worklist.rows()
    assert len(rows) == len(studies.records())
    spreads = [row["ef_spread_pct"] for row in rows]
    assert spreads == sorted(spreads, reverse=True)
    for row in rows:
        assert row["ef_low_pct"] < row["ef_pct"] < row["ef_high_pct"]
        assert (row["label"], row["flags"], row["up_to_date"]) == ("none", [], True)
        assert row["leased_by"] == ("ann" if row["image"] == "phantom01_4CH_ED" else None)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_no_image_is_handed_out_twice(opened: tuple[Studies, Store, Worklist], strategy: str) -> None:
    studies, _, worklist = opened
    total = len(studies.records())
    result = [worklist.hand_out(strategy, f"ann{n % 3}", seed=4, seconds=60) for n in range(total)]
    assert len({each.lease.image_id for each in result if each}) == total
    assert all(each.why for each in result if each)
    assert worklist.hand_out(strategy, "somebody else", seed=4, seconds=60) is None
    again = worklist.hand_out(strategy, "ann0", seed=4, seconds=60)
    assert again is not None
    assert again.lease.image_id == result[0].lease.image_id


def test_the_image_that_ef_hangs_on_comes_first(opened: tuple[Studies, Store, Worklist]) -> None:
    _, store, worklist = opened
    result = worklist.hand_out("ef_uncertainty", "ann", seed=0, seconds=60)
    assert result is not None
    scored = {score.patient: score.score for score in store.scores_since(0)}
    spreads = {patient: score["ef"][0]["spread_pct"] for patient, score in scored.items()}
    patient = max(spreads, key=lambda each: spreads[each])
    assert result.lease.patient == patient
    shares = scored[patient]["shares"]
    assert result.lease.image_id == max(shares, key=lambda each: shares[each])
    assert f"holds {max(shares.values()):.0%} of this EF's uncertainty" in result.why
    following = worklist.hand_out("ef_uncertainty", "ann", seed=0, seconds=60)
    assert following is not None
    assert (following.lease.patient, following.why[:13]) == (patient, "same patient:")


def test_scores_do_not_depend_on_the_run(opened: tuple[Studies, Store, Worklist]) -> None:
    studies, _, _ = opened
    predictor = studies.models.named("camus")
    seen = [ScoringImage(record, studies.image(record)) for record in studies.of_patient("phantom01")]
    first, again = (score_patient(seen, predictor) for _ in range(2))
    assert np.array_equal(first.draws[WAY].ef_pct, again.draws[WAY].ef_pct)
