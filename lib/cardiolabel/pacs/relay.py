"""A PACS's images passed on to viewers: read only, and of the mirrored studies only.

References
----------
DICOM PS3.18, 10.4 Retrieve, 10.6 Search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from cardiolabel.errors import PacsError, UnknownStudyError
from cardiolabel.pacs.dicomweb import Answer, Pacs

__all__ = ["Relay"]

_STUDY = re.compile(r"studies/([0-9.]{1,64})((?:/[A-Za-z0-9][A-Za-z0-9.,_-]{0,63}){0,12})")
_PARAMETER = re.compile(r"[A-Za-z0-9.]{2,64}")
_JSON_BYTES = 64 * 2**20


class Relay:
    """Passes on what viewers ask of a PACS.

    Parameters
    ----------
    url : str
        Where the PACS's DICOMweb is.
    served_studies : callable
        Returns the Study Instance UIDs that viewers may see.
    """

    def __init__(self, url: str, served_studies: Callable[[], Collection[str]]) -> None:
        self._url, self._served_studies = url.rstrip("/"), served_studies

    def get(self, path: str, parameters: Sequence[tuple[str, str]], *, accept: str, own_url: str) -> Answer:
        """Ask the PACS.

        Parameters
        ----------
        path : str
            ``studies`` to search, or what begins with ``studies/`` and an identifier to retrieve.
        parameters : sequence of (str, str)
        accept : str
            Media types that the viewer takes.
        own_url : str
            Where the viewer reaches this relay; it replaces the PACS's address in what is passed on.

        Raises
        ------
        PacsError
            The PACS does not answer, refuses the login, or sends too much.
        UnknownStudyError
            There is no such study here, or nothing of one at this path.
        """
        passed = [(name, value) for name, value in parameters if _PARAMETER.fullmatch(name)]
        if path == "studies":
            return self._search(passed, own_url)
        match = _STUDY.fullmatch(path)
        if match is None or match[1] not in self._served_studies():
            raise UnknownStudyError(f"{path[:80]}: no study of this server")
        answer = Pacs(self._url).passed(path, passed, accept)
        if "json" not in answer.media_type:
            return answer
        content = _whole(answer.pieces).replace(self._url.encode(), own_url.encode())
        return Answer(answer.status, answer.media_type, iter([content]))

    def _search(self, parameters: Sequence[tuple[str, str]], own_url: str) -> Answer:
        answer = Pacs(self._url).passed("studies", parameters, "application/dicom+json")
        content, served = _whole(answer.pieces), self._served_studies()
        try:
            rows = json.loads(content) if content else []
            own = [row for row in rows if row["0020000D"]["Value"][0] in served]
        except (ValueError, KeyError, TypeError, IndexError):
            raise PacsError("the PACS answered the search in a form that is no DICOMweb") from None
        text = json.dumps(own).replace(self._url, own_url)
        return Answer(answer.status if rows else 200, "application/dicom+json", iter([text.encode()]))


def _whole(pieces: Iterator[bytes]) -> bytes:
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > _JSON_BYTES:
            raise PacsError("the PACS answered with more than is accepted")
    return bytes(content)
