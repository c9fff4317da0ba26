"""Errors at the start of the server, in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from cardiolabel.errors import CardiolabelError
from lib.security.environment import Environment

_PREFIX = Environment.model_config["env_prefix"]


@contextmanager
def clear_start() -> Iterator[None]:
    """Turn a wrong setting or studies folder into one line; `logs` hides the traceback."""
    try:
        yield
    except (CardiolabelError, HTTPException, ValidationError, OSError) as error:
        sys.stderr.write(f"cardiolabel: the server cannot start: {_message(error)}\n")
        raise


def _message(error: Exception) -> str:
    if isinstance(error, HTTPException):
        return str(error.detail["message"] if isinstance(error.detail, dict) else error.detail)
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{_PREFIX}{str(problem['loc'][0]).upper()}={str(problem['input'])[:80]!r}:"
            f" {problem['msg'].lower()}"
            for problem in error.errors()
        )
    return str(error)
