"""Diversity sampling: patients that represent the others, chosen without a model."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

_THUMBNAIL = 16
_MOST = 800
"""Most points that distances are computed between; of more, a random sample is used."""

_CHOSEN = 50
"""Number of points that are chosen greedily; the rest follow in random order."""


def thumbnail(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce a network input to 256 numbers that do not depend on gain.

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
    unit: NDArray[np.float32] = centred / length if length else centred
    return unit


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
    remaining = np.arange(len(embeddings))
    if len(remaining) > _MOST:
        remaining = np.sort(generator.choice(len(embeddings), _MOST, replace=False))
    points = embeddings[remaining]
    between = _distances(points, points)
    nearest = between.max(axis=1) if not len(labelled) else _distances(points, labelled).min(axis=1)
    worth = (np.ones(len(points)) if weights is None else weights[remaining]).astype(np.float32)
    gains = worth @ (nearest[:, None] - between).clip(min=0)
    waiting = [(-float(gain), index) for index, gain in enumerate(gains)]
    heapq.heapify(waiting)
    chosen: list[int] = []
    while waiting and len(chosen) < min(count, _CHOSEN):
        # Gains only fall as points are chosen: one that still leads need not be compared with the rest.
        _, index = heapq.heappop(waiting)
        now = (-float(worth @ (nearest - between[index]).clip(min=0)), index)
        if waiting and now > waiting[0]:
            heapq.heappush(waiting, now)
            continue
        chosen.append(int(remaining[index]))
        nearest = np.minimum(nearest, between[index])
    rest = np.setdiff1d(np.arange(len(embeddings)), chosen)
    return [*chosen, *generator.permutation(rest).tolist()][:count]


def _distances(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Euclidean distances ``(N, M)``."""
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    distances: NDArray[np.float32] = np.sqrt(squares.clip(min=0))
    return distances
