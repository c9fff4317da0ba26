"""Records of schema 1, which had no sequence and no journals, are brought forward."""

from __future__ import annotations

from sqlalchemy import text

from cardiolabel.records.layout import FINAL

from .folders import Folder, image_ids, save, text_of, texts

ONE, OTHER = image_ids(2)


def go_back(folder: Folder) -> None:
    """Make the folder one of schema 1."""
    store = folder.open()
    with store.database.writing() as connection:
        for statement in (
            "DROP INDEX scores_in_order",
            "ALTER TABLE scores DROP COLUMN sequence",
            "CREATE INDEX scores_in_time ON scores (scored_at)",
            "ALTER TABLE versions DROP COLUMN sequence",
            "UPDATE facts SET value = '1' WHERE name = 'schema'",
            "DELETE FROM facts WHERE name = 'journals'",
        ):
            connection.execute(text(statement))
    folder.close()
    for journal in (folder.path / ".cardiolabel" / "versions").rglob("*.jsonl"):
        journal.unlink()


def set_times(folder: Folder, times: dict[tuple[str, int], float]) -> None:
    store = folder.open()
    with store.database.writing() as connection:
        for (tag, number), saved_at in times.items():
            connection.execute(
                text("UPDATE versions SET saved_at = :at WHERE tag = :tag AND number = :number"),
                {"at": saved_at, "tag": tag, "number": number},
            )
    folder.close()


def test_versions_keep_the_order_of_their_numbers(folder: Folder) -> None:
    store = folder.open()
    for content in ("first", "second", "third"):
        save(store, ONE, content, "ann")
    save(store, ONE, "beside", "bob", tag="review")
    folder.close()
    # The clock was set back before the last save of ann.
    set_times(folder, {("final", 1): 100.0, ("final", 2): 200.0, ("final", 3): 50.0, ("review", 1): 150.0})
    go_back(folder)
    store = folder.open()
    assert sorted(text_of(path) for _, path in store.readings()) == ["beside", "third"]
    sequences = {version.number: version.sequence for version in store.history(ONE, FINAL)}
    assert sequences == {1: 1, 2: 3, 3: 4}
    assert save(store, ONE, "fourth", "ann").sequence == 5
    assert texts(store, ONE) == ["first", "second", "third", "fourth"]


def test_scores_keep_their_order(folder: Folder) -> None:
    store = folder.open()
    for patient in ("p0001", "p0000"):
        store.put_score(patient, "state", {})
    folder.close()
    go_back(folder)
    store = folder.open()
    assert [(score.patient, score.sequence) for score in store.scores_since(0)] == [
        ("p0001", 1),
        ("p0000", 2),
    ]
    store.put_score("p0001", "state", {})
    assert [score.patient for score in store.scores_since(2)] == ["p0001"]


def test_archives_get_their_journals_once(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    save(store, OTHER, "first", "ann")
    store.writer.remove_label(OTHER, FINAL)
    folder.close()
    go_back(folder)
    folder.open()
    journals = folder.path / ".cardiolabel" / "versions" / "final"
    before = {name: (journals / name / "journal.jsonl").read_bytes() for name in (ONE, OTHER)}
    assert b'"author":"ann"' in before[ONE] and b'"present":false' in before[OTHER]
    folder.close()
    folder.open()
    assert before == {name: (journals / name / "journal.jsonl").read_bytes() for name in (ONE, OTHER)}
