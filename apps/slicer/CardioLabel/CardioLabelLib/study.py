"""A patient's study in the scene: masks, numbers, corrections, and submitting them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .image_nodes import ImageNodes
from .masks import between, runs_of
from .server import Server, ServerError

CONFLICT = 409
_ORDER = ("A4C", "A2C", "SAX", "unknown")
_PHASES = ("cine", "ED", "ES")


@dataclass(eq=False)
class Work:
    """What an annotator did with one image.

    Attributes
    ----------
    nodes : ImageNodes
    edits : int
        Strokes since the masks were opened.
    began_s : float or None
        When the first was made.
    corrected : set of int
        Frames that a person corrected; others may be shapes between them.
    proposed : dict of int to ndarray
        What was in frames before shapes were proposed in them.
    seen : ndarray or None
        Masks as they were when they were last looked at.
    """

    nodes: ImageNodes
    edits: int = 0
    began_s: float | None = None
    corrected: set[int] = field(default_factory=set)
    proposed: dict[int, np.ndarray] = field(default_factory=dict)
    seen: np.ndarray | None = None

    def remember(self) -> None:
        """Take the masks as they are now for known, so that only what a person draws is noticed."""
        self.seen = self.nodes.masks()


class ConflictError(Exception):
    """Somebody else saved the image meanwhile; both masks are kept as versions.

    Parameters
    ----------
    message : str
    image : str
    theirs : dict
        The labelmap that is current now.
    """

    def __init__(self, message: str, image: str, theirs: dict[str, Any]) -> None:
        super().__init__(message)
        self.image, self.theirs = image, theirs


class Study:
    """The images of one patient.

    Parameters
    ----------
    server : Server
    patient : str
    sequences : vtkSlicerSequencesLogic

    Raises
    ------
    ServerError
        The server refuses or cannot be reached; nothing is left in the scene.
    """

    def __init__(self, server: Server, patient: str, sequences: Any) -> None:
        self.server, self.patient = server, patient
        self.report: dict[str, Any] = server.get(f"/cardiac/patients/{patient}")
        self.shown = self.report
        """What the numbers are of: the stored masks, or unsaved work."""
        self.problems: list[str] = []
        self.images: dict[str, Work] = {}
        try:
            for image in self.report["sources"]:
                self._open(image, sequences)
        except BaseException:
            self.close()
            raise
        ordered = sorted(self.images.values(), key=_rank)
        self.images = {work.nodes.image: work for work in ordered}
        for work in ordered:
            work.nodes.show(self.phases(work.nodes.image)[0] or 0)

    def close(self) -> None:
        """Take the images out of the scene."""
        for work in self.images.values():
            work.nodes.remove()
        self.images.clear()

    def phases(self, image: str) -> tuple[int | None, int | None]:
        """Return the frames (from 0) at ED and ES of a cine."""
        beats = self.report["beats"].get(image) or []
        return (beats[0]["ed_index"], beats[0]["es_index"]) if beats else (None, None)

    def notice(self, image: str) -> bool:
        """Look for what was drawn since the last look, and note it; returns whether something was."""
        work = self.images[image]
        masks = work.nodes.masks()
        before = work.nodes.stored if work.seen is None else work.seen
        frames = [int(frame) for frame in np.flatnonzero((masks != before).any(axis=(1, 2)))]
        work.seen = masks
        if frames:
            self._edited(work, frames)
        return bool(frames)

    @staticmethod
    def _edited(work: Work, frames: list[int]) -> None:
        work.edits += 1
        work.began_s = work.began_s or time.monotonic()
        work.corrected.update(frames)
        for frame in frames:
            work.proposed.pop(frame, None)

    @property
    def unsaved(self) -> dict[str, dict[int, np.ndarray]]:
        """Masks of changed frames by image; proposed shapes do not count until they are accepted."""
        changed = {}
        for image, work in self.images.items():
            own = {frame: mask for frame, mask in work.nodes.changed().items() if frame not in work.proposed}
            if own:
                changed[image] = own
        return changed

    def measure(self) -> dict[str, Any]:
        """Measure with unsaved work, which is not stored; raises `ServerError`."""
        unsaved = self.unsaved
        if not unsaved:
            self.shown = self.report
            return self.shown
        images = [
            {"image": image, "painted": _painted(frames), "on": "image"} for image, frames in unsaved.items()
        ]
        self.shown = self.server.send("POST", "/cardiac/measure", {"images": images})
        return self.shown

    def submit(self, image: str) -> int:
        """Save an image's corrections; returns the version.

        Raises
        ------
        ConflictError
            Somebody else saved it meanwhile; `settle` chooses.
        ServerError
            Nothing is lost: the work stays in the scene.
        """
        work = self.images[image]
        content = {
            "frames": _painted(self.unsaved.get(image, {})),
            "base_version": work.nodes.version,
            "client_id": self.server.annotator,
            "seconds": round(time.monotonic() - work.began_s, 1) if work.began_s else 0,
            "strokes": work.edits,
            "on": "image",
        }
        try:
            saved = self.server.send("PUT", f"/cardiac/images/{image}/labelmap", content)
        except ServerError as error:
            if error.status == CONFLICT:
                raise ConflictError(str(error), image, self._labelmap(image)) from error
            raise
        self._reopen(image)
        self.refresh()
        return int(saved["version"])

    def settle(self, conflict: ConflictError, *, mine: bool) -> int:
        """Put the own mask over the other's, or take that; returns the version that is current then."""
        work = self.images[conflict.image]
        if not mine:
            self._take(work, conflict.theirs)
            self.refresh()
            return work.nodes.version
        own = work.nodes.masks()
        for frame, mask in work.proposed.items():
            own[frame] = mask
        work.nodes.take(conflict.theirs)
        work.nodes.set_masks(own)
        work.proposed.clear()
        work.remember()
        return self.submit(conflict.image)

    def give_up(self, image: str) -> None:
        """Show the stored masks again."""
        work = self.images[image]
        work.nodes.set_masks(work.nodes.stored)
        self._forget(work)

    def predict(self, image: str) -> None:
        """Put the model's masks in place of those that are shown; raises `ServerError`."""
        nodes = self.images[image].nodes
        predicted = self._labelmap(image, blind=True)
        if not predicted["frames"]:
            raise ServerError(f"{nodes.name}: {predicted['reason'] or 'no model segments this view'}")
        stored, version, source = nodes.stored, nodes.version, nodes.source
        nodes.take(predicted)
        nodes.stored, nodes.version, nodes.source = stored, version, source
        self.images[image].remember()

    def versions(self, image: str) -> list[dict[str, Any]]:
        """Return the versions of an image's label, oldest first; raises `ServerError`."""
        return self.server.get(f"/cardiac/labels/{image}/versions")

    def roll_back(self, image: str, version: int) -> None:
        """Make an earlier version current, as a new version; raises `ServerError`."""
        self.server.send("POST", f"/cardiac/labels/{image}/rollback", {}, version=version)
        self._reopen(image)
        self.refresh()

    def set_phase(self, image: str, *, ed: int | None = None, es: int | None = None) -> None:
        """Say which frames (from 0) of a cine are ED and ES; the other one stays; raises `ServerError`."""
        now_ed, now_es = self.phases(image)
        ed, es = now_ed if ed is None else ed, now_es if es is None else es
        frames = {"ed_frame": None if ed is None else ed + 1, "es_frame": None if es is None else es + 1}
        self.server.send("PUT", f"/cardiac/images/{image}/description", frames)
        self.refresh()

    def copy_to_next(self, image: str) -> int:
        """Copy the shown frame's mask into the next frame of a cine and show that; returns its number."""
        nodes = self.images[image].nodes
        frame = nodes.frame
        if not nodes.is_cine or frame + 1 >= nodes.shape[0]:
            raise ValueError(f"{nodes.name} has no next frame")
        nodes.set_mask(frame + 1, nodes.masks()[frame])
        nodes.show(frame + 1)
        self._edited(self.images[image], [frame + 1])
        self.images[image].remember()
        return frame + 1

    def propose_between(self, image: str) -> list[int]:
        """Propose shapes in the frames between each two neighbours that were corrected.

        Returns
        -------
        list of int
            The frames.

        Raises
        ------
        ValueError
            Fewer than two frames were corrected, or none lies between them.
        """
        work = self.images[image]
        masks, corrected = work.nodes.masks(), sorted(work.corrected)
        shapes = {
            frame: between(masks[first], masks[last], (frame - first) / (last - first))
            for first, last in pairwise(corrected)
            for frame in range(first + 1, last)
        }
        if not shapes:
            raise ValueError(f"{work.nodes.name}: correct two frames that have others between them first")
        self.propose(image, shapes)
        return sorted(shapes)

    def propose(self, image: str, shapes: dict[int, np.ndarray]) -> None:
        """Show masks that something else drew; they are neither measured nor submitted until accepted.

        Parameters
        ----------
        image : str
        shapes : dict of int to ndarray of uint8, shape (H, W)
            By frame.
        """
        work = self.images[image]
        masks = work.nodes.masks()
        for frame, shape in shapes.items():
            work.proposed.setdefault(frame, masks[frame])
            work.nodes.set_mask(frame, shape)
        work.remember()

    def accept(self, image: str) -> None:
        """Take the proposed shapes as corrections."""
        work = self.images[image]
        work.edits += len(work.proposed)
        work.began_s = work.began_s or time.monotonic()
        work.proposed.clear()

    def reject(self, image: str) -> None:
        """Show what was there before shapes were proposed."""
        work = self.images[image]
        for frame, mask in work.proposed.items():
            work.nodes.set_mask(frame, mask)
        work.proposed.clear()
        work.remember()

    def refresh(self) -> None:
        """Ask for the numbers of the stored masks; raises `ServerError`."""
        self.report = self.server.get(f"/cardiac/patients/{self.patient}")
        self.measure()

    def _open(self, image: str, sequences: Any) -> None:
        try:
            opened = self.server.get(f"/cardiac/images/{image}")
            nodes = ImageNodes(opened, self._labelmap(image), self.server.image_file(image), sequences)
            self.images[image] = Work(nodes)
        except ServerError as error:
            if not error.status:
                raise
            self.problems.append(f"{image}: {error}")  # the others can be corrected

    def _labelmap(self, image: str, **parameters: Any) -> dict[str, Any]:
        return self.server.get(f"/cardiac/images/{image}/labelmap", on="image", **parameters)

    def _reopen(self, image: str) -> None:
        self._take(self.images[image], self._labelmap(image))

    def _take(self, work: Work, labelmap: dict[str, Any]) -> None:
        work.nodes.take(labelmap)
        self._forget(work)

    @staticmethod
    def _forget(work: Work) -> None:
        work.edits, work.began_s = 0, None
        work.corrected.clear()
        work.proposed.clear()
        work.remember()


def _painted(frames: dict[int, np.ndarray]) -> dict[str, list[int]]:
    return {str(frame): runs_of(mask) for frame, mask in frames.items()}


def _rank(work: Work) -> tuple[int, int, str]:
    nodes = work.nodes
    return _ORDER.index(nodes.view), _PHASES.index(nodes.phase), nodes.image
