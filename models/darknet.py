"""Darknet as fast.ai's lesson builds it, a stem, groups of residual layers, a linear head; and variants of its block.

Source: fast.ai, Deep Learning for Coders part 2 (2018), lesson 12, after Redmon and Farhadi, YOLOv3
(arXiv 1804.02767). Batch norm's scales start uniform in [0, 1], as they did in the torch of 2018, for which
the lesson chose its learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.layers import (
    MOST_LAYERS,
    Activation,
    MeanPool,
    Padding,
    check_channels,
    check_padding,
    conv2d,
    scaled,
)
from bench.models.layers import make_activation as act_layer

Order = Literal["conv-bn-act", "conv-act-bn", "bn-act-conv"]
Norm = Literal["batch", "none"]
Make = Callable[..., nn.Module]


def norm_layer(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.01)
    nn.init.uniform_(norm.weight)
    return norm


def conv_layer(
    order: Order,
    normed: bool,
    conv: Make,
    act: Make,
    channels_in: int,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
) -> nn.Sequential:
    parts: dict[str, nn.Module] = {}
    if normed:  # first, so that a seed gives the same weights as before
        parts["bn"] = norm_layer(channels_in if order == "bn-act-conv" else channels_out)
    parts |= {"conv": conv(channels_in, channels_out, kernel, stride), "act": act()}
    return nn.Sequential(*(parts[name] for name in order.split("-") if name in parts))


class ResLayer(nn.Module):
    """Layers that put out `widths` channels; the last one's are added to the input, or appended to it if `dense`."""

    def __init__(
        self, layer: Make, channels: int, widths: Sequence[int], kernels: Sequence[int], dense: bool, inplace: bool
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(*map(layer, [channels, *widths], widths, kernels))
        self.dense, self.inplace = dense, inplace

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        if self.dense:
            return torch.cat([x, out], dim=1)
        return out.add_(x) if self.inplace else x + out


class Darknet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; adaptive pooling frees it from H and W.

    `blocks` is the number of residual layers of each group, so its length is the number of groups, and `width`
    the channels of the stem. Each group begins with a conv that doubles the channels and, but for the second
    group, halves the image. `kernel_sizes` are those of a residual layer's convs, one for each; all but the last
    put out `inner_ratio` times the group's channels (1/2 is a bottleneck, 1 and 2 are wide), and all have `groups`
    groups. With `dense` the last one too puts out so many, and they are appended instead of added. An order of
    bn-act-conv (pre-activation) leaves the stem a bare conv and normalises once more before the pooling.
    Without a `norm` the filters are drawn from a normal distribution of variance 1/fan_in, which SELU needs (Klambauer
    et al., arXiv 1706.02515).
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
        norm: Norm = "batch",
    ) -> None:
        halvings = sum(index != 1 for index in range(len(blocks)))
        if image_size < 2**halvings:
            raise ValueError(f"{halvings} groups halve the image, so it needs {2**halvings} pixels, not {image_size}")
        if not blocks or min(blocks) < 0 or max(blocks) > MOST_LAYERS:
            raise ValueError(f"blocks needs a group or more, each of 0 to {MOST_LAYERS} layers, not {list(blocks)}")
        check_channels("width", width)
        super().__init__()
        conv, act = partial(conv2d, bias=bias, padding=padding), partial(act_layer, activation, inplace)
        layer, inner_layer = (
            partial(conv_layer, order, norm == "batch", c, act) for c in (conv, partial(conv, groups=groups))
        )
        # The lesson adds to `x` in place. Autograd does not allow that, because the first conv keeps `x` for its weight
        # gradient. Adding to the last output is allowed unless it comes from an activation, which keeps it.
        adds_in_place = inplace and order != "conv-bn-act"
        pre_activation = order == "bn-act-conv"
        layers: list[nn.Module] = [(conv if pre_activation else layer)(in_channels, width)]
        channels, pixels = width, image_size
        for index, count in enumerate(blocks):
            wide, stride = width << (index + 1), 1 if index == 1 else 2
            check_padding(padding, 3, pixels)
            layers.append(layer(channels, wide, stride=stride))
            channels, pixels = wide, -(-pixels // stride)
            inner = scaled("inner_ratio", inner_ratio, wide)
            widths = [inner] * (len(kernel_sizes) - 1) + [inner if dense else wide]
            for _ in range(count):
                check_padding(padding, max(kernel_sizes), pixels)
                layers.append(ResLayer(inner_layer, channels, widths, kernel_sizes, dense, adds_in_place))
                channels += inner * dense
        last: list[nn.Module] = [act()] if pre_activation else []
        if pre_activation and norm == "batch":
            last.insert(0, norm_layer(channels))
        self.body = nn.Sequential(*layers, *last)
        self.head = nn.Sequential(MeanPool(), nn.Linear(channels, classes))
        for module in self.modules() if norm == "none" else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]
