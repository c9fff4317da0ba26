"""Tables. Times are seconds since 1970 in UTC; a file's state is its modification time and size."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""Facts about the whole store: its schema, its folder, what was imported."""

images = Table(
    "images",
    metadata,
    Column("image_id", String, primary_key=True),
    Column("patient", String, nullable=False),
    Column("present", Boolean, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("patient_rank", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("shuffle", BigInteger, nullable=False),
    Column("info", JSON, nullable=False),
    Index("images_of_patient", "patient", "open"),
    Index("images_in_order", "open", "patient_rank", "rank"),
    Index("images_shuffled", "open", "shuffle", "rank"),
)
"""Every image that was ever present. ``open``: present, and without a final label. ``rank`` is the folder's
order, ``patient_rank`` that of the patient's first image; ``shuffle`` is the hash of the patient.
"""

labels = Table(
    "labels",
    metadata,
    Column("image_id", String, nullable=False),
    Column("tag", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("present", Boolean, nullable=False),
    PrimaryKeyConstraint("image_id", "tag"),
)
"""The current version of each label, or the last one of a removed label."""

versions = Table(
    "versions",
    metadata,
    Column("image_id", String, nullable=False),
    Column("tag", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("origin", String, nullable=False),
    Column("author", String, nullable=False),
    Column("saved_at", Float, nullable=False),
    Column("base", Integer),
    Column("model", JSON),
    Column("ef_before", JSON),
    Column("ef_after", JSON),
    Column("info", JSON, nullable=False),
    Column("key", String),
    Column("modified_ns", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sequence", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("image_id", "tag", "number"),
)
"""Every version of every label. ``key`` names its archived file; without one it is only in ``labels/``.
``sequence`` is the order in which an image's versions of all tags were stored, whatever the clock said."""

measurements = Table(
    "measurements",
    metadata,
    Column("image_id", String, nullable=False),
    Column("tag", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("study", JSON, nullable=False),
    PrimaryKeyConstraint("image_id", "tag", "number"),
)
"""The patient's study measured with a version; a table of its own, as it is long and seldom read."""

leases = Table(
    "leases",
    metadata,
    Column("image_id", String, primary_key=True),
    Column("patient", String, nullable=False),
    Column("annotator", String, nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("leases_of_patient", "patient"),
    Index("leases_of_annotator", "annotator"),
)
"""Leases: image, annotator and end."""

openings = Table(
    "openings",
    metadata,
    Column("image_id", String, nullable=False),
    Column("annotator", String, nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("image_id", "annotator"),
)
"""Version of the final label (0: none) that an annotator last opened; it outlives the lease."""

scores = Table(
    "scores",
    metadata,
    Column("patient", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("scored_at", Float, nullable=False),
    Column("score", JSON, nullable=False),
    Column("sequence", Integer, nullable=False, server_default="0"),
    Index("scores_in_order", "sequence"),
)
"""Scores of each patient; ``state`` identifies its images, labels and model, and ``sequence`` is the order in
which scores were stored, whatever the clock said.
"""

counts = Table(
    "counts",
    metadata,
    Column("name", String, primary_key=True),
    Column("total", Integer, nullable=False),
)
"""Images present, and labels present per tag, so that a status costs the same for any number of images."""
