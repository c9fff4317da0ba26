"""EchoNet-Dynamic: ``FileList.csv``, ``VolumeTracings.csv`` and ``Videos/*.avi``, apical four-chamber cines.

The data may not be redistributed, so this module was written from the published format and EchoNet's own
code, and is tested on generated files of that format only, never on the data themselves.

Each video is a patient. Two frames are traced (`echonet_tracing`), the larger of which is ED; the prepared
mask is a cine that holds these two and is empty elsewhere. Videos carry no pixel size: there are no volumes
or lengths in mm, but EF needs none.

References
----------
Ouyang et al. 2020, doi 10.1038/s41586-020-2145-8; format and frame numbers (from 0) after
https://github.com/echonet/dynamic, ``echonet/datasets/echo.py``
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.echonet_tracing import Tracing, tracing_from_rows
from cardiolabel.datasets.listing import Entry, Listing, Shape
from cardiolabel.domain import CAMUS_LABELS, Clip, Convention, Phase, Record, View
from cardiolabel.errors import DatasetError, ImageReadError
from cardiolabel.io.images import read_image
from cardiolabel.io.numbers_in_text import real, whole
from cardiolabel.io.text_files import decoded
from cardiolabel.io.video import require_decoder

__all__ = ["NAME", "SPLITS", "Traced", "listing", "read_tracings"]

NAME = "echonet"
SPLITS = ("TRAIN", "VAL", "TEST")

_LIST, _TRACINGS, _VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"
_LIST_COLUMNS = ("FileName", "EF", "FPS", "NumberOfFrames", "Split")
_TRACING_COLUMNS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
_SUFFIX = ".avi"
_VIDEO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Value = TypeVar("_Value")
_EXPECTED = f"expected {_LIST}, {_TRACINGS} and a folder {_VIDEOS} of .avi files"


@dataclass(frozen=True)
class Traced:
    """The two traced frames of a video, counted from 0."""

    ed_frame: int
    es_frame: int
    tracings: Mapping[int, Tracing] = field(repr=False)

    def masks(self, shape: Shape) -> NDArray[np.uint8]:
        """Return the masks (T, H, W) with `CAMUS_LABELS`' LV cavity in the traced frames.

        Raises
        ------
        DatasetError
            A traced frame lies behind the video's end.
        """
        masks = np.zeros(shape, dtype=np.uint8)
        for frame, tracing in self.tracings.items():
            if frame >= shape[0]:
                raise DatasetError(f"frame {frame} was traced, but the video has {shape[0]}, counted from 0")
            masks[frame][tracing.mask(shape[1:])] = CAMUS_LABELS.value("lv_cavity")
        return masks


@dataclass
class _Lines:
    """Traced lines of one video by frame, or the fault in them."""

    frames: defaultdict[int, list[tuple[float, ...]]] = field(default_factory=lambda: defaultdict(list))
    problem: str = ""


def listing(root: Path) -> Listing:
    """List every video of ``FileList.csv`` that is present.

    Parameters
    ----------
    root : Path
        The folder that holds the two tables and ``Videos``.

    Returns
    -------
    Listing
        EF is the table's, computed from volumes by the method of discs. Rows that cannot be
        understood are problems, missing videos are one. A video without usable tracings is an entry
        without ED and ES frames, whose masks raise with the reason.

    Raises
    ------
    DatasetError
        Not this layout: a table, a column or the folder is missing.
    ImageReadError
        PyAV is not installed.
    """
    for name in (_LIST, _TRACINGS, _VIDEOS):
        if not (root / name).exists():
            raise DatasetError(f"{root}: no {name}; {_EXPECTED}")
    require_decoder()
    traced = read_tracings(root / _TRACINGS)
    videos = {_video_name(path.name): path for path in sorted((root / _VIDEOS).iterdir(), reverse=True)}
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    missing: list[str] = []
    seen: set[str] = set()
    for number, row in _rows(root / _LIST, _LIST_COLUMNS):
        name = _video_name(row["FileName"])
        path = videos.get(name, root / _VIDEOS / f"{name}{_SUFFIX}")
        try:
            if name in seen:
                raise ValueError(f"{name} occurs twice; expected once")
            seen.add(name)
            frames = _understood(row, "NumberOfFrames", whole(1), "1 or more")
            record = _record(row, name, path, traced.get(name))
        except ValueError as error:
            problems.append((name or _LIST, f"{_LIST}, line {number}: {error}"))
            continue
        if path.is_file():
            masks = partial(_masks, name, traced.get(name))
            entries.append(Entry(record, partial(_image, path, frames, record.frame_rate_hz), masks))
        else:
            missing.append(path.name)
    if missing:
        total = len(entries) + len(missing)
        problems.append(
            (
                _VIDEOS,
                f"{len(missing)} of {total} videos are missing, the first is {missing[0]}; download them",
            )
        )
    return Listing(tuple(entries), tuple(problems))


def read_tracings(path: Path) -> dict[str, Traced | DatasetError]:
    """Read ``VolumeTracings.csv``.

    Returns
    -------
    dict of str to Traced or DatasetError
        By the video's name without ``.avi``; an error says why that video's tracings cannot be used.

    Raises
    ------
    DatasetError
        The file cannot be read or lacks a column.
    """
    lines: defaultdict[str, _Lines] = defaultdict(_Lines)
    for number, row in _rows(path, _TRACING_COLUMNS):
        of_video = lines[_video_name(row["FileName"])]
        try:
            frame = _understood(row, "Frame", whole(0), "a frame number from 0")
            points = tuple(
                _understood(row, column, real(-1e5, 1e5), "pixels") for column in _TRACING_COLUMNS[1:5]
            )
        except ValueError as error:
            of_video.problem = of_video.problem or f"{path.name}, line {number}: {error}"
        else:
            of_video.frames[frame].append(points)
    tracings: dict[str, Traced | DatasetError] = {}
    for name, of_video in lines.items():
        try:
            tracings[name] = _traced(name, of_video)
        except DatasetError as error:
            tracings[name] = error
    return tracings


def _video_name(file_name: str) -> str:
    """Return a video's name; the tables name it with ``.avi`` or without, in any case."""
    name = file_name.strip()
    return name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name


def _traced(name: str, lines: _Lines) -> Traced:
    if lines.problem:
        raise DatasetError(lines.problem)
    if len(lines.frames) != 2:
        raise DatasetError(f"{name}: {len(lines.frames)} frames were traced, expected two, ED and ES")
    tracings = {
        frame: tracing_from_rows(np.array(points), f"{name}, frame {frame}")
        for frame, points in lines.frames.items()
    }
    es, ed = sorted(tracings, key=lambda frame: tracings[frame].area_px2)
    return Traced(ed, es, tracings)


def _record(row: Mapping[str, str], name: str, path: Path, traced: Traced | DatasetError | None) -> Record:
    if not _VIDEO_NAME.fullmatch(name):
        raise ValueError(f"FileName is {name!r}; expected the name of a video")
    split = row["Split"].strip().upper()
    if split not in SPLITS:
        raise ValueError(f"Split is {split!r}; expected one of {', '.join(SPLITS)}")
    usable = traced if isinstance(traced, Traced) else None
    return Record(
        image_id=f"{name}_4CH_{Phase.CINE}",
        patient=name,
        view=View.A4C,
        phase=Phase.CINE,
        dataset=NAME,
        path=path,
        ed_frame=usable.ed_frame + 1 if usable else None,
        es_frame=usable.es_frame + 1 if usable else None,
        frame_rate_hz=_understood(row, "FPS", real(1e-3, 1e5), "frames per second"),
        reference_ef_pct=_understood(row, "EF", real(0, 100), "a percentage, 0 to 100"),
        reference_convention=Convention.GUIDELINE,
        split=split,
    )


def _image(path: Path, frames: int, frame_rate_hz: float | None) -> Clip:
    clip = read_image(path).clip
    if clip.shape[0] < frames:
        raise ImageReadError(
            f"{path.name}: truncated, {clip.shape[0]} of {frames} frames can be decoded; copy it again"
        )
    return Clip(clip.pixels, spacing=None, frame_rate_hz=frame_rate_hz)


def _masks(name: str, traced: Traced | DatasetError | None, shape: Shape) -> NDArray[np.uint8]:
    if traced is None:
        raise DatasetError(f"{name}: no tracings in {_TRACINGS}")
    if isinstance(traced, DatasetError):
        raise DatasetError(f"no mask: {traced}")
    return traced.masks(shape)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Return the rows of a table with their last line's number."""
    try:
        text = decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}); download it again") from error
    table = csv.DictReader(io.StringIO(text, newline=""), restval="")
    missing = [name for name in columns if name not in (table.fieldnames or ())]
    if missing:
        raise DatasetError(f"{path}, line 1: no column {missing[0]}; expected {', '.join(columns)}")
    for row in table:
        yield table.line_num, row


def _understood(
    row: Mapping[str, str], column: str, understand: Callable[[str], _Value], expected: str
) -> _Value:
    text = row[column].strip()
    try:
        return understand(text)
    except ValueError:
        raise ValueError(f"{column} is {text!r}; expected {expected}") from None
