"""Failures as answers: JSON ``{"code", "message"}``, for MONAI Label's endpoints and this app's alike."""

from __future__ import annotations

import json
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

from cardiolabel import errors

STATUS: tuple[tuple[type[errors.CardiolabelError], int, str], ...] = (
    (errors.UnknownImageError, 404, "unknown_image"),
    (errors.UnknownPatientError, 404, "unknown_patient"),
    (errors.ImageReadError, 422, "unreadable_image"),
    (errors.ImageContentError, 422, "unusable_image"),
    (errors.ManifestError, 422, "bad_manifest"),
    (errors.InputError, 422, "unusable_input"),
    (errors.MeasurementError, 422, "not_measurable"),
    (errors.MissingWeightsError, 503, "missing_weights"),
    (errors.CorruptWeightsError, 503, "corrupt_weights"),
    (errors.ModelError, 503, "unusable_model"),
    (errors.CardiolabelError, 500, "internal"),
)
"""The first class that fits says the status and the code."""


def refused(status: int, code: str, message: str) -> HTTPException:
    """An exception that `install`'s handlers answer with this status, code and message."""
    return HTTPException(status, detail={"code": code, "message": message})


def answer(status: int, code: str, message: str, **more: Any) -> JSONResponse:
    """The one shape of a failure."""
    return JSONResponse({"code": code, "message": message, **more}, status_code=status)


def install(api: FastAPI) -> None:
    """Add the handlers to MONAI Label's API."""
    api.add_exception_handler(errors.CardiolabelError, _cardiolabel)
    api.add_exception_handler(MONAILabelException, _monailabel)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(json.JSONDecodeError, _json)
    api.add_exception_handler(Exception, _unexpected)


def _cardiolabel(_: Request, error: Exception) -> JSONResponse:
    status, code = next((status, code) for kind, status, code in STATUS if isinstance(error, kind))
    return answer(status, code, str(error))


def _monailabel(_: Request, error: Exception) -> JSONResponse:
    message = str(getattr(error, "msg", error))
    if isinstance(error, ImageNotFoundException):
        return answer(404, "unknown_image", message)
    if isinstance(error, LabelNotFoundException):
        return answer(404, "unknown_label", message)
    if getattr(error, "error", None) is MONAILabelError.INVALID_INPUT:
        return answer(422, "invalid_input", message)
    return answer(500, "internal", message)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for it; told to the type checker
    detail = error.detail
    if isinstance(detail, dict) and {"code", "message"} <= detail.keys():
        return JSONResponse(detail, error.status_code, error.headers)
    body = {"code": f"http_{error.status_code}", "message": str(detail), "detail": detail}
    return JSONResponse(body, error.status_code, error.headers)


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    problems = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    detail = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
    return answer(422, "bad_request", "; ".join(problems), detail=jsonable_encoder(detail))


def _json(_: Request, error: Exception) -> JSONResponse:
    return answer(422, "bad_params", f"expected a JSON object ({error})")


def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return answer(500, "internal", f"the server failed ({type(error).__name__}); its log says where")
