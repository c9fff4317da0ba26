"""What the panel does: worklist, study, training. It needs a scene, and no Qt."""

from __future__ import annotations

from typing import Any

from .curve import AreaCurve
from .measured_lines import MeasuredLines
from .scene_volume import predict_volume
from .server import Server, ServerError
from .study import Study

STRATEGY = "hybrid"


class Logic:
    """One annotator at one server.

    Parameters
    ----------
    sequences : vtkSlicerSequencesLogic
    """

    def __init__(self, sequences: Any) -> None:
        self._sequences = sequences
        self.server: Server | None = None
        self.study: Study | None = None
        self.curve: AreaCurve | None = None
        self.lines = MeasuredLines()

    def connect(self, url: str, annotator: str = "", password: str = "") -> dict[str, Any]:
        """Connect, with a login where there is a password, and return the server's description.

        Raises
        ------
        ServerError
        """
        server = Server(url, annotator)
        if password:
            server.log_in(annotator, password)
        info = server.get("/info/")
        self.server = server
        return info

    def worklist(self) -> list[dict[str, Any]]:
        """Return a row for each patient: EF with interval, flags, and how many images have a final label.

        Raises
        ------
        ServerError
        """
        patients: dict[str, dict[str, Any]] = {}
        for row in self._connected.get("/cardiac/worklist")["rows"]:
            patient = patients.setdefault(
                row["patient"],
                {
                    "patient": row["patient"],
                    "ef_pct": row["ef_pct"],
                    "ef_low_pct": row["ef_low_pct"],
                    "ef_high_pct": row["ef_high_pct"],
                    "flags": [],
                    "images": 0,
                    "final": 0,
                },
            )
            patient["images"] += 1
            patient["final"] += row["label"] == "final"
            patient["flags"] += [flag for flag in row["flags"] if flag not in patient["flags"]]
        return list(patients.values())

    def next_best(self, strategy: str = STRATEGY) -> dict[str, Any] | None:
        """Return the image that is worth correcting next with its patient and the reason, or None.

        Raises
        ------
        ServerError
        """
        sample = self._connected.send(
            "POST", f"/activelearning/{strategy}", {"client_id": self._connected.annotator}
        )
        return sample if "id" in sample else None

    def open(self, patient: str) -> Study:
        """Put a patient's images into the scene in place of others; raises `ServerError`."""
        study = Study(self._connected, patient, self._sequences)
        if self.study is not None:
            self.study.close()
        self.lines.clear()
        self.study = study
        self.curve = self.curve or AreaCurve()
        self.curve.update(study)
        return study

    def measure(self) -> dict[str, Any]:
        """Measure unsaved work, and draw the area curve; raises `ServerError`."""
        if self.study is None or self.curve is None:
            raise ServerError("Open a patient first.")
        shown = self.study.measure()
        self.curve.update(self.study)
        return shown

    def predict_volume(self, volume: Any, model: str) -> tuple[Any, dict[str, Any]]:
        """Predict and measure a volume that is in the scene only; as `scene_volume.predict_volume`."""
        return predict_volume(self._connected, volume, model)

    def train(self, model: str) -> None:
        """Start a training on the final labels; raises `ServerError`."""
        self._connected.send("POST", f"/train/{model}", {}, run_sync=False)

    def training(self) -> dict[str, Any]:
        """Return the state of the last training of each model; raises `ServerError`."""
        return self._connected.get("/cardiac/training")

    def close(self) -> None:
        """Take everything out of the scene."""
        self.lines.clear()
        if self.study is not None:
            self.study.close()
            self.study = None
        if self.curve is not None:
            self.curve.remove()
            self.curve = None

    @property
    def _connected(self) -> Server:
        if self.server is None:
            raise ServerError("Connect to a server first.")
        return self.server


def best_ef(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return the row of the EF that is told first; None where it cannot be measured."""
    rows = [row for row in report["patient"] if row["ef_pct"] is not None]
    return next((row for row in rows if row["convention"] == "guideline"), rows[0] if rows else None)
