"""Check that a machine sees the run's folders and would compute the same numbers."""

from __future__ import annotations

import hashlib
import json
import socket
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cardiolabel
from cardiolabel.errors import ClusterError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.pipeline.cluster.groups import Group
from cardiolabel.pipeline.workers import Options
from cardiolabel.studies.predicted import MODEL_NAME, model_note

_COMPUTING = ("numpy", "scipy", "scikit-image", "torch", "openvino")
_SHARE = "studies, weights and --out must lie on a file system that all machines share"


def check_fit(predictor: Predictor, group: Group, options: Options, program: str) -> None:
    """Raise `ClusterError` unless this machine sees the folders and would compute the same numbers."""
    host, note = socket.gethostname(), options.out / MODEL_NAME
    if not group[0][0].path.parent.is_dir():
        raise ClusterError(f"worker on {host}: {group[0][0].path.parent}: no such folder; {_SHARE}")
    try:
        expected = json.loads(note.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClusterError(f"worker on {host}: {note}: {error.strerror}; {_SHARE}") from error
    own = json.loads(model_note(predictor))
    if differing := [
        f"{name} {own[name]}, not {expected.get(name)}" for name in own if own[name] != expected.get(name)
    ]:
        raise ClusterError(
            f"worker on {host} has another model or engine than {note} says: {'; '.join(differing)};"
            " give all machines the same weights, packages and kind of CPU"
        )
    if program != own_program():
        raise ClusterError(
            f"worker on {host} has other packages than this machine: {own_program()}, not {program};"
            " install the same on all machines"
        )


def own_program() -> str:
    """Return the versions of the packages that compute numbers, and a hash of this package's code."""
    code = hashlib.sha256()
    for path in sorted(Path(cardiolabel.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    parts = [f"cardiolabel {code.hexdigest()[:12]}"]
    for name in _COMPUTING:
        with suppress(PackageNotFoundError):
            parts.append(f"{name} {version(name)}")
    return ", ".join(parts)
