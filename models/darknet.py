"""Darknet as fast.ai's lesson builds it: a stem, groups of bottleneck residual layers, a linear head.

Source: fast.ai, Deep Learning for Coders part 2 (2018), lesson 12, after Redmon and Farhadi, YOLOv3
(arXiv 1804.02767). The lesson adds in place (`x.add_`); autograd refuses that, because the first conv
keeps `x` for its weight gradient, so the addition here makes a new tensor. Batch norm's scales start
uniform in [0, 1], as they did in the torch of 2018, for which the lesson chose its learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def conv_layer(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels_out, momentum=0.01)
    nn.init.uniform_(norm.weight)
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, norm, nn.LeakyReLU(0.1, inplace=True))


class ResLayer(nn.Module):
    """1×1 down to half the channels, 3×3 back up, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(channels, channels // 2, kernel=1)
        self.conv2 = conv_layer(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))  # type: ignore[no-any-return]


def group(channels: int, layers: int, stride: int) -> list[nn.Module]:
    """Doubles the channels, then adds `layers` residual layers."""
    return [
        conv_layer(channels, 2 * channels, stride=stride),
        *(ResLayer(2 * channels) for _ in range(layers)),
    ]


class Darknet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; adaptive pooling frees it from H and W.

    `blocks` is the number of residual layers of each group, `width` the channels of the stem. The
    second group keeps the resolution, every other one halves it.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        blocks: Sequence[int] = (1, 2, 4, 6, 3),
        width: int = 32,
    ) -> None:
        halvings = sum(index != 1 for index in range(len(blocks)))
        if image_size < 2**halvings:
            raise ValueError(f"{halvings} groups halve the image, so it needs {2**halvings} pixels, not {image_size}")
        if not blocks or min(blocks) < 0 or width < 1:
            raise ValueError("blocks needs at least one group, none negative, and width at least 1")
        super().__init__()
        layers: list[nn.Module] = [conv_layer(in_channels, width)]
        for index, layers_in_group in enumerate(blocks):
            layers += group(width << index, layers_in_group, stride=1 if index == 1 else 2)
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width << len(blocks), classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]
