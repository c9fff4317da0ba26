"""Leases of annotators: a few images each at a time."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext

from cardiolabel.errors import LeasedError
from cardiolabel.records.names import storable
from cardiolabel.store.leases import Lease
from cardiolabel.store.store import Store
from lib.security.roles import Role, has, require
from lib.server.errors import refused

_TURNS = 64


class Leases:
    """Leases of one studies folder, with their rules.

    Parameters
    ----------
    store : Store
        Keeps them.
    lease_s : float
        How long an image stays with its annotator.
    at_most : int
        Images that one annotator may have at a time; somebody without a name, whom nothing tells from
        others, is not counted.
    """

    def __init__(self, store: Store, *, lease_s: float, at_most: int) -> None:
        self._store, self._lease_s, self.at_most = store, lease_s, at_most
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))

    def turn(self, annotator: str) -> AbstractContextManager[object]:
        """Serialise an annotator's requests, so that each counts the leases of the others.

        A request without a name needs no turn.
        """
        name = storable(annotator)
        return self._turns[hash(name) % _TURNS] if name else nullcontext()

    def instead_of(self, image_id: str, annotator: str) -> Lease | None:
        """Return the lease that an annotator with enough images keeps, instead of one just taken.

        Returns
        -------
        Lease or None
            Renewed, of the image that they have had longest; None where the new one is not too many.
        """
        require(Role.ANNOTATOR)
        held = self.of(annotator)
        if len(held) <= self.at_most:
            return None
        self._store.release(image_id)
        oldest = next(lease for lease in held if lease.image_id != image_id)
        return self._store.take(oldest.image_id, annotator, seconds=self._lease_s)

    def take(self, image_id: str, annotator: str) -> Lease:
        """Lease one image, or renew its lease.

        Raises
        ------
        UnknownImageError, LeasedError
            As `Store.take`.
        HTTPException
            409: the annotator has enough.
        """
        require(Role.ANNOTATOR)
        with self.turn(annotator):
            lease = self._store.take(image_id, annotator, seconds=self._lease_s)
            if len(self.of(annotator)) <= self.at_most:
                return lease
            self._store.release(image_id)
        raise refused(
            409, "leases_full", f"you have {self.at_most} images already; submit one or give one back"
        )

    def release(self, image_id: str, annotator: str) -> bool:
        """End a lease; returns whether there was one.

        Raises
        ------
        LeasedError
            Another annotator holds it; only an administrator may end that lease.
        """
        require(Role.ANNOTATOR)
        held = next((lease for lease in self._store.leases() if lease.image_id == image_id), None)
        if held and held.annotator != storable(annotator) and not has(Role.ADMIN):
            raise LeasedError(
                f"{image_id}: {held.annotator or 'somebody'} works on it; ask them or an administrator"
            )
        if held:
            self._store.release(image_id)
        return bool(held)

    def of(self, annotator: str) -> list[Lease]:
        """Return an annotator's leases, oldest first; none without a name."""
        name = storable(annotator)
        return [lease for lease in self._store.leases() if name and lease.annotator == name]
