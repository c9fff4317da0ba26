"""Patients that stand for the others: what is worth labelling before any model can say."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

_THUMBNAIL = 16
_MOST = 800
"""Points that distances are computed between; of more, a sample stands for all."""

_CHOSEN = 50
"""So many are chosen; whoever comes after them is labelled when others have been."""


def thumbnail(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture as 256 numbers: what is bright where, whatever the gain.

    Parameters
    ----------
    frame : ndarray, shape (S, S)
        Network input; S is a multiple of 16.

    Returns
    -------
    ndarray, shape (256,)
        Of mean 0 and length 1; 0 for a frame of one grey value.
    """
    part = len(frame) // _THUMBNAIL
    small = frame.reshape(_THUMBNAIL, part, _THUMBNAIL, part).mean(axis=(1, 3)).ravel()
    centred = small - small.mean()
    length = np.float32(np.linalg.norm(centred))
    found: NDArray[np.float32] = centred / length if length else centred
    return found


def covering(
    embeddings: NDArray[np.float32],
    count: int,
    *,
    labelled: NDArray[np.float32],
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> list[int]:
    """Choose points so that every point is near a chosen or a labelled one: greedy k-medoids.

    Parameters
    ----------
    embeddings : ndarray, shape (N, D)
    count : int
        How many to choose, at most N.
    labelled : ndarray, shape (M, D)
        Chosen already; M may be 0.
    seed : int
        Draws the sample that stands for more than 800 points, and orders what comes after the first 50.
    weights : ndarray, shape (N,), optional
        How much each point is worth being near to; by default all are worth the same.

    Returns
    -------
    list of int
        Indices, the most helpful first.

    References
    ----------
    Mirzasoleiman et al. 2013, Distributed submodular maximization (exemplar-based clustering); Minoux 1978,
    Accelerated greedy algorithms for maximizing submodular set functions.
    """
    generator = np.random.default_rng(seed)
    kept = np.arange(len(embeddings))
    if len(kept) > _MOST:
        kept = np.sort(generator.choice(len(embeddings), _MOST, replace=False))
    points = embeddings[kept]
    between = _distances(points, points)
    nearest = between.max(axis=1) if not len(labelled) else _distances(points, labelled).min(axis=1)
    worth = (np.ones(len(points)) if weights is None else weights[kept]).astype(np.float32)
    gains = worth @ (nearest[:, None] - between).clip(min=0)
    waiting = [(-float(gain), index) for index, gain in enumerate(gains)]
    heapq.heapify(waiting)
    chosen: list[int] = []
    while waiting and len(chosen) < min(count, _CHOSEN):
        # What a point gains only falls as others are chosen: one that still leads need not be compared.
        _, index = heapq.heappop(waiting)
        now = (-float(worth @ (nearest - between[index]).clip(min=0)), index)
        if waiting and now > waiting[0]:
            heapq.heappush(waiting, now)
            continue
        chosen.append(int(kept[index]))
        nearest = np.minimum(nearest, between[index])
    rest = np.setdiff1d(np.arange(len(embeddings)), chosen)
    return [*chosen, *generator.permutation(rest).tolist()][:count]


def _distances(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean, ``(N, M)``."""
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    distances: NDArray[np.float32] = np.sqrt(squares.clip(min=0))
    return distances
