"""Requests to an OpenID Connect realm; answers are short or an error."""

from __future__ import annotations

import json
from typing import Any

import jwt
import requests
from jwt.algorithms import RSAAlgorithm
from monailabel.config import settings

_LONGEST_BYTES = 1024**2
DISCOVERY = "/.well-known/openid-configuration"


def keys(uri: str) -> dict[str | None, Any]:
    """Return a realm's public keys by their ids.

    They are taken from the place in the discovery document, as for Auth0, Dex, Entra and Keycloak, else from
    the realm's own address, where Keycloak has one without an id.

    Raises
    ------
    requests.RequestException
        The realm does not answer.
    ValueError
        What it answers names no key.
    """
    try:
        published = _get(endpoint(uri, "jwks_uri"))
        by_id = _usable(published.get("keys"))
    except (requests.RequestException, ValueError):
        pem = _get(uri).get("public_key")
        if not isinstance(pem, str):
            raise
        text = f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----"
        by_id = {None: RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(text)}
    return by_id


def discovery(uri: str) -> dict[str, Any]:
    """Return a realm's description of itself.

    Raises
    ------
    requests.RequestException
        The realm does not answer.
    ValueError
        It answers an error.
    """
    return _get(uri + DISCOVERY)


def endpoint(uri: str, name: str) -> str:
    """Return an address of a realm, such as its ``token_endpoint``.

    Raises
    ------
    requests.RequestException
        The realm does not answer.
    ValueError
        It does not say.
    """
    address = discovery(uri).get(name)
    if not isinstance(address, str):
        raise ValueError(f"the realm names no {name}")
    return address


def post(address: str, data: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a form without following redirects; returns status and JSON of the answer."""
    return _answer("POST", address, data=data, allow_redirects=False)


def _get(address: str) -> dict[str, Any]:
    status, content = _answer("GET", address)
    if status != requests.codes.ok:
        raise ValueError(f"the realm answered {status}")
    return content


def _answer(method: str, address: str, **options: Any) -> tuple[int, dict[str, Any]]:
    timeout = settings.MONAI_LABEL_AUTH_TIMEOUT
    with requests.request(method, address, timeout=timeout, stream=True, **options) as response:
        text = response.raw.read(_LONGEST_BYTES, decode_content=True)
        try:
            content = json.loads(text)
        except RecursionError:
            raise ValueError("the realm's answer is nested too deep") from None
        except ValueError:
            content = {}
        return response.status_code, content if isinstance(content, dict) else {}


def _usable(published: object) -> dict[str | None, Any]:
    """Return readable RSA keys for signatures; others are left out."""
    usable: dict[str | None, Any] = {}
    for key in published if isinstance(published, list) else []:
        if isinstance(key, dict) and key.get("kty") == "RSA" and key.get("use", "sig") == "sig":
            try:
                usable[key.get("kid")] = jwt.PyJWK.from_dict(key, algorithm="RS256").key
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
    if not usable:
        raise ValueError("the realm publishes no RSA key for signatures")
    return usable
