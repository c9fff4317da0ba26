"""Entry point of the ``cardiolabel`` command and of ``python -m cardiolabel``."""

from __future__ import annotations

from cardiolabel.system.lean_start import leave_out
from cardiolabel.system.text_encoding import encode_output, use_utf8


def main() -> None:
    """Run the command with the arguments of this process."""
    use_utf8()
    encode_output()
    leave_out()
    from cardiolabel.cli import app

    app(prog_name="cardiolabel")


if __name__ == "__main__":
    main()
