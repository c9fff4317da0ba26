"""Heatmaps of landmarks as points, to a fraction of a pixel."""

from __future__ import annotations

import torch

SPREAD = 1 / 80
"""Standard deviation that heatmaps are trained to have, as a share of the image's side."""


def expected_points(logits: torch.Tensor) -> torch.Tensor:
    """The mean place of each heatmap, differentiable (soft-argmax, or DSNT).

    Parameters
    ----------
    logits : torch.Tensor, shape (N, K, S, S)
        Their softmax over the image is the heatmap.

    Returns
    -------
    torch.Tensor, shape (N, K, 2)
        (row, col) in pixels, the centre of the first pixel at (0, 0).

    References
    ----------
    Nibali et al. 2018, Numerical coordinate regression with convolutional neural networks,
    arXiv:1801.07372, section 4.

    Examples
    --------
    >>> logits = torch.full((1, 1, 4, 4), -torch.inf)
    >>> logits[0, 0, 2, [0, 1]] = 5.0
    >>> expected_points(logits)
    tensor([[[2.0000, 0.5000]]])
    """
    heat = logits.flatten(2).softmax(2).view(logits.shape)
    places = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return torch.stack([heat.sum(3) @ places, heat.sum(2) @ places], dim=-1)


def peak_points(logits: torch.Tensor) -> torch.Tensor:
    """The mean place of each heatmap near its peak, which a second, lower peak elsewhere cannot pull away.

    Near is within three standard deviations (`SPREAD`) along rows and columns. Shapes are as in
    `expected_points`; a heatmap with NaN gives NaN.
    """
    side = logits.shape[-1]
    reach = max(1, round(3 * SPREAD * side))
    peak = logits.flatten(2).argmax(2)
    places = torch.arange(side, device=logits.device)
    rows, cols = ((places - at[..., None]).abs() <= reach for at in (peak // side, peak % side))
    near = rows[..., :, None] & cols[..., None, :]
    return expected_points(logits.masked_fill(~near, -torch.inf))
