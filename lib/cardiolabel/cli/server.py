"""The command that starts the server."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from cardiolabel.accounts.accounts import Accounts
from cardiolabel.cli.imports import local_studies, with_imports
from cardiolabel.cli.left_out import name_left_out_labels
from cardiolabel.cli.options import APP, ExistingOrPacs, KeepNames, MmPerPixel, Query, Quiet
from cardiolabel.cli.terminal import clear_errors, say
from cardiolabel.errors import DatasetError
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.system.installation import check_server
from cardiolabel.system.readable_text import is_utf8

_TAKEN = (errno.EADDRINUSE, errno.EACCES)


def serve(
    source: ExistingOrPacs,
    models: Annotated[
        str, typer.Option(help="Models to serve, comma-separated, the preferred first; else all.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    lease_minutes: Annotated[
        float,
        typer.Option(
            min=0.01, max=7 * 24 * 60, help="How long an image that was handed out is kept for its annotator."
        ),
    ] = 60,
    scoring: Annotated[
        str, typer.Option(help="Scoring beside the server: on, off, or how many images after each change.")
    ] = "on",
    base: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=STUDIES",
            help="Studies that a model was trained on, rehearsed when it is retrained; repeatable.",
        ),
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="TLS certificate (PEM).")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Key of the TLS certificate (PEM).")
    ] = None,
    query: Query = "",
    keep_names: KeepNames = False,
    mm_per_pixel: MmPerPixel = None,
    quiet: Quiet = False,
) -> None:
    """Start the MONAI Label server on a studies folder; docs/reference/settings.md lists all settings.

    Images of STUDIES that are not NIfTI are first converted beside the others. Those of a PACS are first
    fetched into a studies folder of this machine, and new ones while the server runs.
    """
    with clear_errors():
        check_server()
        studies = local_studies(source, query, keep_names=keep_names, mm_per_pixel=mm_per_pixel, quiet=quiet)
        if (ssl_certfile is None) != (ssl_keyfile is None):
            raise DatasetError("TLS needs both --ssl-certfile and --ssl-keyfile")
        conf = {"lease_minutes": f"{lease_minutes:g}", "scoring": scoring, **_bases(base or [])}
        conf |= {"models": models} if models else {}
        if not studies.is_dir():
            raise DatasetError(f"{studies}: no such folder; make one with: cardiolabel prepare or sample")
        if not is_utf8(str(studies.resolve())):
            raise DatasetError(
                f"{studies}: its path is not UTF-8, as the server's answers must be; rename it"
            )
        if models:
            _check_models(models.split(","))
        if not (APP / "main.py").is_file():
            raise DatasetError(f"{APP}: the server app is not there; install the package again")
        with_imports(studies, studies, keep_names=keep_names, mm_per_pixel=mm_per_pixel, quiet=quiet)
        StudiesFolder(studies).records()
        _check_address(host, port)
        name_left_out_labels(studies, quiet, read=True)
        has_accounts = bool(Accounts(studies))
    scheme = "https" if ssl_certfile else "http"
    say(f"serving {studies} on {scheme}://{host}:{port} (patients: /cardiac/patients)", quiet)
    if has_accounts:
        say("people log in with the accounts of these studies: cardiolabel accounts list", quiet)
    elif host not in {"127.0.0.1", "localhost", "::1"}:
        say("without login only this machine is answered; see docs/explanation/security.md", quiet)
    sys.stdout.flush()
    # -P: nothing is imported from the folder that the command is called in, which may take uploads.
    arguments = ["--app", str(APP), "--studies", str(studies.resolve())]
    for name, value in conf.items():
        arguments += ["--conf", name, value]
    if ssl_certfile and ssl_keyfile:
        arguments += [
            "--ssl_certfile",
            str(ssl_certfile.resolve()),
            "--ssl_keyfile",
            str(ssl_keyfile.resolve()),
        ]
    command = [sys.executable, "-P", "-m", "cardiolabel.system.lean_start", "start_server", *arguments]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port)])  # noqa: S606  no shell


def _bases(pairs: list[str]) -> dict[str, str]:
    """Convert ``MODEL=STUDIES`` to the app's settings; raises DatasetError for anything else."""
    settings = {}
    for pair in pairs:
        model, _, folder = pair.partition("=")
        if not (model and folder and Path(folder).is_dir()):
            raise DatasetError(f"--base {pair!r}: expected MODEL=STUDIES, the name of a model and a folder")
        _check_models([model])
        settings[f"base_{model}"] = str(Path(folder).resolve())
    return settings


def _check_models(models: list[str]) -> None:
    """Refuse a name that is no model's."""
    from cardiolabel.models.models import SOURCES  # imports PyTorch, which takes seconds

    for model in models:
        if model.strip() not in SOURCES:
            raise DatasetError(f"no model {model.strip()!r} to serve; expected {', '.join(SOURCES)}")


def _check_address(host: str, port: int) -> None:
    """Refuse an address that this machine does not have, or a port that another program listens on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        advice = "choose another with --port" if error.errno in _TAKEN else "give an address of this machine"
        raise DatasetError(f"cannot listen on {host}, port {port}: {reason}; {advice}") from None
