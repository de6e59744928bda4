"""The lesson's nets for MNIST: five convs of stride 2, optionally with residual or dense blocks between them.

Source: fast.ai, Practical Deep Learning for Coders (2019), lesson 7: 99.1 % for the plain one, 99.54 % after 12 epochs
for the one with residual blocks. These options reproduce the lesson's nets:

- its first net is the plain one with `bias` (12,126 parameters);
- its later ones are in the `order` conv-act-bn, behind the last conv too, drawn `he_normal`, and the scale of a
  residual block's last batch norm starts at 0 (`zero_last_scale`).

Without options all are in the order of the first, without bias, and end in a batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.layers import conv2d

WIDTHS = (8, 16, 32, 16)
Order = Literal["conv-bn-act", "conv-act-bn"]


def layer(
    channels_in: int, channels_out: int, stride: int = 1, order: Order = "conv-bn-act", bias: bool = False
) -> nn.Sequential:
    conv = conv2d(channels_in, channels_out, stride=stride, bias=bias)
    norm, act = nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    return nn.Sequential(conv, act, norm) if order == "conv-act-bn" else nn.Sequential(conv, norm, act)


class ResidualConv(nn.Module):
    """Two layers, added to their input, or appended to it if `dense`."""

    def __init__(
        self,
        channels: int,
        dense: bool,
        order: Order = "conv-bn-act",
        bias: bool = False,
        zero_last_scale: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer(channels, channels, order=order, bias=bias) for _ in range(2)))
        self.dense = dense
        if zero_last_scale:
            *_, norm = (module for module in self.layers.modules() if isinstance(module, nn.BatchNorm2d))
            nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return torch.cat([x, out], dim=1) if self.dense else x + out


class MnistNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; what is left of H and W is averaged (28 pixels leave one).

    `widths` are the channels between the image and the classes, behind a conv of stride 2 each.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        image_size: int,
        widths: Sequence[int],
        block: bool,
        dense: bool,
        order: Order = "conv-bn-act",
        bias: bool = False,
        zero_last_scale: bool = False,
        he_normal: bool = False,
    ) -> None:
        least = 2 ** len(widths) + 1
        if image_size < least:
            raise ValueError(f"{len(widths) + 1} convs halve the image, so it needs {least} pixels, not {image_size}")
        super().__init__()
        make = partial(layer, stride=2, order=order, bias=bias)
        layers: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            layers.append(make(channels, width))
            if block:
                layers.append(ResidualConv(width, dense, order, bias, zero_last_scale))
            channels = 2 * width if dense else width
        self.body = nn.Sequential(*layers)
        last = make(channels, classes)
        self.head = last if order == "conv-act-bn" else last[:-1]
        for module in self.modules() if he_normal else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)).mean(dim=(2, 3))  # type: ignore[no-any-return]


def plain(
    in_channels: int = 1,
    classes: int = 10,
    image_size: int = 28,
    widths: Sequence[int] = WIDTHS,
    order: Order = "conv-bn-act",
    bias: bool = False,
    he_normal: bool = False,
) -> MnistNet:
    """Five convs, nothing between them."""
    return MnistNet(in_channels, classes, image_size, widths, False, False, order, bias, he_normal=he_normal)


def resnetish(
    in_channels: int = 1,
    classes: int = 10,
    image_size: int = 28,
    widths: Sequence[int] = WIDTHS,
    order: Order = "conv-bn-act",
    bias: bool = False,
    zero_last_scale: bool = False,
    he_normal: bool = False,
) -> MnistNet:
    """A residual block behind each conv but the last."""
    return MnistNet(in_channels, classes, image_size, widths, True, False, order, bias, zero_last_scale, he_normal)


def dense(
    in_channels: int = 1,
    classes: int = 10,
    image_size: int = 28,
    widths: Sequence[int] = WIDTHS,
    order: Order = "conv-bn-act",
    bias: bool = False,
    he_normal: bool = False,
) -> MnistNet:
    """A block that is appended to its input behind each conv but the last: much memory, and 29 % more parameters."""
    return MnistNet(in_channels, classes, image_size, widths, True, True, order, bias, he_normal=he_normal)
