"""Conversion of one image file to NIfTI, also as a process of its own.

``python -m cardiolabel.io.as_nifti SOURCE TARGET BYTES`` is for files of strangers: a decoder that crashes or
never ends takes only that process along, which gets little more memory than an image of so many bytes needs.
Its exit code is 2 for a file that cannot be used and 3 for one that needs too much memory; stderr has the
reason.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from cardiolabel.errors import InputError, OverloadedError, TooLargeError
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.io.limits import set_image_limit

__all__ = ["TOO_LARGE", "UNUSABLE", "as_nifti", "main"]

UNUSABLE, TOO_LARGE = 2, 3
"""Exit codes."""

_OWN_BYTES, _COPIES = 3 * 1024**3, 4
"""Address space of the process itself, mostly shared libraries, and how often an image is held."""


def as_nifti(source: Path, target: Path) -> str:
    """Write an image of any format as NIfTI, where its own file places it.

    Returns
    -------
    str
        What a user should know of it; empty if nothing.

    Raises
    ------
    InputError, OverloadedError
        As `cardiolabel.io.images.read_image`.
    """
    image = read_image(source)
    nifti.write_clip(image.clip, target, affine_mm=image.grid.affine_mm)
    return image.note


def main(source: str, target: str, image_bytes: str) -> int:
    """Convert a file and return the exit code."""
    limit = int(image_bytes)
    set_image_limit(limit)
    resource.setrlimit(resource.RLIMIT_AS, (_OWN_BYTES + _COPIES * limit,) * 2)
    try:
        as_nifti(Path(source), Path(target))
    except MemoryError:
        sys.stderr.write(f"{Path(source).name}: takes more memory than the limit\n")
        return TOO_LARGE
    except (TooLargeError, OverloadedError) as error:
        sys.stderr.write(f"{error}\n")
        return TOO_LARGE
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
