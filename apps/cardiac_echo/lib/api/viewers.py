"""The OHIF viewer as npm ships it, under this server's address, and refusals of other kinds of servers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import mimetypes
import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from lib.api.pages import page_files, page_login
from lib.security.addresses import OHIF
from lib.security.answer_headers import viewer_policy
from lib.security.environment import environment
from lib.security.roles import STRANGER, Role, needs, sender
from lib.server.errors import refused

router = APIRouter(include_in_schema=False)

CONFIG = "app-config.js"
_LEFT_OUT = ("ort/", "sw.js", "init-service-worker.js", "google.js", CONFIG)
"""Files of OHIF that are not served: models for other tools, and scripts that load from elsewhere."""

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_HASHED = re.compile(r"\.[0-9a-f]{16}\.|^[0-9a-f]{16}\.")


@router.get(OHIF + "{path:path}")
def ohif(path: str, request: Request) -> Response:
    """Return a file of the viewer; its client-side routes all return its first page."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    files = _files()
    is_page = "." not in path.rpartition("/")[2]
    if is_page or path == "index.html":
        if sender() is STRANGER:
            here = OHIF + path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{root}/login?{urlencode({'next': here})}", status_code=303)
        text, policy = _first_page(root)
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
        return Response(text, media_type="text/html", headers=headers)
    if path == CONFIG:
        return RedirectResponse(f"{page_files(root)}/js/ohif/config.js", status_code=307)
    if path not in files:
        raise refused(404, "unknown_file", "the viewer has no such file")
    kind = "text/javascript" if path.endswith(".js") else mimetypes.guess_type(path)[0]
    keep = "private, max-age=31536000, immutable" if _HASHED.search(path) else "no-cache"
    return Response(
        _compressed(path, root),
        media_type=kind or "application/octet-stream",
        headers={
            "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding",
            "Cache-Control": keep,
            "Content-Security-Policy": viewer_policy(()),  # of workers
        },
    )


@router.get("/proxy/dicom/{path:path}", dependencies=[needs(Role.USER)])
@router.post("/proxy/dicom/{path:path}", dependencies=[needs(Role.USER)])
def dicom(path: str) -> None:
    """Refuse MONAI Label's DICOM routes, which ask any DICOMweb server; this server's are /dicom-web."""
    raise refused(404, "no_dicomweb", "the images of a PACS are at /dicom-web")


@router.post("/infer/wsi/{model}", dependencies=[needs(Role.USER)])
@router.post("/infer/wsi_v2/{model}", dependencies=[needs(Role.USER)])
def whole_slide(model: str) -> None:
    """Refuse whole-slide routes: MONAI Label's endpoints read any path that they are given."""
    raise refused(404, "unknown_model", "this server has no whole-slide models")


def is_installed() -> bool:
    """Return whether OHIF is there."""
    return (_folder() / "index.html").is_file()


def _folder() -> Path:
    return Path(environment().ohif or Path(sys.prefix) / "share" / "cardiolabel" / "ohif")


@cache
def _files() -> dict[str, Path]:
    """Return the files by address, so that no address leads elsewhere."""
    if not is_installed():
        raise refused(404, "no_ohif", "OHIF is not installed here; install it with: bash scripts/ohif")
    folder = _folder()
    paths = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return {name: path for name, path in paths if not name.startswith(_LEFT_OUT)}


@cache
def _first_page(root: str) -> tuple[str, str]:
    """Return OHIF's page, below this server's address, and the policy that lets its own scripts run."""
    text = _files()["index.html"].read_text(encoding="utf-8")
    text = text.replace('="/', f'="{root}{OHIF}')
    for name in ("init-service-worker.js", "google.js"):
        text = re.sub(rf'<script[^>]*{re.escape(name)}"[^>]*></script>', "", text)
    metas = "".join(
        f'<meta name="{name}" content="{value}">'
        for name, value in (("root", root), ("login", page_login()), ("files", page_files(root)))
    )
    text = text.replace("<head>", f"<head>{metas}", 1)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in _SCRIPT.findall(text)
    ]
    return text, viewer_policy(tuple(digests))


@cache
def _compressed(path: str, root: str) -> bytes:
    """Return a file, with the address that scripts and styles are loaded from."""
    content = _files()[path].read_bytes()
    if path.endswith(".js"):
        own = f'__webpack_require__.p = "{root}{OHIF}"'.encode()
        content = content.replace(b'__webpack_require__.p = "/"', own)
    elif path.endswith(".css"):
        content = content.replace(b"url(/", f"url({root}{OHIF}".encode())
    return gzip.compress(content, compresslevel=6, mtime=0)
