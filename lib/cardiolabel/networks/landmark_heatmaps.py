"""Conversion of landmark heatmaps to points with sub-pixel accuracy."""

from __future__ import annotations

import torch

SPREAD = 1 / 80
"""Standard deviation of the target heatmaps, as a fraction of the image side."""


def expected_points(logits: torch.Tensor) -> torch.Tensor:
    """Compute the mean position of each heatmap, differentiably (soft-argmax, DSNT).

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
    positions = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return torch.stack([heat.sum(3) @ positions, heat.sum(2) @ positions], dim=-1)


def peak_points(logits: torch.Tensor) -> torch.Tensor:
    """Compute the mean position around each heatmap's peak, unaffected by lower peaks elsewhere.

    The neighbourhood spans three standard deviations (`SPREAD`) along rows and columns. Shapes are those of
    `expected_points`; a heatmap with NaN gives NaN.
    """
    side = logits.shape[-1]
    reach = max(1, round(3 * SPREAD * side))
    peak = logits.flatten(2).argmax(2)
    positions = torch.arange(side, device=logits.device)
    rows, cols = ((positions - centre[..., None]).abs() <= reach for centre in (peak // side, peak % side))
    near = rows[..., :, None] & cols[..., None, :]
    return expected_points(logits.masked_fill(~near, -torch.inf))
