"""Login against a small realm that signs as Keycloak does: who is let in, and who may do what."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from monailabel.client import MONAILabelClient

from . import conftest
from .conftest import APP, ROOT, Server, make_studies, running, start_server_command

pytestmark = [
    # MONAI Label's client leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

ADMIN, REVIEWER, ANNOTATOR, USER = (
    f"monailabel-{role}" for role in ("admin", "reviewer", "annotator", "user")
)
STILL = "phantom01_4CH_ED"
REFRESH = "again"
PAGES = ("/", "/docs", "/redoc", "/study", "/upload", "/models", "/agreement", "/people", "/help", "/login")
PUBLIC = {
    *PAGES,
    *("/openapi.json", "/favicon.ico", "/web/{version}/{path:path}", "/ohif/{path:path}"),
    *("/auth/", "/auth/token", "/auth/token/valid"),
    *("/auth/session", "/auth/password", "/auth/login", "/auth/callback"),
}

NEEDED = {
    ("GET", "/cardiac/audit"): ADMIN,
    ("GET", "/cardiac/accounts"): ADMIN,
    ("POST", "/cardiac/accounts"): ADMIN,
    ("PUT", "/cardiac/accounts/{name}"): ADMIN,
    ("DELETE", "/cardiac/accounts/{name}"): ADMIN,
    ("DELETE", "/cardiac/patients/{patient}"): ADMIN,
    ("PUT", "/cardiac/patients/{patient}/consent"): ANNOTATOR,
    ("POST", "/cardiac/patients/{patient}/dicom"): REVIEWER,
    ("PUT", "/cardiac/images/{image}/labelmap"): ANNOTATOR,
    ("GET", "/logs/"): ADMIN,
    ("GET", "/logs/gpu"): ADMIN,
    ("POST", "/reload"): ADMIN,
    ("GET", "/datastore/dataset"): ADMIN,
    ("GET", "/model/{model}"): ADMIN,
    ("GET", "/model/info/{model}"): ADMIN,
    ("PUT", "/model/{model}"): ADMIN,
    ("DELETE", "/model/{model}"): ADMIN,
    ("POST", "/cardiac/models/{model}/rollback"): ADMIN,
    ("POST", "/train/{model}"): ADMIN,
    ("DELETE", "/train/"): ADMIN,
    ("POST", "/batch/infer/{model}"): ADMIN,
    ("DELETE", "/batch/infer"): ADMIN,
    ("DELETE", "/datastore/image"): ADMIN,
    ("DELETE", "/datastore/label"): ADMIN,
    ("PUT", "/datastore/image"): ANNOTATOR,
    ("PUT", "/datastore/label"): ANNOTATOR,
    ("PUT", "/datastore/image/info"): ANNOTATOR,
    ("PUT", "/datastore/label/info"): ANNOTATOR,
    ("POST", "/scoring/{method}"): ANNOTATOR,
    ("DELETE", "/scoring/"): ANNOTATOR,
}
"""Routes that need more than the role of a user."""


class Realm(ThreadingHTTPServer):
    """What Keycloak answers at a realm's address; ``key`` signs, ``style`` says how it is published."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.style, self.kid, self.asked = "keycloak", "one", 0
        self.challenges: dict[str, str] = {}
        self.token_life_s, self.renewed = 300.0, 0
        self.uri = f"http://127.0.0.1:{self.server_address[1]}/realms/monailabel"

    def token(self, *roles: str, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        claims = {
            "exp": time.time() + 300,
            "iss": self.uri,
            "typ": "Bearer",
            "preferred_username": "ada",
            "realm_access": {"roles": ["offline_access", *roles]},
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers={"kid": self.kid})

    def published(self) -> dict[str, Any]:
        public = self.key.public_key()
        if self.style == "keycloak":
            der = public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return {"realm": "monailabel", "public_key": "".join(der.decode().splitlines()[1:-1])}
        return {"issuer": self.uri}

    def jwks(self) -> dict[str, Any]:
        own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        other = {"kty": "EC", "kid": "other", "crv": "P-256", "x": "x", "y": "y"}
        return {"keys": [other, {**own, "kid": self.kid, "use": "sig"}]}


class _Answers(BaseHTTPRequestHandler):
    server: Realm

    def do_GET(self) -> None:
        self.server.asked += 1
        path = self.path.partition("/realms/monailabel")[2]
        if self.server.style == "broken":
            self._send(500, {"error": "broken"})
        elif path == "":
            self._send(200, self.server.published())
        elif path == "/.well-known/openid-configuration":
            uri = self.server.uri
            described = {"issuer": uri, "jwks_uri": f"{uri}/certs", "token_endpoint": f"{uri}/token"}
            described |= {
                "authorization_endpoint": f"{uri}/authorize",
                "end_session_endpoint": f"{uri}/leave",
            }
            self._send(200, described)
        elif path.startswith("/authorize?"):
            self._authorize(dict(parse_qsl(urlsplit(path).query)))
        elif path.startswith("/leave?"):
            self._send(200, {"left": True})
        else:
            self._send(200, self.server.jwks())

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.style == "broken":
            self._send(500, {"error": "broken"})
        elif "grant_type=authorization_code" in form or "grant_type=refresh_token" in form:
            self._tokens(dict(parse_qsl(form)))
        elif "password=right" in form and "username=ada" in form and "client_id=monailabel-app" in form:
            self._send(200, {"access_token": self.server.token(USER), "token_type": "Bearer"})
        else:
            self._send(401, {"error": "invalid_grant", "error_description": "Invalid user credentials"})

    def _authorize(self, asked: dict[str, str]) -> None:
        """As the realm's own page does once the user is logged in there."""
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.server.challenges[code] = asked["code_challenge"]
        self.send_response(302)
        answer = urlencode({"code": code, "state": asked["state"]})
        self.send_header("Location", f"{asked['redirect_uri']}?{answer}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _tokens(self, form: dict[str, str]) -> None:
        if form["grant_type"] == "refresh_token":
            is_right = form["refresh_token"] == REFRESH
            self.server.renewed += 1
        else:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            is_right = self.server.challenges.pop(form["code"], None) == challenge
        if is_right:
            token = self.server.token(ANNOTATOR, exp=time.time() + self.server.token_life_s)
            self._send(200, {"access_token": token, "token_type": "Bearer", "refresh_token": REFRESH})
        else:
            self._send(400, {"error": "invalid_grant"})

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def realm_running() -> Iterator[Realm]:
    realm = Realm()
    thread = threading.Thread(target=realm.serve_forever)
    thread.start()
    try:
        yield realm
    finally:
        realm.shutdown()
        thread.join()
        realm.server_close()


@contextmanager
def server_with_login(folder: Any, uri: str) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
        patch.setenv("MONAI_LABEL_AUTH_REALM_URI", uri)
        patch.setenv("MONAI_LABEL_AUTH_TIMEOUT", "2")
        patch.setattr(conftest, "_wait_until_ready", wait_until_ready)
        studies = make_studies(folder / "studies")
        with running(start_server_command(APP, studies), studies) as server:
            yield server


def wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    """As usual, at an address that needs no token."""
    deadline = time.monotonic() + conftest.START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            assert requests.get(f"{server.url}/auth/", timeout=conftest.ANSWER_S).ok
            return
        except requests.ConnectionError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{server.log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with realm_running() as realm:
        yield realm


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, realm: Realm) -> Iterator[Server]:
    with server_with_login(tmp_path_factory.mktemp("login"), realm.uri) as server:
        yield server


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Every method and path that the API has, found in its own process."""
    code = """
import json, sys, tempfile
from monailabel.config import settings
settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES = sys.argv[1], tempfile.mkdtemp()
settings.MONAI_LABEL_AUTH_ENABLE = True
from monailabel.app import app
from monailabel.interfaces.utils.app import app_instance
app_instance().on_init_complete()
def walk(routes):
    for route in routes:
        if hasattr(route, "original_router"):
            yield from walk(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in getattr(route, "methods", None) or ["GET"])
print("ROUTES" + json.dumps(sorted(set(walk(app.routes)))))
"""
    command = [sys.executable, "-c", code, str(APP)]
    env = {"PYTHONPATH": str(ROOT / "lib"), "PATH": "", "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    result = done.stdout.rpartition("ROUTES")[2].splitlines()[0]
    return [(method, path) for method, path in json.loads(result)]


def send(server: Server, method: str, path: str, token: str | None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return server.request(
        method,
        path.replace("{path:path}", "x").replace("{", "").replace("}", ""),
        headers=headers,
        allow_redirects=False,
    )


def test_every_route_needs_a_token(server: Server, routes: list[tuple[str, str]]) -> None:
    walked = [(method, path) for method, path in routes if path not in PUBLIC and path != "/static"]
    assert len(walked) > 60
    for method, path in walked:
        response = send(server, method, path, None)
        assert response.status_code == 401, (method, path, response.text)
        assert response.headers["www-authenticate"] == "Bearer"
        assert method == "HEAD" or response.json()["code"] == "not_logged_in"
    assert send(server, "GET", "/nothing/at/all", None).status_code == 401


def test_every_route_needs_a_role(server: Server, realm: Realm, routes: list[tuple[str, str]]) -> None:
    token = realm.token()
    for method, path in routes:
        if path not in PUBLIC and path != "/static":
            response = send(server, method, path, token)
            assert response.status_code == 403, (method, path, response.text)
            assert method == "HEAD" or response.json()["code"] == "forbidden"


@pytest.mark.parametrize("path", [*PAGES, "/openapi.json", "/favicon.ico", "/auth/", "/web/0/css/page.css"])
def test_what_anybody_may_see(server: Server, path: str) -> None:
    assert server.get(path).status_code == 200


def test_what_needs_more_than_the_role_of_a_user(
    server: Server, realm: Realm, routes: list[tuple[str, str]]
) -> None:
    assert NEEDED.keys() <= set(routes)
    below = {ADMIN: REVIEWER, REVIEWER: ANNOTATOR, ANNOTATOR: USER}
    for (method, path), role in NEEDED.items():
        small, enough = realm.token(below[role]), realm.token(role)
        response = send(server, method, path, small)
        assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (method, path)
        if path not in ("/logs/gpu", "/reload"):
            response = send(server, method, path, enough)
            assert response.status_code not in (401, 403, 500), (method, path, response.text)


@pytest.mark.parametrize("role", [ADMIN, REVIEWER, ANNOTATOR, USER])
def test_a_role_includes_those_below_it(server: Server, realm: Realm, role: str) -> None:
    token = realm.token(role)
    assert send(server, "GET", "/info/", token).status_code == 200
    assert send(server, "GET", "/cardiac/patients", token).status_code == 200
    expected = 422 if role != USER else 403
    assert send(server, "PUT", "/datastore/label", token).status_code == expected
    user = send(server, "GET", "/auth/token/valid", token).json()
    assert user["username"] == "ada" and user["roles"][0] == role and user["roles"][-1] == USER


REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"exp": time.time() - 3600},
    "never ends": {"exp": None},
    "not yet": {"nbf": time.time() + 3600},
    "another realm": {"iss": "http://evil.example/realms/monailabel"},
    "identity": {"typ": "ID"},
    "refresh": {"typ": "Refresh"},
    "no name": {"preferred_username": None},
    "a number for a name": {"preferred_username": 7},
    "an empty name": {"preferred_username": ""},
    "roles are text": {"realm_access": {"roles": ADMIN}},
    "roles are an object": {"realm_access": {"roles": {ADMIN: True}}},
    "roles are numbers": {"realm_access": {"roles": [1]}},
    "roles are nowhere": {"realm_access": [ADMIN]},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tokens_that_are_not_accepted(server: Server, realm: Realm, kind: str) -> None:
    _refused(send(server, "GET", "/info/", realm.token(ADMIN, **REFUSED[kind])))


def _refused(response: requests.Response) -> None:
    assert response.status_code == 401, response.text
    assert response.json()["code"] == "not_logged_in"
    assert response.headers["www-authenticate"] == "Bearer"


def test_tokens_signed_with_a_foreign_key(server: Server, realm: Realm) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _refused(send(server, "GET", "/info/", realm.token(ADMIN, key=stranger)))
    good = realm.token(USER)
    head, _, signature = good.split(".")
    forged = realm.token(ADMIN, key=stranger).split(".")[1]
    _refused(send(server, "GET", "/info/", f"{head}.{forged}.{signature}"))
    assert send(server, "GET", "/info/", good).status_code == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_tokens_that_are_not_signed_by_a_private_key(server: Server, realm: Realm, algorithm: str) -> None:
    """The public key, which everybody has, is no shared secret."""
    claims = {"exp": time.time() + 300, "preferred_username": "ada", "realm_access": {"roles": [ADMIN]}}
    secret = "" if algorithm == "none" else realm.published()["public_key"]
    _refused(send(server, "GET", "/info/", jwt.encode(claims, secret, algorithm=algorithm)))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_signatures_that_are_accepted(server: Server, realm: Realm, algorithm: str) -> None:
    assert send(server, "GET", "/info/", realm.token(USER, algorithm=algorithm)).status_code == 200
    assert send(server, "GET", "/info/", realm.token(USER, iss=None, typ=None)).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer a.b.c", "Bearer ü"]
)
def test_headers_that_are_no_token(server: Server, header: str) -> None:
    _refused(server.get("/info/", headers={"Authorization": header.encode()}))


def test_a_password_gives_a_token(server: Server) -> None:
    client = MONAILabelClient(server.url)
    assert client.auth_enabled()
    client.update_auth(client.auth_token("ada", "right"))
    assert client.auth_valid_token()
    assert "camus" in client.info()["models"]


def test_a_wrong_password(server: Server) -> None:
    response = server.post("/auth/token", data={"username": "ada", "password": "wrong"})
    assert (response.status_code, response.json()["code"]) == (401, "bad_credentials")
    response = server.post("/auth/token", data={"username": "ada"})
    assert (response.status_code, response.json()["code"]) == (422, "bad_request")


def test_an_upload_without_a_token_is_not_read(server: Server) -> None:
    response = server.put("/session/", files={"files": ("a.nii.gz", bytes(4 * 1024**2))})
    assert response.status_code == 401
    assert not list((server.studies.parent / "home").glob("*-*"))


def test_a_client_on_another_machine_is_answered_with_login(server: Server, realm: Realm) -> None:
    headers = {
        "Authorization": f"Bearer {realm.token(USER)}",
        "X-Forwarded-For": "10.1.2.3",
        "Host": "echo.example",
    }
    assert server.get("/info/", headers=headers).status_code == 200


def test_keys_of_a_jwks_and_a_new_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    with realm_running() as realm:
        realm.style = "jwks"
        with server_with_login(tmp_path_factory.mktemp("jwks"), realm.uri) as server:
            assert send(server, "GET", "/info/", realm.token(USER)).status_code == 200
            requested = realm.asked
            for _ in range(5):
                assert send(server, "GET", "/info/", realm.token(USER)).status_code == 200
                _refused(send(server, "GET", "/info/", _of_unknown_key(realm)))
            assert realm.asked == requested  # strangers cannot make the server ask again and again


def _of_unknown_key(realm: Realm) -> str:
    kid, realm.kid = realm.kid, "unknown"
    try:
        return realm.token(ADMIN)
    finally:
        realm.kid = kid


def test_without_the_realm(tmp_path_factory: pytest.TempPathFactory) -> None:
    with realm_running() as realm:
        realm.style = "broken"
        with server_with_login(tmp_path_factory.mktemp("broken"), realm.uri) as server:
            for response in (
                send(server, "GET", "/info/", realm.token(USER)),
                server.post("/auth/token", data={"username": "ada", "password": "right"}),
            ):
                assert (response.status_code, response.json()["code"]) == (503, "login_unavailable")
            assert send(server, "GET", "/info/", None).status_code == 401
            realm.style = "keycloak"
            time.sleep(5.5)  # so long it is not asked again
            assert send(server, "GET", "/info/", realm.token(USER)).status_code == 200
