"""Start of MONAI Label without optional packages that take seconds to load.

``python -m cardiolabel.system.lean_start start_server …`` is ``python -m monailabel.main start_server …``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from cardiolabel.system.installation import NEEDS_SERVER
from cardiolabel.system.text_encoding import encode_output, use_utf8

HIDDEN = ("ignite", "mlflow")
"""Packages that MONAI does without where they are not installed.

``ignite``, which loads torch's distributed package, serves MONAI's trainers, ``mlflow`` MONAI Label's
tracking; training runs in processes of its own, with both.
"""


BAD_INPUT = 2
_NOT_STARTED = 3
"""Exit codes of a server that did not start: this package's commands and uvicorn."""


class _Hidden(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in HIDDEN:
            raise ModuleNotFoundError(f"{fullname} is left out of this process", name=fullname)
        return None


def leave_out() -> None:
    """Hide the `HIDDEN` packages from this process."""
    sys.meta_path.insert(0, _Hidden())


def main() -> None:
    """Run MONAI Label with this process's arguments."""
    use_utf8()
    encode_output()
    leave_out()
    try:
        from pydantic import ValidationError
    except ImportError:
        sys.stderr.write(f"cardiolabel: {NEEDS_SERVER}\n")
        sys.exit(BAD_INPUT)
    try:
        from monailabel.config import settings

        from cardiolabel.system.monailabel_command import Command

        # MONAI Label writes its settings out as JSON, which holds no addresses but text.
        settings.MONAI_LABEL_CORS_ORIGINS = [str(origin) for origin in settings.MONAI_LABEL_CORS_ORIGINS]
        Command().run()
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}" for problem in error.errors()
        )
        sys.stderr.write(f"cardiolabel: the server cannot start: {'; '.join(problems)}\n")
        sys.exit(BAD_INPUT)
    except OSError as error:
        sys.stderr.write(f"cardiolabel: the server cannot start: {error}\n")
        sys.exit(BAD_INPUT)
    except SystemExit as end:
        # uvicorn's code for a start that failed, for which the reason was printed before.
        sys.exit(BAD_INPUT if end.code == _NOT_STARTED else end.code)


if __name__ == "__main__":
    main()
