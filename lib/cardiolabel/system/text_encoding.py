"""Text encodings of commands in any locale: UTF-8 for file names, files and pipes, the terminal's own for
output.
"""

from __future__ import annotations

import codecs
import io
import locale
import os
import sys

from cardiolabel.system.readable_text import escaped_byte

UTF8_VARIABLE = "PYTHONUTF8"
"""Python's switch of its UTF-8 mode; child processes inherit it."""

_ERRORS = "cardiolabel.output"


def use_utf8() -> None:
    """Restart this process in Python's UTF-8 mode if file names would be decoded otherwise.

    In a locale such as C or de_DE.ISO-8859-1 the same folder would have other patients, a manifest's paths
    might not be encodable, and libraries that take UTF-8 paths would open other files. Does nothing in a
    UTF-8 locale, or where Python was told to ignore its environment.

    References
    ----------
    PEP 540, Add a new UTF-8 Mode. https://peps.python.org/pep-0540/
    """
    is_utf8 = codecs.lookup(sys.getfilesystemencoding()).name == "utf-8"
    if not is_utf8 and os.environ.get(UTF8_VARIABLE) != "1":
        os.environ[UTF8_VARIABLE] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  no shell


def encode_output() -> None:
    r"""Write to a terminal in the locale's encoding, to files and pipes in UTF-8, whatever a text holds.

    Bytes of names that are not UTF-8 go out as they came in; characters that a terminal lacks become escapes
    such as ``\u2013``. The C locale, which says nothing about characters beyond ASCII, counts as UTF-8.
    ``PYTHONIOENCODING``, where it is set, and the console of Windows keep their encoding.
    """
    codecs.register_error(_ERRORS, _as_bytes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=_encoding(stream), errors=_ERRORS)


def _encoding(stream: io.TextIOWrapper) -> str:
    if "PYTHONIOENCODING" in os.environ or os.name != "posix":
        return stream.encoding
    terminal = codecs.lookup(locale.getencoding()).name
    return terminal if stream.isatty() and terminal != "ascii" else "utf-8"


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    encoded = b""
    for character in error.object[error.start : error.end]:
        byte = escaped_byte(character)
        encoded += bytes([byte]) if byte is not None else character.encode("ascii", "backslashreplace")
    return encoded, error.end
