"""Darknet as fast.ai's lesson builds it, a stem, groups of residual layers, a linear head; and variants of its block.

Source: fast.ai, Deep Learning for Coders part 2 (2018), lesson 12, after Redmon and Farhadi, YOLOv3
(arXiv 1804.02767). Batch norm's scales start uniform in [0, 1], as they did in the torch of 2018, for which
the lesson chose its learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers import MOST_LAYERS, Activation, Padding, check_channels, check_kernel, check_padding, conv2d
from models.layers import make_activation as act_layer

Order = Literal["conv-bn-act", "conv-act-bn", "bn-act-conv"]


@dataclass(frozen=True)
class Style:
    """What all convs of a net have in common."""

    activation: Activation
    order: Order
    inplace: bool
    padding: Padding
    bias: bool


def norm_layer(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.01)
    nn.init.uniform_(norm.weight)
    return norm


def conv_layer(
    channels_in: int, channels_out: int, style: Style, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        "bn": norm_layer(channels_in if style.order == "bn-act-conv" else channels_out),
        "conv": conv2d(channels_in, channels_out, kernel, stride, groups, style.bias, style.padding),
        "act": act_layer(style.activation, style.inplace),
    }
    return nn.Sequential(*(parts[name] for name in style.order.split("-")))


def inner_channels(channels: int, ratio: float) -> int:
    inner = channels * ratio
    if inner < 1 or inner != int(inner):
        raise ValueError(f"inner_ratio {ratio:g} of {channels} channels is {inner:g}, and channels are whole")
    return int(inner)


class ResLayer(nn.Module):
    """Convs whose outputs have `widths` channels, added to the input, or appended to it if `dense`."""

    def __init__(
        self, channels: int, widths: list[int], kernels: Sequence[int], groups: int, dense: bool, style: Style
    ) -> None:
        super().__init__()
        inputs = [channels, *widths]
        convs = zip(inputs, widths, kernels, strict=False)
        self.convs = nn.Sequential(*(conv_layer(i, o, style, kernel, groups=groups) for i, o, kernel in convs))
        self.dense = dense
        # The lesson adds to `x` in place. Autograd refuses that, for the first conv keeps `x` for its weight
        # gradient; the last output may be added to, unless it is that of an activation, which keeps it.
        self.adds_in_place = style.inplace and style.order != "conv-bn-act"

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        if self.dense:
            return torch.cat([x, out], dim=1)
        return out.add_(x) if self.adds_in_place else x + out


class Darknet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; adaptive pooling frees it from H and W.

    `blocks` is the number of residual layers of each group, so its length is the number of groups, and `width`
    the channels of the stem. Each group begins with a conv that doubles the channels and, but for the second
    group, halves the image. `kernel_sizes` are those of a residual layer's convs, one for each; all but the last
    put out `inner_ratio` times the group's channels (1/2 is a bottleneck, 1 and 2 are wide), and all have `groups`
    groups. With `dense` the last one too puts out so many, and they are appended instead of added. An order of
    bn-act-conv (pre-activation) leaves the stem a bare conv and normalises once more before the pooling.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        blocks: Sequence[int] = (1, 2, 4, 6, 3),
        width: int = 32,
        inner_ratio: float = 0.5,
        kernel_sizes: Sequence[int] = (1, 3),
        groups: int = 1,
        activation: Activation = "leaky_relu",
        order: Order = "conv-bn-act",
        inplace: bool = True,
        padding: Padding = "zeros",
        bias: bool = False,
        dense: bool = False,
    ) -> None:
        halvings = sum(index != 1 for index in range(len(blocks)))
        if image_size < 2**halvings:
            raise ValueError(f"{halvings} groups halve the image, so it needs {2**halvings} pixels, not {image_size}")
        if not blocks or min(blocks) < 0 or max(blocks) > MOST_LAYERS:
            raise ValueError(f"blocks needs a group or more, each of 0 to {MOST_LAYERS} layers, not {list(blocks)}")
        check_channels("width", width)
        for kernel in kernel_sizes:
            check_kernel(kernel)
        super().__init__()
        style, pre = Style(activation, order, inplace, padding, bias), order == "bn-act-conv"
        check_padding(padding, 3, image_size)
        stem = conv2d(in_channels, width, bias=bias, padding=padding) if pre else conv_layer(in_channels, width, style)
        layers: list[nn.Module] = [stem]
        channels, pixels = width, image_size
        for index, layers_in_group in enumerate(blocks):
            wide, stride = width << (index + 1), 1 if index == 1 else 2
            check_padding(padding, 3, pixels)
            layers.append(conv_layer(channels, wide, style, stride=stride))
            channels, pixels = wide, -(-pixels // stride)
            inner = inner_channels(wide, inner_ratio)
            widths = [inner] * (len(kernel_sizes) - 1) + [inner if dense else wide]
            for _ in range(layers_in_group):
                check_padding(padding, max(kernel_sizes), pixels)
                layers.append(ResLayer(channels, widths, kernel_sizes, groups, dense, style))
                channels += inner if dense else 0
        if pre:
            layers.append(nn.Sequential(norm_layer(channels), act_layer(activation, inplace)))
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]
