"""The speedrun network with a residual pair of convs in each group, for CIFAR-100.

Source: NAVIER-STOKED in AIDDA's CIFAR-100 contest (2026), from a description. 8.6 M parameters. Each pair has its own
kernels and width, with the costly ones where the image is small. A kernel of two reduces 7 pixels to 6, which can be
pooled without a remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.layers import Activation, check_channels, make_activation
from bench.models.speedrun import FrozenScaleBatchNorm, SpeedrunNet

MOST_KERNEL = 7


def dirac_conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    """A conv whose first filters start as the identity; an even kernel makes the image a pixel smaller."""
    check_channels("widths", channels_out)
    if not 1 <= kernel <= MOST_KERNEL:
        raise ValueError(f"kernels are 1 to {MOST_KERNEL} pixels, not {kernel}")
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=(kernel - 1) // 2, bias=False)
    nn.init.dirac_(conv.weight.data[:channels_in])
    return conv


class PairGroup(nn.Module):
    """A conv and a max-pooling, which halves the resolution, then a residual pair of convs by way of `via` channels.

    Each conv is followed by batch norm and an activation; the pair's input is added before the last one.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        pair: tuple[int, int],
        via: int,
        act: Activation,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        if any(kernel % 2 == 0 for kernel in pair):
            raise ValueError(f"kernels of a residual pair are odd, so that it has its input's size, not {list(pair)}")

        def norm(channels: int) -> nn.Module:
            return FrozenScaleBatchNorm(channels, norm_momentum)

        self.enter = nn.Sequential(
            dirac_conv(channels_in, channels_out, kernel), nn.MaxPool2d(2), norm(channels_out), make_activation(act)
        )
        self.pair = nn.Sequential(
            dirac_conv(channels_out, via, pair[0]),
            norm(via),
            make_activation(act),
            dirac_conv(via, channels_out, pair[1]),
            norm(channels_out),
        )
        self.leave = make_activation(act)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.leave(x + self.pair(x))  # type: ignore[no-any-return]


class PairedSpeedrunNet(SpeedrunNet):
    """Images [B, in_channels, H, W] to logits [B, classes], by the sum of each feature's maximum and mean.

    Group number i has `widths[i]` channels, a first conv of `kernels[i]` pixels, and a pair of `pair_kernels[i]` by way
    of `pair_widths[i]` channels. The other options are `SpeedrunNet`'s.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 100,
        image_size: int = 32,
        widths: Sequence[int] = (64, 256, 768),
        kernels: Sequence[int] = (3, 3, 2),
        pair_kernels: Sequence[Sequence[int]] = ((1, 1), (3, 1), (3, 3)),
        pair_widths: Sequence[int] = (64, 192, 512),
        activation: Activation = "silu",
        whiten_activation: Activation | None = None,
        norm_momentum: float = 0.4,
        logit_scale: float = 1 / 9,
        unit_head: bool = False,
        whiten_images: int = 5000,
        whiten_bias: Literal["zero", "drawn"] = "zero",
    ) -> None:
        for option, values in (("kernels", kernels), ("pair_kernels", pair_kernels), ("pair_widths", pair_widths)):
            if len(values) != len(widths):
                raise ValueError(f"{option} has {len(values)} entries, and widths {len(widths)}: one a group")
        if any(len(pair) != 2 for pair in pair_kernels):
            raise ValueError(f"pair_kernels are two a group, not {[list(pair) for pair in pair_kernels]}")
        pixels = image_size - 1
        for kernel in kernels:
            pixels = (pixels - (kernel % 2 == 0)) // 2
        if pixels < 1:
            raise ValueError(f"{len(widths)} groups of kernels {list(kernels)} leave nothing of {image_size} pixels")
        # The base class makes the whitening and the head; its one group, which sets the head's width, is replaced
        # below.
        super().__init__(
            in_channels,
            classes,
            image_size,
            widths[-1:],
            activation=activation,
            norm_momentum=norm_momentum,
            logit_scale=logit_scale,
            unit_head=unit_head,
            whiten_images=whiten_images,
            whiten_bias=whiten_bias,
        )
        layers: list[nn.Module] = [make_activation(whiten_activation or activation)]
        channels = self.whiten.out_channels
        for width, kernel, (first, second), via in zip(widths, kernels, pair_kernels, pair_widths, strict=True):
            layers.append(PairGroup(channels, width, kernel, (first, second), via, activation, norm_momentum))
            channels = width
        self.groups = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        features = self.groups(self.whiten(x))
        size = features.shape[-2:]
        pooled = F.max_pool2d(features, size) + F.avg_pool2d(features, size)
        return self.head(pooled.flatten(1)) * self.logit_scale  # type: ignore[no-any-return]
