"""Depthwise convolutions with fast bf16 gradients on CPUs.

oneDNN's bf16 gradients of depthwise convolutions take up to 20 times longer than needed: by the weights where
kernels are large, by the images where the stride is 2. They took half of a training step of an EfficientNet.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional, grad


class DepthwiseConv2d(torch.nn.Conv2d):
    """A depthwise convolution; only the computation of bf16 gradients on CPUs differs from its parent."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Filter ``(N, C, H, W)``."""
        if not (torch.is_grad_enabled() and input.dtype == torch.bfloat16 and input.device.type == "cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            filtered: torch.Tensor = _Depthwise.apply(input, self.weight, self.stride[0])  # type: ignore[no-untyped-call]
        return filtered


def quicken(network: torch.nn.Module) -> None:
    """Turn a network's depthwise convolutions into :class:`DepthwiseConv2d`; names and weights stay."""
    for module in network.modules():
        if type(module) is torch.nn.Conv2d and _is_plain_depthwise(module):
            module.__class__ = DepthwiseConv2d


def _is_plain_depthwise(module: torch.nn.Conv2d) -> bool:
    kernel, stride = module.kernel_size[0], module.stride[0]
    return (
        1 < module.groups == module.in_channels == module.out_channels
        and kernel % 2 == 1
        and module.kernel_size == (kernel, kernel)
        and module.stride == (stride, stride)
        and module.padding == (kernel // 2, kernel // 2)
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and module.bias is None
    )


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
        kernels = weight.to(images.dtype)
        ctx.save_for_backward(images, kernels)
        ctx.stride = stride
        return functional.conv2d(
            images, kernels, stride=stride, padding=weight.shape[-1] // 2, groups=len(weight)
        )

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        images, kernels = ctx.saved_tensors
        stride, size, groups = ctx.stride, kernels.shape[-1], len(kernels)
        spread = gradient
        if stride > 1:
            spread = torch.zeros_like(images)
            spread[:, :, ::stride, ::stride] = gradient
        by_images = functional.conv2d(spread, kernels.flip(2, 3), padding=size // 2, groups=groups)
        kind = torch.float32 if size > 3 else kernels.dtype
        by_weight = grad.conv2d_weight(  # type: ignore[no-untyped-call]
            images.to(kind),
            list(kernels.shape),
            gradient.to(kind),
            stride=stride,
            padding=size // 2,
            groups=groups,
        )
        return by_images, by_weight.float(), None
