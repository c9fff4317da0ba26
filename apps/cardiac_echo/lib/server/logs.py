"""Logging without patient data, unless at DEBUG.

MONAI Label logs ids and whole requests, Python the messages of exceptions, uvicorn the requested addresses.
At DEBUG (``--verbose DEBUG``) all of it stays.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType

import SimpleITK as sitk

logger = logging.getLogger(__name__)

FOREIGN = ("monailabel", "__main__")
"""Loggers of MONAI Label; the second is the module that starts its task processes."""

PRINTED = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "task_train", "task_batch_infer", "task_scoring")
"""Loggers with handlers of their own in MONAI Label's logging.json."""


def debugging() -> bool:
    """Return whether the server was started with ``--verbose DEBUG``."""
    return logging.getLogger().getEffectiveLevel() <= logging.DEBUG


def be_discreet() -> None:
    """Filter patient data out of this process's log; call it once handlers are installed."""
    if debugging():
        return
    # ITK prints file names to the terminal by itself.
    sitk.ProcessObject.GlobalWarningDisplayOff()
    sys.excepthook, threading.excepthook = _report_end, _report_thread
    for name in FOREIGN:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in PRINTED:
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(log_filter, _Discreet) for log_filter in handler.filters):
                handler.addFilter(_Discreet())


def show_routes_only(words: Iterable[str]) -> None:
    """Make uvicorn's access log show routes instead of addresses.

    Parameters
    ----------
    words : iterable of str
        Parts of addresses that are no names; any other part is left out.
    """
    if not debugging():
        logging.getLogger("uvicorn.access").addFilter(_Routes(frozenset(words)))


def report(error: BaseException) -> None:
    """Log the place of an exception, and at DEBUG its message and traceback."""
    logger.error("%s", places(error))
    logger.debug("in full:", exc_info=error)


def places(error: BaseException) -> str:
    """Return the type of an exception and of its causes, and the places in the code.

    Examples
    --------
    >>> try:
    ...     int("patient0001")
    ... except ValueError as error:
    ...     places(error).startswith("ValueError at "), "patient" in places(error)
    (True, False)
    """
    chain, seen = [], set()
    exception: BaseException | None = error
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        chain.append(f"{type(exception).__name__} at {_positions(exception.__traceback__)}")
        exception = exception.__cause__ or exception.__context__
    return " < ".join(chain)


def _positions(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-8:]
    # The last two parts of a path name the module; the first could name a person.
    return " > ".join(
        f"{'/'.join(frame.filename.replace(chr(92), '/').split('/')[-2:])}:{frame.lineno} {frame.name}"
        for frame in frames
    )


def _report_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(f"ended by {places(error)}\n")  # as Python does, without the message


def _report_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        report(ended.exc_value)


class _Discreet(logging.Filter):
    """Filter that removes messages of exceptions, and all of MONAI Label's."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return True
        if record.name == "uvicorn.error" and str(record.msg).startswith("Traceback"):
            return False  # of a start that failed, for which `lib.server.startup` has said the reason
        foreign = record.name.split(".")[0] in FOREIGN
        message = "start with --verbose DEBUG to read it" if foreign else record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = f"{message}: {places(record.exc_info[1])}"
            record.exc_info = record.exc_text = None
        record.msg, record.args = message, ()
        return True


class _Routes(logging.Filter):
    def __init__(self, words: frozenset[str]) -> None:
        super().__init__()
        self._words = words

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, address, version, status = record.args
            parts = str(address).partition("?")[0].split("/")
            shape = "/".join(part if not part or part in self._words else "{}" for part in parts)
            record.args = (client, method, shape, version, status)
        return True
