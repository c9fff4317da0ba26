"""Conversion of one image file to NIfTI, also as a process of its own.

``python -m cardiolabel.datasets.as_nifti SOURCE TARGET BYTES`` is for files of strangers: a decoder that
crashes or never ends takes only that process along, which gets little more memory than an image of so many
bytes needs.
Its exit code is 2 for a file that cannot be used and 3 for one that needs too much memory; stderr has the
reason. On success stdout has the `Facts` as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from cardiolabel.datasets import dicom
from cardiolabel.domain import View
from cardiolabel.errors import InputError, OverloadedError, TooLargeError
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.io.limits import set_image_limit

__all__ = ["TOO_LARGE", "UNUSABLE", "Facts", "as_nifti", "main"]

UNUSABLE, TOO_LARGE = 2, 3
"""Exit codes."""

_OWN_BYTES, _COPIES = 3 * 1024**3, 4
"""Address space of the process itself, mostly shared libraries, and how often an image is held."""


@dataclass(frozen=True)
class Facts:
    """What a file says besides its pixels.

    Parameters
    ----------
    view : View
        Unknown unless its tags name it.
    frame_rate_hz : float or None
        Frames per second of a cine.
    """

    view: View = View.UNKNOWN
    frame_rate_hz: float | None = None

    def as_json(self) -> str:
        """Return the facts as a line of JSON, for `of_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Facts:
        """Return the facts that `as_json` wrote; ValueError, KeyError or TypeError for any other text."""
        content = json.loads(text)
        rate_hz = content["frame_rate_hz"]
        return cls(View(content["view"]), None if rate_hz is None else float(rate_hz))


def as_nifti(source: Path, target: Path) -> Facts:
    """Write an image of any format as NIfTI, where its own file places it.

    Raises
    ------
    InputError, OverloadedError
        As `cardiolabel.io.images.read_image`; also for tags that name a view which no model segments.
    """
    view = dicom.view_of(source) if dicom.is_dicom_file(source) else View.UNKNOWN
    image = read_image(source)
    nifti.write_clip(image.clip, target, affine_mm=image.grid.affine_mm)
    rate_hz = image.clip.frame_rate_hz
    return Facts(view, round(rate_hz, 3) if rate_hz else None)


def main(source: str, target: str, image_bytes: str) -> int:
    """Convert a file and return the exit code."""
    limit = int(image_bytes)
    set_image_limit(limit)
    resource.setrlimit(resource.RLIMIT_AS, (_OWN_BYTES + _COPIES * limit,) * 2)
    try:
        facts = as_nifti(Path(source), Path(target))
    except MemoryError:
        sys.stderr.write(f"{Path(source).name}: takes more memory than the limit\n")
        return TOO_LARGE
    except (TooLargeError, OverloadedError) as error:
        sys.stderr.write(f"{error}\n")
        return TOO_LARGE
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    sys.stdout.write(facts.as_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
