"""Shared parts of networks: activations by name, and convs whose arguments are checked before they are built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "hardswish", "celu", "selu"]
Padding = Literal["zeros", "reflect", "replicate", "circular"]

MOST_CHANNELS = 65_536
MOST_KERNEL = 63
MOST_LAYERS = 1000

# The slope is the lesson's; CELU is torch's, with α = 1. GELU has no in-place form.
_ACTIVATIONS: dict[str, Callable[[bool], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "gelu": lambda _: nn.GELU(),
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "celu": partial(nn.CELU, 1.0),
    "selu": nn.SELU,
}


def make_activation(name: Activation, inplace: bool = False) -> nn.Module:
    """The activation called `name`, in place if requested and possible."""
    return _ACTIVATIONS[name](inplace)


class MeanPool(nn.Module):
    """[B, C, H, W] to the means over H and W, [B, C].

    `nn.AdaptiveAvgPool2d` returns a gradient that is not channels_last, and the layers before it pass it on up to the
    next conv. On a CPU a LeakyReLU then takes twenty times as long, a tenth of a small network's step.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, x.shape[-2:]).flatten(1)


class MaxPool(nn.Module):
    """[B, C, H, W] to the maxima over H and W, [B, C].

    `amax` divides the gradient among equal values. Compiled in half precision it would find none equal to the maximum,
    because that was rounded and the values were not, and the gradient would be 0/0.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, x.shape[-2:]).flatten(1)


def conv2d(
    channels_in: int,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    padding: Padding = "zeros",
) -> nn.Conv2d:
    """A conv that keeps the resolution, or divides it by `stride` and rounds up.

    Raises ValueError for groups that do not divide the channels, and for an even kernel.
    """
    check_kernel(kernel)
    for what, channels in (("input", channels_in), ("output", channels_out)):
        check_channels(f"{what} channels of a conv", channels)
        if groups < 1 or channels % groups:
            raise ValueError(f"{groups} groups do not divide the {channels} {what} channels of a conv")
    return nn.Conv2d(
        channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=bias, padding_mode=padding
    )


def check_channels(what: str, channels: int) -> None:
    """Raise ValueError for an impossible number of channels."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"{what}: {channels} is not between 1 and {MOST_CHANNELS}")


def scaled(what: str, ratio: float, channels: int) -> int:
    """`ratio` times `channels`. Raises ValueError if the result is not a whole number."""
    scaled = channels * ratio
    if scaled < 1 or scaled != int(scaled):
        raise ValueError(f"{what} {ratio:g} of {channels} channels is {scaled:g}, and channels are whole")
    return int(scaled)


def check_kernel(kernel: int) -> None:
    """Raise ValueError for an even kernel, or one larger than any image here."""
    if kernel % 2 == 0 or not 1 <= kernel <= MOST_KERNEL:
        raise ValueError(f"a kernel is odd, so that it has a middle, and between 1 and {MOST_KERNEL}, not {kernel}")


def check_padding(padding: Padding, kernel: int, pixels: int) -> None:
    """Raise ValueError if an image of this size is too small for reflection padding."""
    pad = kernel // 2
    least = {"reflect": pad + 1, "circular": pad}.get(padding, 1)
    if pixels < least:
        raise ValueError(
            f"{padding} padding for a kernel of {kernel} needs {least} pixels a side, and there are {pixels}"
        )
