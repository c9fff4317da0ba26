"""The login server: its signing keys, and tokens for passwords."""

from __future__ import annotations

import threading
import time
from typing import Any

import jwt
import requests
from monailabel.config import settings

from lib.errors import refused

KEPT_S, AGAIN_S, FAILED_S = 600, 30, 5
"""How long keys are kept, how soon they are fetched again for a token that does not fit, and how soon
after a failure."""


class Realm:
    """An OpenID Connect realm; Keycloak publishes its key at the realm's own address, others as a JWKS.

    Parameters
    ----------
    uri : str
        The realm, which tokens name as their issuer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._lock = threading.Lock()
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = self._failed_at = -float(KEPT_S)

    def key(self, kid: str | None, *, again: bool = False) -> Any:
        """The public key that a token names; None where the realm has no such key.

        Parameters
        ----------
        kid : str or None
            The token's key id.
        again : bool
            The key that is kept did not fit; fetch it anew unless that was just done.
        """
        if not self._is_fresh(kid, again):
            with self._lock:  # one thread asks the realm, the others wait for what it learns
                if not self._is_fresh(kid, again):
                    self._keys = self._fetched()
                    self._fetched_at = time.monotonic()
        return self._keys.get(kid, self._keys.get(None))

    def log_in(self, username: str, password: str) -> dict[str, Any]:
        """A token for a password."""
        data = {
            "client_id": settings.MONAI_LABEL_AUTH_CLIENT_ID,
            "username": username,
            "password": password,
            "grant_type": "password",
        }
        address = str(self._json(f"{self.uri}/.well-known/openid-configuration").get("token_endpoint"))
        try:
            response = requests.post(address, data=data, timeout=settings.MONAI_LABEL_AUTH_TIMEOUT)
            token = response.json()
        except (requests.RequestException, ValueError) as error:
            raise _unavailable() from error
        if response.status_code in (400, 401):
            raise refused(
                401,
                "bad_credentials",
                "expected a known user name and its password",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not response.ok or not isinstance(token, dict) or not isinstance(token.get("access_token"), str):
            raise _unavailable()
        return {"access_token": token["access_token"], "token_type": "Bearer"}

    def _is_fresh(self, kid: str | None, again: bool) -> bool:
        fits = kid in self._keys or None in self._keys
        return time.monotonic() - self._fetched_at < (KEPT_S if fits and not again else AGAIN_S)

    def _fetched(self) -> dict[str | None, Any]:
        if time.monotonic() - self._failed_at < FAILED_S:
            raise _unavailable()
        try:
            return self._published()
        except (jwt.PyJWTError, KeyError, TypeError, AttributeError) as error:
            self._failed_at = time.monotonic()
            raise _unavailable() from error

    def _published(self) -> dict[str | None, Any]:
        key = self._json(self.uri).get("public_key")
        if key:
            pem = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----"
            return {None: jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).prepare_key(pem)}
        address = self._json(f"{self.uri}/.well-known/openid-configuration")["jwks_uri"]
        usable = [
            one
            for one in self._json(address)["keys"]
            if one.get("kty") == "RSA" and one.get("use", "sig") == "sig"
        ]
        return {one.get("kid"): jwt.PyJWK.from_dict(one, algorithm="RS256").key for one in usable}

    def _json(self, address: str) -> dict[str, Any]:
        try:
            response = requests.get(address, timeout=settings.MONAI_LABEL_AUTH_TIMEOUT)
            response.raise_for_status()
            found = response.json()
        except (requests.RequestException, ValueError) as error:
            self._failed_at = time.monotonic()
            raise _unavailable() from error
        return found if isinstance(found, dict) else {}


def _unavailable() -> Exception:
    return refused(
        503, "login_unavailable", "the login server does not answer; try again, or tell your administrator"
    )
