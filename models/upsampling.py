"""Ways to double the resolution of an image, as generators and decoders use them.

Sources: Odena et al., Deconvolution and Checkerboard Artifacts (Distill, 2016); Shi et al. (arXiv 1609.05158) for the
pixel shuffle; Aitken et al. (arXiv 1707.02937) for its start without a checkerboard, ICNR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from bench.models.layers import check_channels

Upsampling = Literal["transposed_k3", "transposed_k4", "upsample", "shuffle", "shuffle_icnr"]


def upsampling(kind: Upsampling, channels_in: int, channels_out: int, bias: bool = True) -> nn.Module:
    """A layer [B, channels_in, H, W] → [B, channels_out, 2H, 2W], with torch's own start.

    `transposed_k3` and `_k4` are transposed convs of stride 2; `upsample` repeats each pixel and convolves; `shuffle`
    makes four times the channels and lays them out as pixels, and `shuffle_icnr` starts with the four equal.
    """
    check_channels("channels", channels_in)
    check_channels("channels", channels_out)
    return _KINDS[kind](channels_in, channels_out, bias)


@torch.no_grad()
def icnr_(conv: nn.Conv2d) -> None:
    """Make the four filters and biases of each channel behind a pixel shuffle of 2 equal to the first of them."""
    for values in conv.parameters():
        values.copy_(values[::4].repeat_interleave(4, dim=0))


def _shuffle(channels_in: int, channels_out: int, bias: bool, equal: bool) -> nn.Module:
    conv = nn.Conv2d(channels_in, 4 * channels_out, 3, padding=1, bias=bias)
    if equal:
        icnr_(conv)
    return nn.Sequential(conv, nn.PixelShuffle(2))


_KINDS: dict[Upsampling, Callable[[int, int, bool], nn.Module]] = {
    "transposed_k3": lambda c, out, bias: nn.ConvTranspose2d(
        c, out, 3, stride=2, padding=1, output_padding=1, bias=bias
    ),
    "transposed_k4": lambda c, out, bias: nn.ConvTranspose2d(c, out, 4, stride=2, padding=1, bias=bias),
    "upsample": lambda c, out, bias: nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(c, out, 3, padding=1, bias=bias)
    ),
    "shuffle": lambda c, out, bias: _shuffle(c, out, bias, equal=False),
    "shuffle_icnr": lambda c, out, bias: _shuffle(c, out, bias, equal=True),
}
