"""Requests to a cardiolabel server; every failure is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

CONNECT_S, ANSWER_S = 5, 300


class ServerError(Exception):
    """The server refused a request, or cannot be reached; the message is for the annotator.

    Parameters
    ----------
    message : str
    status : int
        0 where there was no answer.
    code : str
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Server:
    """A cardiolabel server.

    Parameters
    ----------
    url : str
    annotator : str
        Who corrects masks, where there is no login.
    """

    def __init__(self, url: str, annotator: str = "") -> None:
        self.url, self.annotator = url.rstrip("/"), annotator
        self._session = requests.Session()

    def log_in(self, username: str, password: str) -> None:
        """Log in; the token is never written to the disk.

        Raises
        ------
        ServerError
            The name or password is wrong, or the server cannot be reached.
        """
        form = {"username": username, "password": password}
        token = self._send("POST", "/auth/token", data=form).json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.annotator = username

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of a route; raises `ServerError`."""
        return self._send("GET", path, params=parameters).json()

    def send(self, method: str, path: str, content: Any, **parameters: Any) -> Any:
        """Send JSON, and return the answer's; raises `ServerError`."""
        return self._send(method, path, json=content, params=parameters).json()

    def image_file(self, image: str) -> bytes:
        """Return an image as NIfTI in the geometry in which viewers show it; raises `ServerError`."""
        return self._send("GET", "/datastore/image", params={"image": image}).content

    def open_session(self, path: Path) -> str:
        """Send an image for a while; returns the session's id; raises `ServerError`."""
        with path.open("rb") as file:
            return str(self._send("PUT", "/session/", files={"files": file}).json()["session_id"])

    def infer(self, model: str, session: str, *, output: str) -> requests.Response:
        """Predict the image of a session: ``output`` is ``image`` or ``json``; raises `ServerError`."""
        form = {"params": json.dumps({"result_extension": ".nii.gz"})}
        return self._send(
            "POST", f"/infer/{model}", params={"session_id": session, "output": output}, data=form
        )

    def close_session(self, session: str) -> None:
        """Remove a session and its image; raises `ServerError`."""
        self._send("DELETE", f"/session/{session}")

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            answer = self._session.request(
                method, self.url + quote(path), timeout=(CONNECT_S, ANSWER_S), **options
            )
        except requests.RequestException:
            raise ServerError(
                f"{self.url} cannot be reached. Your work stays in the scene; try again later."
            ) from None
        if answer.ok:
            return answer
        try:
            content = answer.json()
        except ValueError:
            content = {}
        message = content.get("message") or f"the server answered {answer.status_code}"
        raise ServerError(str(message), answer.status_code, str(content.get("code", "")))
