"""Migration of earlier versions' tables to the present ones."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection, bindparam, inspect, select, text, update

from cardiolabel.store.tables import facts, metadata, scores, versions

SCHEMA = "2"


def migrate(connection: Connection) -> str:
    """Create missing tables and migrate those of schema 1; returns the resulting schema.

    Call it where no other transaction does the same; see `Database.alone`.
    """
    schema = None
    if inspect(connection).has_table(facts.name):
        schema = connection.execute(select(facts.c.value).where(facts.c.name == "schema")).scalar()
    if schema not in {None, "1"}:
        return str(schema)
    metadata.create_all(connection)
    if schema is None:
        connection.execute(facts.insert().values(name="schema", value=SCHEMA))
    else:
        _order_by_sequence(connection)
        connection.execute(update(facts).where(facts.c.name == "schema").values(value=SCHEMA))
    return SCHEMA


def _order_by_sequence(connection: Connection) -> None:
    """Migrate 1 to 2: give versions and scores an explicit order instead of the clock's.

    Numbers of one label are in order whatever the clock said; between labels there is only the clock.
    """
    for table in (versions, scores):
        column = f"ALTER TABLE {table.name} ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0"
        connection.execute(text(column))
    connection.execute(text("DROP INDEX IF EXISTS scores_in_time"))
    connection.execute(text("CREATE INDEX scores_in_order ON scores (sequence)"))
    _number_versions(connection)
    patients = connection.execute(select(scores.c.patient).order_by(scores.c.scored_at)).scalars()
    rows = [{"of": patient, "at": at} for at, patient in enumerate(patients, start=1)]
    if rows:
        chosen = update(scores).where(scores.c.patient == bindparam("of"))
        connection.execute(chosen.values(sequence=bindparam("at")), rows)


def _number_versions(connection: Connection) -> None:
    columns = (versions.c.image_id, versions.c.tag, versions.c.number, versions.c.saved_at)
    latest: dict[tuple[str, str], float] = {}
    places = []
    for row in connection.execute(select(*columns).order_by(*columns[:3])):
        label = row.image_id, row.tag
        latest[label] = max(latest.get(label, row.saved_at), row.saved_at)
        places.append((row.image_id, latest[label], row.tag, row.number))
    counted = Counter[str]()
    rows = []
    for image_id, _, tag, number in sorted(places):
        counted[image_id] += 1
        rows.append({"image": image_id, "of": tag, "nth": number, "at": counted[image_id]})
    if rows:
        chosen = update(versions).where(
            versions.c.image_id == bindparam("image"),
            versions.c.tag == bindparam("of"),
            versions.c.number == bindparam("nth"),
        )
        connection.execute(chosen.values(sequence=bindparam("at")), rows)
