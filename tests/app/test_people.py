"""Login with local accounts, and in the browser at a realm: who is let in, what cookies may do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from monailabel.client import MONAILabelClient

pytest.importorskip("pwdlib", reason="needs cardiolabel[server]")

from cardiolabel.accounts.accounts import AccountRole, Accounts

from . import conftest
from .browser import Watched, needs_chromium
from .conftest import APP, Server, make_studies, running, start_server_command
from .test_login import (
    ADMIN,
    ANNOTATOR,
    NEEDED,
    PUBLIC,
    REVIEWER,
    USER,
    Realm,
    realm_running,
    routes,
    send,
    server_with_login,
    wait_until_ready,
)

__all__ = ["routes"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PASSWORD, OTHER = "correct horse battery", "staple of another kind"
NAMES = {ADMIN: "ada", REVIEWER: "rita", ANNOTATOR: "bob", USER: "uma"}
STILL = "phantom01_4CH_ED"
FOREIGN = ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)")


@contextmanager
def with_accounts(folder: Path) -> Iterator[Server]:
    studies = make_studies(folder / "studies")
    accounts = Accounts(studies)
    roles = zip(NAMES.values(), reversed(AccountRole), strict=True)
    for name, role in roles:
        accounts.add(name, role, PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "_wait_until_ready", wait_until_ready)
        with running(start_server_command(APP, studies), studies) as server:
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with with_accounts(tmp_path_factory.mktemp("people")) as server:
        yield server


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    return {role: token(server, name) for role, name in NAMES.items()}


def token(server: Server, name: str, password: str = PASSWORD) -> str:
    response = server.post("/auth/token", data={"username": name, "password": password})
    assert response.ok, response.text
    return str(response.json()["access_token"])


def logged_in(server: Server, name: str, password: str = PASSWORD) -> requests.Session:
    """A browser's requests: with its cookie, and its page's origin."""
    session = requests.Session()
    session.headers["Origin"] = server.url
    response = session.post(f"{server.url}/auth/session", json={"username": name, "password": password})
    assert response.ok, response.text
    return session


def test_every_route_needs_a_login(server: Server, routes: list[tuple[str, str]]) -> None:
    walked = [(method, path) for method, path in routes if path not in PUBLIC and path != "/static"]
    assert len(walked) > 70
    for method, path in walked:
        for held in (None, "cardiolabel-of-nobody", "a.b.c"):
            response = send(server, method, path, held)
            assert response.status_code == 401, (method, path, response.text)
    for method, path in (("GET", "/auth/session"), ("DELETE", "/auth/session"), ("PUT", "/auth/password")):
        assert send(server, method, path, None).status_code == 401, (method, path)


def test_roles_on_every_route(server: Server, tokens: dict[str, str], routes: list[tuple[str, str]]) -> None:
    below = {ADMIN: REVIEWER, REVIEWER: ANNOTATOR, ANNOTATOR: USER}
    for (method, path), role in NEEDED.items():
        assert (method, path) in routes
        response = send(server, method, path, tokens[below[role]])
        assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (method, path)
        if path not in ("/logs/gpu", "/reload"):
            response = send(server, method, path, tokens[role])
            assert response.status_code not in (401, 403, 500), (method, path, response.text)


def test_a_login_in_the_browser_is_a_cookie_that_scripts_cannot_read(server: Server) -> None:
    session = requests.Session()
    response = session.post(f"{server.url}/auth/session", json={"username": "bob", "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert response.json()["username"] == "bob" and "token" not in response.text
    who = session.get(f"{server.url}/auth/session").json()
    assert (who["username"], who["may_annotate"], who["may_administer"]) == ("bob", True, False)
    assert session.get(f"{server.url}/cardiac/worklist").ok


def test_a_cookie_over_tls_is_secure(server: Server) -> None:
    headers = {"X-Forwarded-Proto": "https", "Origin": server.url.replace("http:", "https:")}
    body = {"username": "bob", "password": PASSWORD}
    response = server.post("/auth/session", json=body, headers=headers)
    assert response.ok and "Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
def test_a_cookie_changes_nothing_for_other_sites(server: Server, origin: str | None) -> None:
    session = logged_in(server, "ada")
    session.headers["Origin"] = origin  # type: ignore[assignment]  # None leaves it out
    for method, path in (
        ("POST", f"/cardiac/labels/{STILL}/rollback?version=1"),
        ("DELETE", f"/datastore/label?id={STILL}&tag=final"),
        ("PUT", "/cardiac/accounts/bob"),
        ("POST", "/cardiac/measure"),
    ):
        response = session.request(method, server.url + path, json={})
        assert response.status_code == 403, (method, path, response.text)
        assert response.json()["code"] == "foreign_origin"
    session.headers["Origin"] = server.url
    assert session.post(f"{server.url}/cardiac/measure", json={"images": []}).status_code != 403


def test_logging_out_ends_the_login_on_the_server(server: Server) -> None:
    session = logged_in(server, "bob")
    (cookie,) = session.cookies
    assert session.delete(f"{server.url}/auth/session").json() == {"leave": None}
    response = server.get("/cardiac/worklist", cookies={cookie.name: str(cookie.value)})
    assert (response.status_code, response.json()["code"]) == (401, "not_logged_in")


def test_the_author_of_a_mask_is_the_account(server: Server) -> None:
    session = logged_in(server, "bob")
    predicted = session.post(f"{server.url}/infer/camus?image={STILL}&output=image")
    assert predicted.ok, predicted.text
    saved = session.put(
        f"{server.url}/datastore/label?image={STILL}&client_id=eve",
        files={"label": ("label.nii.gz", predicted.content)},
    )
    assert saved.ok, saved.text
    assert session.get(f"{server.url}/cardiac/labels/{STILL}/versions").json()[-1]["author"] == "bob"


def test_three_d_slicers_client_logs_in(server: Server) -> None:
    client = MONAILabelClient(server.url)
    assert client.auth_enabled()
    client.update_auth(client.auth_token("bob", PASSWORD))
    assert client.auth_valid_token() and "camus" in client.info()["models"]


def test_administrators_manage_accounts(server: Server) -> None:
    ada = logged_in(server, "ada")
    place = f"{server.url}/cardiac/accounts"
    assert ada.post(place, json={"name": "new", "role": "annotator", "password": PASSWORD}).status_code == 201
    assert ada.post(place, json={"name": "New", "role": "reader", "password": PASSWORD}).status_code == 409
    assert ada.post(place, json={"name": "x", "role": "king", "password": PASSWORD}).status_code == 422
    short = ada.post(place, json={"name": "x", "role": "reader", "password": "short"})
    assert short.status_code == 422 and "12" in short.json()["message"]
    listed = ada.get(place)
    assert {row["name"]: row["role"] for row in listed.json()["accounts"]}["new"] == "annotator"
    assert "argon2" not in listed.text and "password" not in listed.text

    new = logged_in(server, "new")
    assert not new.get(f"{server.url}/auth/session").json()["may_administer"]
    assert ada.put(f"{place}/new", json={"role": "administrator"}).ok
    assert new.get(f"{server.url}/auth/session").json()["may_administer"]  # at once, without a new login
    assert ada.put(f"{place}/new", json={"locked": True}).ok
    assert new.get(f"{server.url}/auth/session").status_code == 401
    assert ada.put(f"{place}/new", json={"locked": False}).ok
    again = logged_in(server, "new")
    assert ada.put(f"{place}/new", json={"password": OTHER}).ok
    assert again.get(f"{server.url}/auth/session").status_code == 401
    assert ada.delete(f"{place}/new").ok and ada.delete(f"{place}/new").status_code == 404
    last = ada.delete(f"{place}/ada")
    assert last.status_code == 409 and "no administrator" in last.json()["message"]


def test_one_changes_ones_own_password(server: Server) -> None:
    ada = logged_in(server, "ada")
    body = {"name": "carol", "role": "reader", "password": PASSWORD}
    assert ada.post(f"{server.url}/cardiac/accounts", json=body).ok
    here, elsewhere = logged_in(server, "carol"), logged_in(server, "carol")
    place = f"{server.url}/auth/password"
    wrong = here.put(place, json={"present": OTHER, "new": OTHER})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "bad_credentials")
    assert here.put(place, json={"present": PASSWORD, "new": OTHER}).ok
    assert here.get(f"{server.url}/auth/session").ok
    assert elsewhere.get(f"{server.url}/auth/session").status_code == 401
    assert logged_in(server, "carol", OTHER)


def test_guesses_wait_longer_and_longer(server: Server) -> None:
    codes = [
        server.post("/auth/session", json={"username": "rita", "password": f"guess {k}"}).status_code
        for k in range(7)
    ]
    assert codes[:5] == [401] * 5 and codes[5:] == [429] * 2
    response = server.post("/auth/session", json={"username": "rita", "password": PASSWORD})
    assert response.status_code == 429 and int(response.headers["retry-after"]) >= 1
    time.sleep(int(response.headers["retry-after"]) + 0.1)
    assert logged_in(server, "rita")


def test_the_audit_log_tells_administrators_who_did_what(server: Server, tokens: dict[str, str]) -> None:
    logged_in(server, "uma").delete(f"{server.url}/auth/session")
    send(server, "GET", "/cardiac/audit", tokens[USER])
    time.sleep(0.5)
    ada = logged_in(server, "ada")
    events = ada.get(f"{server.url}/cardiac/audit?who=uma").json()["events"]
    assert [event["event"] for event in events[:3]] == ["refused", "logged out", "logged in"]
    assert events[0]["role"] == USER and all(event["authenticated"] for event in events[:3])
    failed = ada.get(f"{server.url}/cardiac/audit?event=login failed").json()["events"]
    assert failed and "guess" not in json.dumps(failed) and "rita" not in json.dumps(failed)
    saved = ada.get(f"{server.url}/cardiac/audit?subject={STILL}&event=label saved").json()["events"]
    assert [event["who"] for event in saved] == ["bob"] and STILL not in json.dumps(saved)


@needs_chromium
def test_a_person_logs_in_works_and_logs_out(tab: Watched, server: Server) -> None:
    page = tab.page
    page.goto(f"{server.url}/study?patient=phantom01")
    page.wait_for_url("**/login?next=*")
    page.fill("[name=username]", "bob")
    page.fill("[name=password]", OTHER)
    page.click("text=Log in >> nth=-1")
    page.wait_for_selector("#messages .bad")
    assert "known user name" in tab.text("#messages")
    page.fill("[name=password]", PASSWORD)
    page.click("form button")
    page.wait_for_url("**/study?patient=phantom01")
    page.wait_for_selector("#ef")
    assert re.search(r"EF \d+ %", tab.text("#ef")) and "bob" in tab.text("#who")
    assert page.evaluate("document.cookie") == ""

    page.goto(f"{server.url}/models")
    page.wait_for_selector(".card")
    assert not page.locator("text=Retrain on corrections").first.is_visible()
    page.goto(f"{server.url}/people")
    page.wait_for_selector("text=Your password")
    assert page.locator("text=Audit log").count() == 0
    page.click("text=Log out")
    page.wait_for_url("**/login")
    assert len(tab.problems) == 1 and "401" in tab.problems.pop()  # the wrong password


@needs_chromium
def test_an_administrator_adds_an_account_and_reads_the_log(tab: Watched, server: Server) -> None:
    page = tab.page
    page.goto(f"{server.url}/login?next=/people")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.click("form button")
    page.wait_for_selector("text=Audit log")
    page.fill("[name=name]", "dora")
    page.fill("[name=password]", PASSWORD)
    page.click("button:text-is('Add')")
    page.wait_for_selector("td:has-text('dora')")
    page.reload()
    page.wait_for_selector("td:has-text('account added')")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("tr:has-text('dora') >> text=Remove")
    tab.until("!document.body.textContent.includes('dora')")


@pytest.mark.parametrize("address", FOREIGN)
@needs_chromium
def test_a_login_leads_to_no_other_site(tab: Watched, server: Server, address: str) -> None:
    page = tab.page
    page.goto(f"{server.url}/login?next={requests.utils.quote(address, safe='')}")
    page.fill("[name=username]", "uma")
    page.fill("[name=password]", PASSWORD)
    page.click("form button")
    page.wait_for_selector("table")
    assert page.url.startswith(server.url + "/")


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with realm_running() as realm:
        yield realm


@pytest.fixture(scope="module")
def realm_server(tmp_path_factory: pytest.TempPathFactory, realm: Realm) -> Iterator[Server]:
    with server_with_login(tmp_path_factory.mktemp("realm"), realm.uri) as server:
        yield server


@needs_chromium
def test_a_person_logs_in_at_the_realm(tab: Watched, realm_server: Server, realm: Realm) -> None:
    page = tab.page
    page.goto(f"{realm_server.url}/study?patient=phantom01")
    page.wait_for_url("**/login?next=*")
    page.click("text=Log in at your institution")
    page.wait_for_url("**/study?patient=phantom01")
    page.wait_for_selector("#ef")
    assert "ada" in tab.text("#who")
    assert page.evaluate("document.cookie") == ""
    page.click("text=Log out")
    page.wait_for_url(f"{realm.uri}/leave?*")


def at_realm(server: Server, **options: Any) -> requests.Session:
    session = requests.Session()
    response = session.get(f"{server.url}/auth/login?next=/models", **options)
    assert response.url == f"{server.url}/models", response.text
    return session


def test_a_token_that_expires_is_renewed(realm_server: Server, realm: Realm) -> None:
    realm.token_life_s = -25.0  # within the leeway for 5 s more
    try:
        session = at_realm(realm_server)
        assert session.get(f"{realm_server.url}/auth/session").json()["may_annotate"]
        time.sleep(6)
        realm.token_life_s, before = 300.0, realm.renewed
        for _ in range(3):
            assert session.get(f"{realm_server.url}/cardiac/worklist").ok
        assert realm.renewed == before + 1
    finally:
        realm.token_life_s = 300.0


def test_a_login_that_another_browser_began_is_refused(realm_server: Server, realm: Realm) -> None:
    """Otherwise an attacker could make somebody work under the attacker's name."""
    attacker = requests.Session()
    begun = attacker.get(f"{realm_server.url}/auth/login", allow_redirects=False)
    back = requests.get(begun.headers["location"], allow_redirects=False, timeout=10).headers["location"]
    victim = requests.Session()
    response = victim.get(back)
    assert response.url.endswith("/login?failed=true") and not victim.cookies
    assert attacker.get(back).url == f"{realm_server.url}/"
    assert attacker.get(back).url.endswith("/login?failed=true")  # a second time


def test_a_forged_code_is_refused(realm_server: Server) -> None:
    session = requests.Session()
    begun = session.get(f"{realm_server.url}/auth/login", allow_redirects=False)
    state = re.search(r"state=([^&]+)", begun.headers["location"])
    assert state
    response = session.get(f"{realm_server.url}/auth/callback?state={state[1]}&code=forged")
    assert response.status_code in (401, 503) and "cardiolabel-login" not in str(session.cookies)


@pytest.mark.parametrize(
    "address", ["//evil.example/", "https://evil.example/", "/cardiac/worklist", "/\\evil"]
)
def test_the_realm_leads_back_to_pages_only(realm_server: Server, address: str) -> None:
    session = requests.Session()
    response = session.get(f"{realm_server.url}/auth/login", params={"next": address})
    assert response.url == f"{realm_server.url}/"
