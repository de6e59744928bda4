"""The lesson's nets for MNIST: five convs of stride 2, and the same with residual or dense blocks between them.

Source: fast.ai, Practical Deep Learning for Coders (2019), lesson 7: 99.1 % for the plain one, 99.54 % after 12 epochs
for the one with residual blocks. All are in the order of the plain one, conv, batch norm, ReLU, and end in a batch
norm; the lesson's other two have ReLU before batch norm, and behind the last conv too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.layers import conv2d

WIDTHS = (8, 16, 32, 16)


def layer(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    conv = conv2d(channels_in, channels_out, stride=stride)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two layers, added to their input, or appended to it if `dense`."""

    def __init__(self, channels: int, dense: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(layer(channels, channels), layer(channels, channels))
        self.dense = dense

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return torch.cat([x, out], dim=1) if self.dense else x + out


class MnistNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; what is left of H and W is averaged (28 pixels leave one).

    `widths` are the channels between the image and the classes, behind a conv of stride 2 each.
    """

    def __init__(
        self, in_channels: int, classes: int, image_size: int, widths: Sequence[int], block: bool, dense: bool
    ) -> None:
        least = 2 ** len(widths) + 1
        if image_size < least:
            raise ValueError(f"{len(widths) + 1} convs halve the image, so it needs {least} pixels, not {image_size}")
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            layers += [layer(channels, width, stride=2)] + ([Residual(width, dense)] if block else [])
            channels = 2 * width if dense else width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(conv2d(channels, classes, stride=2), nn.BatchNorm2d(classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)).mean(dim=(2, 3))  # type: ignore[no-any-return]


def plain(in_channels: int = 1, classes: int = 10, image_size: int = 28, widths: Sequence[int] = WIDTHS) -> MnistNet:
    """Five convs, nothing between them."""
    return MnistNet(in_channels, classes, image_size, widths, block=False, dense=False)


def resnetish(
    in_channels: int = 1, classes: int = 10, image_size: int = 28, widths: Sequence[int] = WIDTHS
) -> MnistNet:
    """A residual block behind each conv but the last."""
    return MnistNet(in_channels, classes, image_size, widths, block=True, dense=False)


def dense(in_channels: int = 1, classes: int = 10, image_size: int = 28, widths: Sequence[int] = WIDTHS) -> MnistNet:
    """A block that is appended to its input behind each conv but the last: few parameters, much memory."""
    return MnistNet(in_channels, classes, image_size, widths, block=True, dense=True)
