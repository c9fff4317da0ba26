"""An evaluation as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cardiolabel.evaluation.metrics import DISTANCES, OVERLAPS
from cardiolabel.reporting.markdown import table

PLOT = "bland_altman.png"

_NAMES = {
    "lv_cavity": "LV cavity",
    "dice": "Dice",
    "iou": "IoU",
    "pixel_accuracy": "pixel accuracy",
    "hd_mm": "HD, mm",
    "hd95_mm": "HD95, mm",
    "msd_mm": "MSD, mm",
    "ef_pct": "EF",
    "edv_ml": "EDV",
    "esv_ml": "ESV",
}
_DECIMALS = {"hd_mm": 2, "hd95_mm": 2, "msd_mm": 2, "pixel_accuracy": 4}
_MOST_LISTED = 50

_HOW = """\
- Values are means ± standard deviation over images (and over the phases of a cine), at the images' own
  resolution. **Epicardium** is cavity and myocardium together. **Dice** and **IoU** are 0 where only one of
  the masks has the structure. **Pixel accuracy** is the share of the picture on which both masks agree
  whether it is the structure; most of it is background, so that it is always high.
- Distances are in mm between the centres of boundary pixels. **HD** is the largest, **HD95** the larger of
  both directions' 95th percentiles, **MSD** the mean over the boundaries of both masks (MONAI's Hausdorff
  and symmetric average surface distance). There is none where a mask does not have the structure or the file
  carries no pixel size.
- Echo is compared frame by frame: stills, and of a cine the frames that the reference labels. Of a
  short-axis stack, overlaps are those of the whole volume; distances are measured in each slice in which
  both masks have the structure, and averaged.
- Volumes and EF are measured from both sides' masks by the same code, method and convention, and from the
  same images. **Bias** is predicted minus reference; limits of agreement are bias ± 1.96 SD. Brackets hold
  bootstrap 95 % intervals over patients. `guideline` cuts each phase along its own length, `camus` both
  along the longest; EF of the two must not be compared.
- A mask is **valid** if each structure is in one piece, cavity and atrium have no holes, no gap lies between
  cavity and myocardium, the cavity's border has myocardium everywhere but at its base, which is there and
  takes no more than 30 % of it, and the atrium covers the base from outside. In short-axis stacks, the
  cavity is enclosed by myocardium but for the two basal slices, and no slice is skipped. The references'
  share tells how strict that is.
"""


def report_markdown(summary: Mapping[str, Any], *, title: str = "Evaluation") -> str:
    """Return the Markdown page of an evaluation.

    Parameters
    ----------
    found : mapping
        As `cardiolabel.evaluation.evaluate.Evaluation.as_json` gives it.
    title : str
        The page's heading.
    """
    lines = [f"# {title}", "", *_summary(summary), "", "## Masks", ""]
    for structure, groups in summary["structures"].items():
        lines += [f"### {words(structure)}", "", *_structure(groups), ""]
    lines += ["## EF and volumes", "", *_agreement(summary), ""]
    lines += ["## Anatomically valid masks", "", *_validity(summary["validity"]), ""]
    lines += ["## Not measured", "", *_missing(summary), "", "## How this was measured", "", _HOW]
    return "\n".join(lines)


def headline(summary: Mapping[str, Any]) -> list[str]:
    """Summarise an evaluation in a few lines: mean Dice, EF by the most trusted method, share of valid
    masks.
    """
    dices = {name: groups[0]["metrics"]["dice"]["mean"] for name, groups in summary["structures"].items()}
    shown = [f"{words(name)} {value:.3f}" for name, value in dices.items() if value is not None]
    lines = [f"{summary['images']} images of {summary['patients']} patients, mean Dice: {', '.join(shown)}"]
    for row in summary["agreement"]:
        if row["quantity"] == "ef_pct" and row["mae"] is not None:
            lines.append(
                f"EF by {row['method']} ({row['convention']}) of {row['n']} patients: mean absolute "
                f"difference {row['mae']:.1f}, bias {row['bias']:+.1f} points"
            )
            break
    predicted = summary["validity"]["predicted"]
    return [*lines, f"{predicted['valid']} of {predicted['masks']} predicted masks are anatomically valid"]


def words(name: str) -> str:
    """Return the everyday name of a structure, metric or quantity.

    >>> words("left_atrium"), words("hd95_mm")
    ('left atrium', 'HD95, mm')
    """
    return _NAMES.get(name, name.replace("_", " "))


def _summary(summary: Mapping[str, Any]) -> list[str]:
    sentence = f"{summary['images']} images of {summary['patients']} patients ({summary['selection']})."
    if summary["images_without_reference"]:
        sentence += (
            f" {summary['images_without_reference']} images have no reference mask and were not compared."
        )
    parts = {name: count for name, count in summary["splits"].items() if name}
    if parts:
        shown = ", ".join(f"{name} {count}" for name, count in parts.items())
        sentence += f" Patients by the dataset's official split: {shown}."
    if "TRAIN" in parts:
        sentence += " **Patients of TRAIN are among them: a model trained on them cannot be judged by this.**"
    return [sentence]


def _structure(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    kinds = Counter(group["group"] for group in groups)
    for group in groups:
        metrics = group["metrics"]
        if group["of"] and kinds[group["group"]] == 1:
            continue
        without = max(metrics[name]["n"] for name in OVERLAPS) - metrics["hd_mm"]["n"]
        rows.append(
            [
                group["of"] or "**all**",
                str(group["images"]),
                *(_mean(name, metrics[name]) for name in (*OVERLAPS, *DISTANCES)),
                str(without) if without else "",
            ]
        )
    return table(["", "images", *(words(name) for name in (*OVERLAPS, *DISTANCES)), "no distance"], rows)


def _mean(name: str, metric: Mapping[str, Any]) -> str:
    if metric["mean"] is None:
        return "–"
    decimals = _DECIMALS.get(name, 3)
    spread = "" if metric["sd"] is None else f" ± {metric['sd']:.{decimals}f}"
    return f"{metric['mean']:.{decimals}f}{spread}"


def _agreement(summary: Mapping[str, Any]) -> list[str]:
    if not summary["agreement"]:
        return ["No patient could be measured."]
    rows = [
        [
            words(row["quantity"]),
            row["method"],
            row["convention"],
            str(row["n"]),
            *(_with_interval(row, name, decimals) for name, decimals in (("r", 3), ("mae", 2), ("bias", 2))),
            "–" if row["sd"] is None else f"{row['sd']:.2f}",
            "–" if row["sd"] is None else f"{row['lower_limit']:+.1f} to {row['upper_limit']:+.1f}",
            row["unit"],
        ]
        for row in sorted(summary["agreement"], key=lambda row: row["quantity"] != "ef_pct")
    ]
    head = ["", "method", "convention", "n", "r", "MAE", "bias", "SD", "limits of agreement", "unit"]
    reasons = dict.fromkeys(row["reason"] for row in summary["agreement"] if row["reason"])
    return [*table(head, rows), "", *(f"{reason}." for reason in reasons), "", f"![Bland-Altman]({PLOT})"]


def _with_interval(row: Mapping[str, Any], name: str, decimals: int) -> str:
    if row[name] is None:
        return "–"
    sign = "+" if name == "bias" else ""
    ends = row[f"{name}_interval"]
    shown = f" [{', '.join(f'{end:{sign}.{decimals}f}' for end in ends)}]" if ends else ""
    return f"{row[name]:{sign}.{decimals}f}{shown}"


def _validity(summary: Mapping[str, Any]) -> list[str]:
    rows = []
    for side, of_side in summary.items():
        share = of_side["valid_share"]
        faults = ", ".join(f"{name} {count}" for name, count in of_side["faults"].items())
        rows.append(
            [
                side,
                str(of_side["masks"]),
                str(of_side["valid"]),
                "–" if share is None else f"{100 * share:.1f} %",
                faults,
            ]
        )
    lines = table(["", "masks", "valid", "share", "faults (masks that have them)"], rows)
    invalid = [
        f"{side}, {row['image_id']}"
        + ("" if row["frame"] is None else f", frame {row['frame']}")
        + f": {', '.join(row['findings'])}"
        for side, of_side in summary.items()
        for row in of_side["invalid"]
    ]
    return [*lines, "", *_listed(invalid)]


def _missing(summary: Mapping[str, Any]) -> list[str]:
    lines = [f"{row['name']}: {row['reason']}" for row in summary["problems"]]
    lines += [
        f"{words(row['structure'])} ({row['dataset']}, {row['images']} images): {row['reason']}"
        for row in summary["remarks"]
    ]
    for structure, groups in summary["structures"].items():
        for what, reasons in groups[0]["not_measured"].items():
            lines += [
                f"{words(structure)}, {what}: {reason}: {count} of {groups[0]['rows']} (see images.csv)"
                for reason, count in reasons.items()
            ]
        lines += _one_sided(structure, groups[0])
    for row in summary["not_measurable"]:
        why = "; ".join(
            f"{side}: {row[f'{side}_reason']}" for side in ("predicted", "reference") if row[f"{side}_reason"]
        )
        names = ", ".join(words(name) for name in row["missing"])
        lines.append(f"{row['patient']}, {row['method']}, {row['convention']}, {names}: {why}")
    return _listed(lines) or ["Nothing: every image and patient was measured."]


def _one_sided(structure: str, group: Mapping[str, Any]) -> list[str]:
    """Count the frames or slices that only one mask labels, and that give no distance."""
    planes = group["planes"]
    either = planes["predicted"] + planes["reference"] - planes["shared"]
    alone = either - planes["shared"]
    if not alone or either <= group["images"]:
        return []
    return [f"{words(structure)}, distance: only one mask has it in {alone} of {either} frames or slices"]


def _listed(lines: Sequence[str]) -> list[str]:
    more = [f"- and {len(lines) - _MOST_LISTED} more"] if len(lines) > _MOST_LISTED else []
    return [*(f"- {line}" for line in lines[:_MOST_LISTED]), *more]
