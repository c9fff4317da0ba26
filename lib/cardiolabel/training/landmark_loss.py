"""Loss of landmark heatmaps."""

from __future__ import annotations

import torch

from cardiolabel.networks.landmark_heatmaps import SPREAD, expected_points


def landmark_loss(logits: torch.Tensor, points_px: torch.Tensor) -> torch.Tensor:
    """Compute the distance of heatmaps from their landmarks, plus their cross-entropy to a Gaussian around
    them.

    The distance is that of the heatmap's mean position, in halves of the image's side. The cross-entropy
    differs from the Kullback-Leibler divergence of the paper only by the Gaussian's own entropy.

    Parameters
    ----------
    logits : torch.Tensor, shape (N, 7, S, S)
    points_px : torch.Tensor, shape (N, 7, 2)
        (row, col) in pixels. Points outside the image do not count.

    Returns
    -------
    torch.Tensor
        The mean over points, a scalar.

    References
    ----------
    Nibali et al. 2018, Numerical coordinate regression with convolutional neural networks,
    arXiv:1801.07372, section 4.
    """
    side = logits.shape[-1]
    places = torch.arange(side, dtype=logits.dtype, device=logits.device)
    away = (places - points_px[..., None]) / (SPREAD * side)
    rows, cols = (-away.square() / 2).softmax(-1).unbind(2)
    heat_there: torch.Tensor = torch.einsum("nkhw,nkh,nkw->nk", logits, rows, cols)
    entropy = logits.flatten(2).logsumexp(2) - heat_there
    distance = torch.linalg.vector_norm(expected_points(logits) - points_px, dim=-1) * 2 / side
    inside = ((points_px >= 0) & (points_px <= side - 1)).all(-1)
    total: torch.Tensor = ((entropy + distance) * inside).sum()
    return total / inside.sum().clamp(min=1)
