"""Results of a folder as one HTML page, which needs only itself and the pictures beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html import escape
from urllib.parse import quote

import numpy as np

from cardiolabel.domain import Convention
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import PatientRow
from cardiolabel.reporting.ef_histogram import PRESERVED_PCT, REDUCED_PCT, ef_histogram_svg
from cardiolabel.reporting.overlay import OVERLAYS
from cardiolabel.reporting.theme import BACKGROUND, FRAME, INK, PANEL, STRUCTURE_COLORS

FLAG_WORDS = {
    Flag.FORESHORTENING: "A4C and A2C lengths differ: one view may be foreshortened",
    Flag.ANNULUS_TILT: "mitral annulus tilted against the long axis",
    Flag.ANNULUS_FROM_SHAPE: "annulus placed by the cavity's shape alone",
    Flag.BORDER_CONTACT: "cavity cut by the picture's border",
    Flag.FRAGMENTS: "cavity in several pieces",
    Flag.TEMPORAL_OUTLIER: "area jumps between frames",
    Flag.UNCALIBRATED: "no pixel size: no volumes",
    Flag.PHASES_FROM_AREA: "ED and ES found in the area curve",
    Flag.CUT_BEAT: "the clip may begin or end before ED or ES",
    Flag.UNDRAWN_FRAMES: "a frame beside ED or ES has no mask",
    Flag.UNUSUAL_EF: "unusual EF",
    Flag.IMPLAUSIBLE_SIZE: "a size that no heart has: check the pixel size",
    Flag.SEVERAL_RECORDINGS: "several recordings: one was measured",
    Flag.DIFFERENT_GRIDS: "ED and ES differ in image or pixel size",
    Flag.SLICE_GAP: "a slice without cavity between slices that have one",
    Flag.SLICES_DIFFER: "ED and ES cover different slices",
    Flag.APEX_MISSING: "the stack ends before the apex",
}
MOST_PROBLEMS = 500

_NUMBERS = ("EF, %", "EDV, ml", "ESV, ml", "Reference EF, %", "Difference, points")
_REASON_CHARACTERS = 300


class Source(StrEnum):
    """Source of a reference EF."""

    MASKS = "masks"
    MANIFEST = "manifest"


@dataclass(frozen=True)
class Reference:
    """A reference EF, and the predicted EF of the same convention, if any."""

    source: Source
    ef_pct: float
    convention: Convention | None
    predicted_ef_pct: float | None


@dataclass(frozen=True)
class PatientSummary:
    """A patient's line: the most trusted method's row, its reference, and its images' pictures."""

    row: PatientRow
    reference: Reference | None = None
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FolderSummary:
    """Content of the page.

    Parameters
    ----------
    folder : str
        Name of the studies folder.
    model : mapping
        ``name, version, sha256, engine``.
    made : datetime
    images : int
    patients : sequence of PatientSummary
    problems : sequence of (str, str)
        Image ids without a mask, and why.
    bland_altman_png : bytes or None
        None where no patient has a reference.
    """

    folder: str
    model: Mapping[str, str]
    made: datetime
    images: int
    patients: Sequence[PatientSummary]
    problems: Sequence[tuple[str, str]]
    bland_altman_png: bytes | None = None


def summary_page(summary: FolderSummary) -> Iterator[str]:
    """Yield the page as HTML, piece by piece; text from files is escaped.

    Flagged patients come first, then the others, each in the order of their names.
    """
    yield _head(summary)
    yield from _distribution(summary.patients)
    yield from _agreement(summary)
    yield from _table(summary.patients)
    yield from _problems(summary.problems)
    yield _HOW + "</main></body></html>\n"


def _head(summary: FolderSummary) -> str:
    model = summary.model
    facts = {
        "Images": f"{summary.images}, of {len(summary.patients)} patients",
        "Without a mask": f"{len(summary.problems)}",
        "Model": f"{model['name']} {model['version']} (sha256 {model['sha256'][:12]})",
        "Computed by": model["engine"],
        "Made": f"{summary.made:%Y-%m-%d %H:%M %Z}".strip(),
    }
    title = escape(f"Ejection fractions: {summary.folder}")
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src 'self' file: data:\">"
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1><dl>{listed}</dl>\n"
    )


def _distribution(patients: Sequence[PatientSummary]) -> Iterator[str]:
    efs = [patient.row.ef_pct for patient in patients if patient.row.ef_pct is not None]
    yield "<h2>Distribution</h2>\n"
    if not efs:
        yield "<p>No patient has an EF; the table says why.</p>\n"
        return
    reduced = sum(ef <= REDUCED_PCT for ef in efs)
    preserved = sum(ef >= PRESERVED_PCT for ef in efs)
    quarters = np.percentile(efs, (25, 50, 75))
    yield f"<figure>{ef_histogram_svg(efs)}<figcaption>"
    yield (
        f"EF of {len(efs)} patients: median {quarters[1]:.0f} %, half of them {quarters[0]:.0f} to "
        f"{quarters[2]:.0f} %. Reduced (≤ 40 %): {reduced}; between: {len(efs) - reduced - preserved}; "
        f"preserved (≥ 50 %): {preserved}. Without an EF: {len(patients) - len(efs)}."
    )
    yield "</figcaption></figure>\n"


def _agreement(summary: FolderSummary) -> Iterator[str]:
    if summary.bland_altman_png is None:
        return
    sources = {patient.reference.source for patient in summary.patients if patient.reference}
    words = " ".join(_SOURCE_WORDS[source] for source in Source if source in sources)
    data = base64.b64encode(summary.bland_altman_png).decode()
    yield "<h2>Against references</h2>\n<figure>"
    yield f'<img class="plot" alt="Bland-Altman plot of EF" src="data:image/png;base64,{data}">'
    yield f"<figcaption>Predicted minus reference EF. {words}</figcaption></figure>\n"


def _table(patients: Sequence[PatientSummary]) -> Iterator[str]:
    flagged = sum(bool(patient.row.quality) for patient in patients)
    heads = ["Patient", *_NUMBERS[:3], "Method", "Look again because"]
    with_reference = any(patient.reference for patient in patients)
    with_overlays = any(patient.overlays for patient in patients)
    heads += [*_NUMBERS[3:]] * with_reference + ["Images"] * with_overlays
    first = "; they come first" if flagged else ""
    yield f"<h2>Patients</h2>\n<p>Flagged: {flagged} of {len(patients)}{first}.</p>\n"
    yield "<table><thead><tr>"
    for head in heads:
        yield f'<th class="n">{head}</th>' if head in _NUMBERS else f"<th>{head}</th>"
    yield "</tr></thead>\n<tbody>\n"
    for summary in sorted(patients, key=_order):
        yield "<tr>" + "".join(_cells(summary, with_reference, with_overlays)) + "</tr>\n"
    yield "</tbody></table>\n"


def _order(patient: PatientSummary) -> tuple[bool, str]:
    return not patient.row.quality, patient.row.patient


def _cells(patient: PatientSummary, with_reference: bool, with_overlays: bool) -> Iterator[str]:
    row = patient.row
    flags = "".join(f"<li>{FLAG_WORDS[flag]}</li>" for flag in row.quality)
    reason = f"<small>{escape(_cut(row.reason))}</small>" if row.reason else ""
    yield f"<th>{escape(row.patient)}</th>"
    yield _ef(row)
    yield from (_number(value) for value in (row.edv_ml, row.esv_ml))
    yield f"<td>{row.method if row.ef_pct is not None else 'not measurable'}</td>"
    yield f"<td>{f'<ul>{flags}</ul>' if flags else ''}{reason}</td>"
    if with_reference:
        yield from _reference(patient.reference)
    if with_overlays:
        yield f'<td class="i">{"".join(_thumbnail(image_id) for image_id in patient.overlays)}</td>'


def _ef(row: PatientRow) -> str:
    if row.ef_pct is None or row.ef_low_pct is None or row.ef_high_pct is None:
        return _number(row.ef_pct)
    interval = f"{row.ef_low_pct:.0f} to {row.ef_high_pct:.0f}"
    return f'<td class="n">{row.ef_pct:.1f}<small>{interval}</small></td>'


def _reference(reference: Reference | None) -> Iterator[str]:
    if reference is None:
        yield "<td></td><td></td>"
        return
    note, difference = "", None
    if reference.predicted_ef_pct is not None:
        difference = reference.predicted_ef_pct - reference.ef_pct
    if reference.source is Source.MANIFEST:
        note = f"manifest, {reference.convention or 'convention not named'}"
        if reference.predicted_ef_pct is not None:
            note += f"; predicted {reference.predicted_ef_pct:.1f}"
    small = f"<small>{note}</small>" if note else ""
    yield f'<td class="n">{reference.ef_pct:.1f}{small}</td>'
    yield _number(difference, signed=True)


def _thumbnail(image_id: str) -> str:
    path = escape(f"{OVERLAYS}/{quote(image_id)}.png")
    name = escape(image_id)
    return f'<a href="{path}"><img loading="lazy" src="{path}" alt="{name}" title="{name}"></a>'


def _problems(problems: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not problems:
        return
    yield f"<h2>Images without a mask: {len(problems)}</h2>\n<table><tbody>\n"
    for image_id, reason in problems[:MOST_PROBLEMS]:
        yield f"<tr><th>{escape(image_id)}</th><td>{escape(_cut(reason))}</td></tr>\n"
    yield "</tbody></table>\n"
    if len(problems) > MOST_PROBLEMS:
        yield f"<p>{len(problems) - MOST_PROBLEMS} more are in frames.csv.</p>\n"


def _number(value: float | None, *, signed: bool = False) -> str:
    text = "" if value is None else f"{value:{'+' if signed else ''}.1f}".replace("-", "−")
    return f'<td class="n">{text}</td>'


def _cut(reason: str) -> str:
    """Shorten a long list of reasons; the tables hold the whole text."""
    return reason if len(reason) <= _REASON_CHARACTERS else reason[:_REASON_CHARACTERS] + "…"


_SOURCE_WORDS = {
    Source.MASKS: "References are measured from the masks in labels/final by the same code, method and "
    "convention.",
    Source.MANIFEST: "Where labels/final gives no EF, the reference is that of manifest.csv, compared in the "
    "convention that it names.",
}

_HOW = """<h2>How this was measured</h2>
<p>EF and volumes are measured from the predicted masks, by the most trusted method that the images allow
(biplane discs, then a single plane, then area-length; short-axis stacks by slice summation), in the
<em>guideline</em> convention: each phase is cut along its own length. All methods and both conventions are in
patients.csv and patients.parquet, each frame in frames.csv and frames.parquet. Flags do not change a number;
they say why it deserves a second look. Below an EF, where the model was calibrated: the interval that
holds the EF of annotators' masks in 90 % of patients. Masks were not corrected by anyone.</p>
"""

_STYLE = f"""
body {{ background: {BACKGROUND}; color: {INK}; font: 15px/1.45 system-ui, sans-serif; margin: 0 }}
main {{ max-width: 1240px; margin: 0 auto; padding: 12px 20px 40px }}
h1 {{ font-size: 24px }} h2 {{ font-size: 18px; margin: 32px 0 8px }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px }}
dt {{ opacity: .7 }} dd {{ margin: 0 }}
figure {{ margin: 0 }} figure svg {{ width: 100%; max-width: 640px }} .plot {{ max-width: 100% }}
figcaption, small {{ opacity: .8 }} small {{ display: block; font-size: 12px }}
table {{ border-collapse: collapse; width: 100% }}
thead th {{ position: sticky; top: 0; background: {BACKGROUND} }}
th, td {{ text-align: left; vertical-align: top; padding: 5px 10px 5px 0; border-top: 1px solid {FRAME} }}
tbody th {{ font-weight: 600; overflow-wrap: anywhere; min-width: 150px }}
tbody tr:hover {{ background: {PANEL} }}
th.n, td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
ul {{ margin: 0; padding-left: 16px; color: {STRUCTURE_COLORS["lv_cavity"]} }}
td a img {{ height: 58px; margin-right: 4px; vertical-align: top }}
td.i {{ min-width: 270px }}
a:focus img, a:hover img {{ outline: 2px solid {INK} }}
"""
