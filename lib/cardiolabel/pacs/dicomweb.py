"""A PACS behind DICOMweb: search (QIDO-RS), retrieval (WADO-RS) and storage (STOW-RS), all bounded.

The login is in the environment, ``CARDIOLABEL_PACS_USER`` and ``CARDIOLABEL_PACS_PASSWORD`` or
``CARDIOLABEL_PACS_TOKEN``, and is never logged.

References
----------
DICOM PS3.18, Web Services.
"""

from __future__ import annotations

import logging
import os
import re
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cardiolabel.errors import GoneFromPacsError, PacsError

# It would log the identifiers of all that is fetched.
logging.getLogger("dicomweb_client").setLevel(logging.WARNING)

__all__ = ["MODALITIES", "Answer", "Instance", "Pacs", "is_address", "parsed_query"]

MODALITIES = ("US", "MR")
USER, PASSWORD, TOKEN = ("CARDIOLABEL_PACS_USER", "CARDIOLABEL_PACS_PASSWORD", "CARDIOLABEL_PACS_TOKEN")

_UID = re.compile(r"[0-9.]{1,64}")
_KEYWORD = re.compile(r"[A-Za-z0-9]{2,64}")
_PAGE = 100
_CONNECT_S, _SILENT_S, _LONGEST_S = 5, 30, 300
_MAX_BYTES = 2 * 2**30
_PIECE = 2**20
_RETRIES = 3


@dataclass(frozen=True)
class Instance:
    """One image of a PACS, by its identifiers."""

    study_uid: str
    series_uid: str
    sop_uid: str


@dataclass(frozen=True)
class Answer:
    """An answer as it comes: status, media type, and its content piece by piece."""

    status: int
    media_type: str
    pieces: Iterator[bytes]


def is_address(text: str) -> bool:
    """Return whether a text is the address of a server, not a folder.

    >>> is_address("http://127.0.0.1:8042/dicom-web"), is_address("studies")
    (True, False)
    """
    return text.startswith(("http://", "https://"))


def parsed_query(text: str) -> dict[str, str]:
    """Return the filters of a search.

    Raises
    ------
    PacsError
        It is no query.

    Examples
    --------
    >>> parsed_query("StudyDate=20260101-20261231&ModalitiesInStudy=US")
    {'StudyDate': '20260101-20261231', 'ModalitiesInStudy': 'US'}
    """
    try:
        pairs = parse_qsl(text, strict_parsing=True, max_num_fields=50) if text else []
    except ValueError:
        pairs = [("", "")]
    if not all(_KEYWORD.fullmatch(name) for name, _ in pairs):
        raise PacsError(f"{text[:80]!r} is no query; expected one such as StudyDate=20260101-20261231")
    return dict(pairs)


class Pacs:
    """A PACS at an address.

    Parameters
    ----------
    url : str
        Where DICOMweb is, such as ``http://127.0.0.1:8042/dicom-web``.

    Raises
    ------
    PacsError
        Both kinds of login are in the environment.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._name = urlsplit(url).netloc.rpartition("@")[2]
        session = _session(_BoundedSession)
        weakref.finalize(self, session.close)
        self._client = DICOMwebClient(self.url, session=session)
        self._client.set_http_retry_params(retry=False)  # the session tries again, within seconds

    def instances(self, query: Mapping[str, str] | None = None) -> Iterator[Instance]:
        """Yield the ultrasound and MR images of the studies that match a query; errors as `file`.

        Parameters
        ----------
        query : mapping of str to str, optional
            Filters of studies by DICOM keyword; all studies without.
        """
        for study in self._paged(self._client.search_for_studies, search_filters=dict(query or {})):
            study_uid = _uid(study, "0020000D")
            for modality in MODALITIES:
                filters = {"Modality": modality}
                for series in self._paged(self._client.search_for_series, study_uid, search_filters=filters):
                    series_uid = _uid(series, "0020000E")
                    for instance in self._paged(self._client.search_for_instances, study_uid, series_uid):
                        yield Instance(study_uid, series_uid, _uid(instance, "00080018"))

    def file(self, instance: Instance) -> Dataset:
        """Return an image as the PACS has it, in whatever transfer syntax.

        Raises
        ------
        GoneFromPacsError
            The PACS has no such image.
        PacsError
            The PACS does not answer, refuses the login, or sends too much.
        """
        place, types = (instance.study_uid, instance.series_uid), (("application/dicom", "*"),)
        try:
            with self._asked(f"image {instance.sop_uid}"):
                return self._client.retrieve_instance(*place, instance.sop_uid, media_types=types)
        except GoneFromPacsError:
            # Where two images share an identifier, Orthanc gives them with their series only.
            with self._asked(f"image {instance.sop_uid}"):
                series = self._client.retrieve_series(*place, media_types=types)
            for dataset in series:
                if dataset.SOPInstanceUID == instance.sop_uid:
                    return dataset
            raise

    def passed(self, path: str, parameters: Sequence[tuple[str, str]], accept: str) -> Answer:
        """Ask for something below the address, and return the answer as it comes; errors as `file`.

        Parameters
        ----------
        path : str
        parameters : sequence of (str, str)
        accept : str
            Media types.
        """
        session = _session(_StreamedSession)
        try:
            with self._asked("a viewer"):
                response = session.get(
                    f"{self.url}/{path}", params=list(parameters), headers={"Accept": accept or "*/*"}
                )
                if response.status_code in (401, 403):
                    with response:
                        response.raise_for_status()
        except PacsError:
            session.close()
            raise
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return Answer(response.status_code, kind, self._pieces(session, response))

    def _pieces(self, session: requests.Session, response: requests.Response) -> Iterator[bytes]:
        with self._asked("a viewer"), session, response:
            yield from _bounded(response)

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store objects; those that are there already stay. Errors as `file`."""
        with self._asked("storing"):
            answer = self._client.store_instances(list(datasets))
        if failed := answer.get("FailedSOPSequence"):
            reason = int(failed[0].get("FailureReason") or 0)
            raise PacsError(f"{self._name} refused {len(failed)} of {len(datasets)} objects ({reason:#06x})")

    def _paged(self, search: Any, *place: str, **options: Any) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            with self._asked("the search"):
                page = search(*place, limit=_PAGE, offset=offset, **options)
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Turn whatever goes wrong into one sentence without the login."""
        try:
            yield
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403):
                raise PacsError(
                    f"{self._name} refuses the login ({status}); set {USER} and {PASSWORD}, or {TOKEN}"
                ) from None
            kind = GoneFromPacsError if status in (404, 410) else PacsError
            raise kind(f"{self._name} answered {status} to {what}") from None
        except _UnusableAnswerError as error:
            raise PacsError(f"{self._name} answered {what} {error}") from None
        except requests.RequestException as error:
            raise PacsError(
                f"{self._name} does not answer to {what} ({type(error).__name__}); is it running?"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PacsError(f"{self._name} answered {what} in a form that is no DICOMweb ({error})") from None


def _uid(found: Mapping[str, Any], tag: str) -> str:
    """Return an identifier of a search result; it becomes a file name, so that nothing else is taken."""
    value = str((found.get(tag, {}).get("Value") or [""])[0])
    if not _UID.fullmatch(value):
        raise PacsError(f"the PACS names an object {value[:80]!r}; expected a UID of digits and points")
    return value


def _session(kind: type[_StreamedSession]) -> requests.Session:
    session = kind()
    user, password, token = (os.environ.get(name, "") for name in (USER, PASSWORD, TOKEN))
    if token and (user or password):
        raise PacsError(f"set {USER} and {PASSWORD}, or {TOKEN}, not both")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user:
        session.auth = (user, password)
    session.trust_env = False  # no login of ~/.netrc, and no proxy, gets in between
    retry = Retry(total=_RETRIES, backoff_factor=0.3, status_forcelist=(502, 503, 504), raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


class _UnusableAnswerError(requests.RequestException):
    """The answer is not taken; the message says why."""


class _StreamedSession(requests.Session):
    """Leaves answers to be read as they come."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request; raises `_UnusableAnswerError` for redirecting answers."""
        options |= {"timeout": (_CONNECT_S, _SILENT_S), "stream": True, "allow_redirects": False}
        response = super().send(request, **options)
        if response.is_redirect:
            response.close()
            raise _UnusableAnswerError("by sending elsewhere; give the address that it sends to")
        return response


class _BoundedSession(_StreamedSession):
    """Reads answers up to a length and a time."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request; raises `_UnusableAnswerError` for long, slow and redirecting answers."""
        response = super().send(request, **options)
        with response:
            response._content = b"".join(_bounded(response))
        return response


def _bounded(response: requests.Response) -> Iterator[bytes]:
    end_s, length = time.monotonic() + _LONGEST_S, 0
    for piece in response.iter_content(_PIECE):
        length += len(piece)
        if length > _MAX_BYTES or time.monotonic() > end_s:
            raise _UnusableAnswerError("with more than is accepted, or too slowly")
        yield piece
