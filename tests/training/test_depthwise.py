"""The quick gradients are the slow ones."""

import copy

import pytest
import torch

from cardiolabel.training.depthwise import DepthwiseConv2d, quicken


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).detach().norm() / expected.detach().norm())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [16, 15])
def test_gradients_are_those_of_the_plain_convolution(kernel: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(24, 24, kernel, stride, kernel // 2, groups=24, bias=False)
    network = torch.nn.Sequential(copy.deepcopy(plain))
    quicken(network)
    assert isinstance(network[0], DepthwiseConv2d)
    images = torch.randn(3, 24, side, side)
    exact, quick = images.clone().requires_grad_(), images.clone().requires_grad_()
    expected = plain(exact)
    target = torch.randn_like(expected)
    (expected * target).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        result = network(quick.bfloat16())
    (result.float() * target).sum().backward()
    assert _relative(result.float(), expected) < 0.01
    assert _relative(quick.grad, exact.grad) < 0.01
    assert _relative(network[0].weight.grad, plain.weight.grad) < 0.01


def test_other_convolutions_and_the_names_of_weights_stay() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 3, padding=1),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=2),
        torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
    )
    names = list(network.state_dict())
    quicken(network)
    assert [type(module) is DepthwiseConv2d for module in network] == [False, True, False, False]
    assert list(network.state_dict()) == names


def test_without_gradients_nothing_differs() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False))
    images = torch.randn(2, 8, 12, 12)
    with torch.inference_mode():
        before = network(images)
        quicken(network)
        assert torch.equal(network(images), before)
