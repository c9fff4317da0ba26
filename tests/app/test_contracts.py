"""Every route's contract: the role that it needs and what it takes; a new route without both fails here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter

from .conftest import APP, ROOT

USER, ANNOTATOR, REVIEWER, ADMIN, ANYBODY = "USER", "ANNOTATOR", "REVIEWER", "ADMIN", None

CONTRACT = {
    ("GET", "/"): ANYBODY,
    ("GET", "/docs"): ANYBODY,
    ("GET", "/redoc"): ANYBODY,
    ("GET", "/openapi.json"): ANYBODY,
    ("GET", "/favicon.ico"): ANYBODY,
    ("GET", "/auth/"): ANYBODY,
    ("POST", "/auth/token"): ANYBODY,
    ("GET", "/auth/token/valid"): USER,
    ("POST", "/auth/session"): ANYBODY,
    ("GET", "/auth/session"): USER,
    ("DELETE", "/auth/session"): USER,
    ("PUT", "/auth/password"): USER,
    ("GET", "/auth/login"): ANYBODY,
    ("GET", "/auth/callback"): ANYBODY,
    ("GET", "/cardiac/accounts"): ADMIN,
    ("POST", "/cardiac/accounts"): ADMIN,
    ("PUT", "/cardiac/accounts/{name}"): ADMIN,
    ("DELETE", "/cardiac/accounts/{name}"): ADMIN,
    ("GET", "/cardiac/audit"): ADMIN,
    ("GET", "/info/"): USER,
    ("GET", "/ohif/{path:path}"): ANYBODY,
    ("GET", "/proxy/dicom/{path:path}"): USER,
    ("POST", "/proxy/dicom/{path:path}"): USER,
    ("POST", "/infer/wsi/{model}"): USER,
    ("POST", "/infer/wsi_v2/{model}"): USER,
    ("POST", "/infer/{model}"): USER,
    ("PUT", "/session/"): USER,
    ("GET", "/session/{session_id}"): USER,
    ("DELETE", "/session/{session_id}"): USER,
    ("GET", "/batch/infer"): USER,
    ("POST", "/batch/infer/{model}"): ADMIN,
    ("DELETE", "/batch/infer"): ADMIN,
    ("GET", "/train/"): USER,
    ("POST", "/train/"): ADMIN,
    ("POST", "/train/{model}"): ADMIN,
    ("DELETE", "/train/"): ADMIN,
    ("GET", "/scoring/"): USER,
    ("POST", "/scoring/"): ANNOTATOR,
    ("POST", "/scoring/{method}"): ANNOTATOR,
    ("DELETE", "/scoring/"): ANNOTATOR,
    ("GET", "/model/info/{model}"): ADMIN,
    ("GET", "/model/{model}"): ADMIN,
    ("PUT", "/model/{model}"): ADMIN,
    ("DELETE", "/model/{model}"): ADMIN,
    ("GET", "/cardiac/models"): USER,
    ("POST", "/cardiac/models/{model}/rollback"): ADMIN,
    ("GET", "/cardiac/training"): USER,
    ("GET", "/cardiac/training/{model}/curve.png"): USER,
    ("GET", "/logs/"): ADMIN,
    ("GET", "/logs/gpu"): ADMIN,
    ("POST", "/reload"): ADMIN,
    ("GET", "/datastore/"): USER,
    ("GET", "/datastore/dataset"): ADMIN,
    ("PUT", "/datastore/"): ANNOTATOR,
    ("PUT", "/datastore/image"): ANNOTATOR,
    ("DELETE", "/datastore/"): ADMIN,
    ("DELETE", "/datastore/image"): ADMIN,
    ("HEAD", "/datastore/image"): USER,
    ("GET", "/datastore/image"): USER,
    ("GET", "/datastore/image/info"): USER,
    ("PUT", "/datastore/image/info"): ANNOTATOR,
    ("PUT", "/datastore/label"): ANNOTATOR,
    ("GET", "/datastore/label"): USER,
    ("HEAD", "/datastore/label"): USER,
    ("DELETE", "/datastore/label"): ADMIN,
    ("GET", "/datastore/label/info"): USER,
    ("PUT", "/datastore/label/info"): ANNOTATOR,
    ("PUT", "/datastore/updatelabelinfo"): ANNOTATOR,
    ("GET", "/cardiac/labels/{image}/versions"): USER,
    ("GET", "/cardiac/labels/{image}/versions/{version}"): USER,
    ("POST", "/cardiac/labels/{image}/rollback"): ANNOTATOR,
    ("POST", "/activelearning/{strategy}"): ANNOTATOR,
    ("GET", "/cardiac/leases"): USER,
    ("PUT", "/cardiac/leases/{image}"): ANNOTATOR,
    ("DELETE", "/cardiac/leases/{image}"): ANNOTATOR,
    ("GET", "/cardiac/patients"): USER,
    ("GET", "/cardiac/patients/{patient}"): USER,
    ("GET", "/cardiac/patients/{patient}/figure.png"): USER,
    ("GET", "/cardiac/agreement"): USER,
    ("GET", "/cardiac/agreement/figure.png"): USER,
    ("GET", "/cardiac/worklist"): USER,
    ("GET", "/cardiac/edit-cost"): USER,
    ("GET", "/cardiac/images/{image}"): USER,
    ("GET", "/cardiac/images/{image}/frames/{frame}.png"): USER,
    ("PUT", "/cardiac/images/{image}/outlines"): ANNOTATOR,
    ("GET", "/cardiac/images/{image}/labelmap"): USER,
    ("PUT", "/cardiac/images/{image}/labelmap"): ANNOTATOR,
    ("GET", "/cardiac/dicom/studies"): USER,
    ("GET", "/cardiac/dicom/studies/{study}"): USER,
    ("GET", "/dicom-web/{path:path}"): USER,
    ("GET", "/cardiac/patients/{patient}/dicom.zip"): USER,
    ("POST", "/cardiac/patients/{patient}/dicom"): REVIEWER,
    ("PUT", "/cardiac/images/{image}/description"): ANNOTATOR,
    ("POST", "/cardiac/measure"): USER,
    ("GET", "/cardiac/events"): USER,
    ("POST", "/cardiac/uploads"): ANNOTATOR,
    ("PUT", "/cardiac/uploads/{upload}"): ANNOTATOR,
    ("POST", "/cardiac/uploads/{upload}"): ANNOTATOR,
    ("DELETE", "/cardiac/uploads/{upload}"): ANNOTATOR,
    ("GET", "/study"): ANYBODY,
    ("GET", "/upload"): ANYBODY,
    ("GET", "/models"): ANYBODY,
    ("GET", "/agreement"): ANYBODY,
    ("DELETE", "/cardiac/patients/{patient}"): ADMIN,
    ("PUT", "/cardiac/patients/{patient}/consent"): ANNOTATOR,
    ("GET", "/cardiac/images/{image}/surface"): USER,
    ("GET", "/cardiac/models/{model}/versions/{version}/curve.png"): USER,
    ("GET", "/people"): ANYBODY,
    ("GET", "/help"): ANYBODY,
    ("GET", "/login"): ANYBODY,
    ("GET", "/web/{version}/{path:path}"): ANYBODY,
}
"""The lowest role that each route answers. Whoever adds a route decides this here as well."""

SAYS = """
import json, sys, tempfile
from monailabel.config import settings
settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES = sys.argv[1], tempfile.mkdtemp()
settings.MONAI_LABEL_AUTH_ENABLE = True
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from monailabel.app import app
from monailabel.interfaces.utils.app import app_instance
instance = app_instance()
instance.on_init_complete()
from sys import modules
roles = modules["lib.security.roles"]
def walk(routes):
    for route in routes:
        if hasattr(route, "original_router"):
            yield from walk(route.original_router.routes)
        else:
            yield route
found = list(walk(app.routes))
said = [
    [method, route.path, roles.declared_role(route) if isinstance(route, APIRoute) else None]
    for route in found for method in getattr(route, "methods", None) or ["GET"]
]
hidden = [route for route in found if isinstance(route, APIRoute)]
for route in hidden:
    route.include_in_schema = True
schema = get_openapi(title="all", version="1", routes=hidden)
print("SAID" + json.dumps([said, schema]))
"""


@pytest.fixture(scope="module")
def said() -> tuple[dict[tuple[str, str], str | None], dict[str, Any]]:
    """Roles by method and path, and the description of every route, hidden ones too."""
    env = {"PYTHONPATH": str(ROOT / "lib"), "PATH": "", "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", SAYS, str(APP)], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    roles, schema = json.loads(done.stdout.rpartition("SAID")[2].splitlines()[0])
    return {(method, path): role for method, path, role in roles}, schema


def test_every_route_has_the_role_that_was_decided_for_it(said: tuple[Any, Any]) -> None:
    served = {
        key: role
        for key, role in said[0].items()
        if key not in {("HEAD", "/docs"), ("HEAD", "/openapi.json")}
    }
    assert served == CONTRACT


def _bodies(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{method} {path} {kind}", content["schema"]


def _open_parts(part: dict[str, Any], schemas: dict[str, Any], *, is_form: bool = False) -> Iterator[str]:
    """Parts of a body that would take anything."""
    if name := part.get("$ref", "").rpartition("/")[2]:
        yield from (f"{name}: {result}" for result in _open_parts(schemas[name], schemas, is_form=is_form))
        return
    for inner in (*part.get("anyOf", ()), *([part["items"]] if "items" in part else ())):
        yield from _open_parts(inner, schemas)
    if "contentSchema" in part:
        schema = part["contentSchema"]
        yield from _open_parts(schema, schema.get("$defs", {}))
    elif part.get("type") == "object":
        rest = part.get("additionalProperties", is_form is False)
        if isinstance(rest, dict) and rest:
            yield from _open_parts(rest, schemas)
        elif rest is not False and "x-bytes" not in part and part.get("title") != "Segment":
            yield f"an object that takes any key: {part}"
        for key, inner in part.get("properties", {}).items():
            if key in ("params", "info", "wsi") and "contentSchema" not in inner:
                yield f"{key}: JSON of no schema"
            yield from (f"{key}: {result}" for result in _open_parts(inner, schemas))
    elif not any(word in part for word in ("type", "anyOf", "enum", "const")):
        yield f"anything at all: {part}"


def test_every_body_is_closed(said: tuple[Any, Any]) -> None:
    """Notes, which are bounded by `notes`, say so with ``x-bytes``; forms drop what they do not know."""
    schemas = said[1]["components"]["schemas"]
    bodies = list(_bodies(said[1]))
    assert len(bodies) > 12
    problems = {
        name: result
        for name, body in bodies
        if (result := list(_open_parts(body, schemas, is_form="json" not in name)))
    }
    assert not problems


def test_every_parameter_has_a_type(said: tuple[Any, Any]) -> None:
    for path, methods in said[1]["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                kinds = parameter["schema"].keys() & {"type", "anyOf", "$ref", "enum"}
                assert kinds, (method, path, parameter)


@pytest.mark.filterwarnings("ignore:'crypt' is deprecated:DeprecationWarning")  # of passlib
def test_a_route_that_names_no_role_keeps_the_server_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))
    from lib.security.roles import Role, check_declared, needs

    router = APIRouter()
    router.get("/cardiac/said", dependencies=[needs(Role.ANNOTATOR)])(lambda: {})
    check_declared(router, public=())
    router.get("/cardiac/unsaid")(lambda: {})
    with pytest.raises(RuntimeError, match="/cardiac/unsaid"):
        check_declared(router, public=())
    check_declared(router, public={"/cardiac/unsaid"})
