"""Errors as answers: JSON ``{"code", "message"}``, for MONAI Label's endpoints and this app's alike."""

from __future__ import annotations

import errno
import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cardiolabel import errors
from lib.security.server_paths import json_without_paths
from lib.server import logs

STATUS: tuple[tuple[type[errors.CardiolabelError], int, str], ...] = (
    (errors.BadNameError, 400, "bad_name"),
    (errors.UnknownImageError, 404, "unknown_image"),
    (errors.UnknownLabelError, 404, "unknown_label"),
    (errors.UnknownPatientError, 404, "unknown_patient"),
    (errors.UnknownStudyError, 404, "unknown_study"),
    (errors.ConflictError, 409, "conflict"),
    (errors.LeasedError, 409, "leased"),
    (errors.EmptyMaskError, 422, "empty_mask"),
    (errors.TooLargeError, 413, "too_large"),
    (errors.ImageReadError, 422, "unreadable_image"),
    (errors.ImageContentError, 422, "unusable_image"),
    (errors.ManifestError, 422, "bad_manifest"),
    (errors.InputError, 422, "unusable_input"),
    (errors.BusyError, 429, "busy"),
    (errors.OverloadedError, 503, "overloaded"),
    (errors.MeasurementError, 422, "not_measurable"),
    (errors.MissingWeightsError, 503, "missing_weights"),
    (errors.CorruptWeightsError, 503, "corrupt_weights"),
    (errors.ModelError, 503, "unusable_model"),
    (errors.PacsError, 502, "pacs"),
    (errors.DiskFullError, 507, "disk_full"),
    (errors.NotWritableError, 507, "not_writable"),
    (errors.StoreUnavailableError, 503, "store_unavailable"),
    (errors.StoreError, 500, "store"),
    (errors.CardiolabelError, 500, "internal"),
)
"""Status and code by class of error; the first match counts."""

HTTP_CODES = {
    400: "bad_request",
    401: "not_logged_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "busy",
}
HTTP_MESSAGES = {
    400: "the request's body cannot be read; expected what its Content-Type says",
    404: "there is nothing at this address; / lists what this server answers",
    405: "this address does not take that method; / lists what it takes",
}
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DISK_FULL = "the disk is full: nothing was stored; make room on the server and send it again"
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
NOT_WRITABLE = "the server may not write to its studies folder, or not read from it: nothing was stored"
UNAVAILABLE = "the database does not answer: nothing was stored; send it again in some seconds"
RETRY_AFTER_S = 5
STORE_MESSAGES = {"disk_full": DISK_FULL, "not_writable": NOT_WRITABLE, "store_unavailable": UNAVAILABLE}

_SHOWN_PROBLEMS = 10
"""Most schema violations in an answer."""


def refused(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None, **more: Any
) -> HTTPException:
    """Make an exception that is answered with this status, code and message."""
    detail: Any = {"code": code, "message": message, **more}
    return HTTPException(status, detail=detail, headers=headers)


def answer(status: int, code: str, message: str, **more: Any) -> JSONResponse:
    """Make the answer of an error; it names no path of the server."""
    content = json_without_paths({**more, "code": code, "message": message})
    return JSONResponse(content, status_code=status)


def answer_to(error: Exception) -> JSONResponse:
    """Make the answer to an exception; server errors are logged."""
    if isinstance(error, HTTPException):
        # FastAPI says "bad request" where it could not put an upload on the disk.
        cause = error.__cause__ if error.status_code == 400 else None
        return answer_to(cause) if isinstance(cause, OSError) else _http(error)
    if isinstance(error, errors.CardiolabelError):
        return _cardiolabel(error)
    if isinstance(error, RequestValidationError):
        return _validation(error)
    if isinstance(error, json.JSONDecodeError):
        return answer(422, "bad_params", f"expected a JSON object ({error})")
    if isinstance(error, MONAILabelException):
        return _monailabel(error)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        logs.report(error)
        return answer(507, "disk_full", DISK_FULL)
    if isinstance(error, OSError) and error.errno in READ_ONLY:
        logs.report(error)
        return answer(507, "not_writable", NOT_WRITABLE)
    if isinstance(error, MemoryError):
        logs.report(error)
        return answer(503, "out_of_memory", "the server ran out of memory; send less, or try again later")
    logs.report(error)
    code = "storage" if isinstance(error, OSError) else "internal"
    return answer(500, code, f"the server failed ({type(error).__name__}); its log says where")


def install(api: FastAPI) -> None:
    """Add the handlers to MONAI Label's API; `Failures` catches all other exceptions."""
    handled = (HTTPException, RequestValidationError, errors.CardiolabelError, MONAILabelException)
    for kind in (*handled, json.JSONDecodeError, OSError):
        api.add_exception_handler(kind, _handle)


def _handle(_: Request, error: Exception) -> JSONResponse:
    return answer_to(error)


class Failures:
    """ASGI middleware that answers any exception before a server would print it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001  # the last place that can keep it from the client and log
            response = answer_to(error)
            if not started:
                await response(scope, receive, send)


def _cardiolabel(error: errors.CardiolabelError) -> JSONResponse:
    status, code = next((status, code) for kind, status, code in STATUS if isinstance(error, kind))
    if isinstance(error, errors.ConflictError):
        return answer(status, code, str(error), **error.details)
    if isinstance(error, errors.StoreError):
        logs.report(error)
        # Its own message names folders of the server.
        message = "the studies folder's records cannot be read or written; the server's log says where"
        message = STORE_MESSAGES.get(code, message)
        response = answer(status, code, message)
        if isinstance(error, errors.StoreUnavailableError):
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response
    response = answer(status, code, str(error))
    if isinstance(error, errors.OverloadedError):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _monailabel(error: MONAILabelException) -> JSONResponse:
    message = str(getattr(error, "msg", error))
    if isinstance(error, ImageNotFoundException):
        return answer(404, "unknown_image", message)
    if isinstance(error, LabelNotFoundException):
        return answer(404, "unknown_label", message)
    if getattr(error, "error", None) is MONAILabelError.INVALID_INPUT:
        return answer(422, "invalid_input", message)
    logs.report(error)
    return answer(500, "internal", "the server failed (MONAI Label); its log says where")


def _http(error: HTTPException) -> JSONResponse:
    detail = error.detail
    if isinstance(detail, dict) and {"code", "message"} <= detail.keys():
        return JSONResponse(json_without_paths(detail), error.status_code, error.headers)
    status, message = error.status_code, str(detail)
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    if message == phrase or status == 400:
        message = HTTP_MESSAGES.get(status, message)
    content = {"code": HTTP_CODES.get(status, f"http_{status}"), "message": json_without_paths(message)}
    return JSONResponse(content, status, error.headers)


def _validation(error: RequestValidationError) -> JSONResponse:
    shown = error.errors()[:_SHOWN_PROBLEMS]
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])[:200]}: {problem['msg']}" for problem in shown
    ]
    detail = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in shown]
    return answer(422, "bad_request", "; ".join(problems), detail=jsonable_encoder(detail))
