"""Text of file names that are not UTF-8, in a form that any file, table or page can hold."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = 0xDC00


def readable_text(text: str) -> str:
    r"""Replace the surrogates that Python puts for undecodable bytes of a file name.

    The bytes are decoded together as UTF-8, as for names read in the C locale, or else each as a character of
    Latin-1, as on disks of older systems. Other surrogates become ``?``. Different names of files stay
    different.

    Parameters
    ----------
    text : str
        A name, a path, or a message that holds one.

    Returns
    -------
    str
        What UTF-8 can encode; text without surrogates as it is.

    Examples
    --------
    >>> readable_text("M\udcc3\udcbcller"), readable_text("M\udcfcller"), readable_text("Müller")
    ('Müller', 'Müller', 'Müller')
    """
    if is_utf8(text):
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return _SURROGATE.sub(_latin_1, text)


def is_utf8(text: str) -> bool:
    r"""Return whether a text can be encoded in UTF-8, and so holds no surrogates.

    >>> is_utf8("Müller"), is_utf8("M\udcfcller")
    (True, False)
    """
    return _SURROGATE.search(text) is None


def escaped_byte(character: str) -> int | None:
    r"""Return the byte that a surrogate stands for; None for every other character.

    >>> escaped_byte("\udce4") == 0xE4, escaped_byte("ä")
    (True, None)
    """
    code = ord(character)
    return code - _ESCAPE if _ESCAPE + 0x80 <= code <= _ESCAPE + 0xFF else None


def _latin_1(surrogate: re.Match[str]) -> str:
    byte = escaped_byte(surrogate[0])
    return "?" if byte is None else chr(byte)
