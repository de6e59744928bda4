"""Wide ResNets: pre-activation blocks in three stages, by depth, widening factor and block type.

Source: Zagoruyko and Komodakis, Wide Residual Networks (arXiv 1605.07146). A block type is written as the
kernels of its convs, B(3,3) or B(1,3,1). Depth counts the stem, the three 1×1 shortcuts and the blocks' convs:
depth = 4 + 3 · blocks per stage · convs per block. For a type with 1×1 convs the paper counts two convs a block,
however many there are: its parameter counts of the six types fit that and nothing else.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.layers import MOST_LAYERS, MeanPool, check_channels, check_kernel, conv2d

STAGES = 3
STEM_CHANNELS = 16
FIXED_DEPTH = 1 + STAGES


def kernels_of(block: str) -> list[int]:
    """[3, 1, 3] for "B(3,1,3)"; raises ValueError for any other form."""
    if not re.fullmatch(r"B\(\d{1,2}(, ?\d{1,2})*\)", block):
        raise ValueError(f"block is {block!r}; write the kernels of its convs, as in B(3,3) or B(1,3,1)")
    kernels = [int(kernel) for kernel in re.findall(r"\d+", block)]
    for kernel in kernels:
        check_kernel(kernel)
    return kernels


def blocks_per_stage(depth: int, kernels: list[int]) -> int:
    """The number of blocks in each stage for this depth, as the paper counts. Raises ValueError if there is none."""
    counted = 2 if 1 in kernels else len(kernels)
    blocks, rest = divmod(depth - FIXED_DEPTH, STAGES * counted)
    if blocks < 1 or rest:
        near = FIXED_DEPTH + STAGES * counted * max(1, round((depth - FIXED_DEPTH) / (STAGES * counted)))
        name = f"B({','.join(map(str, kernels))})"
        raise ValueError(f"depth {depth} does not fit {name}: it is {FIXED_DEPTH} + {STAGES * counted} · n, as {near}")
    if blocks > MOST_LAYERS:
        raise ValueError(f"depth {depth} is {blocks} blocks a stage; allowed: {MOST_LAYERS}")
    return blocks


class WideBlock(nn.Module):
    """`kernels` convs of `channels_out`, each after batch norm and ReLU, added to the input or to its projection.

    The first conv larger than 1×1 has the stride, so that no pixel is skipped. `branch_scale` and `activated_shortcut`
    (the shortcut begins after the first ReLU even where nothing is projected) are fast.ai's.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernels: list[int],
        stride: int,
        groups: int,
        dropout: float,
        branch_scale: float,
        activated_shortcut: bool,
    ) -> None:
        super().__init__()
        strided = next((position for position, kernel in enumerate(kernels) if kernel > 1), 0)
        self.enter = nn.Sequential(nn.BatchNorm2d(channels_in), nn.ReLU(inplace=True))
        layers: list[nn.Module] = []
        for position, kernel in enumerate(kernels):
            if position:
                layers += [nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]
                layers += [nn.Dropout(dropout)] if dropout else []
            step = stride if position == strided else 1
            layers.append(conv2d(channels_out if position else channels_in, channels_out, kernel, step, groups))
        self.branch = nn.Sequential(*layers)
        changes = channels_in != channels_out or stride > 1
        self.project = conv2d(channels_in, channels_out, 1, stride) if changes else None
        self.branch_scale, self.activated_shortcut = branch_scale, activated_shortcut

    def forward(self, x: Tensor) -> Tensor:
        active = self.enter(x)
        if self.project is not None:
            x = self.project(active)
        elif self.activated_shortcut:
            x = active
        return torch.add(x, self.branch(active), alpha=self.branch_scale)


class WideResNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]: WRN-`depth`-`widen`.

    `groups` is of the blocks' convs; `dropout` a probability, between the convs of a block. `he_normal` draws the
    filters as the paper does, else as torch does.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        depth: int = 28,
        widen: int = 10,
        block: str = "B(3,3)",
        groups: int = 1,
        dropout: float = 0.0,
        branch_scale: float = 1.0,
        activated_shortcut: bool = False,
        he_normal: bool = True,
    ) -> None:
        kernels = kernels_of(block)
        count = blocks_per_stage(depth, kernels)
        check_channels("widen", widen)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, not {dropout:g}")
        if image_size < 2 ** (STAGES - 1):
            raise ValueError(f"the stages halve the image twice, so it needs 4 pixels, not {image_size}")
        super().__init__()
        layers: list[nn.Module] = [conv2d(in_channels, STEM_CHANNELS)]
        channels = STEM_CHANNELS
        for position in range(count * STAGES):
            stage, within = divmod(position, count)
            wide = (STEM_CHANNELS << stage) * widen
            stride = 2 if stage and not within else 1
            layers.append(WideBlock(channels, wide, kernels, stride, groups, dropout, branch_scale, activated_shortcut))
            channels = wide
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Sequential(MeanPool(), nn.Linear(channels, classes))
        for module in self.modules() if he_normal else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]


def wrn_22(
    in_channels: int = 3, classes: int = 10, image_size: int = 32, widen: int = 6, dropout: float = 0.0
) -> WideResNet:
    """WRN-22-`widen` as fast.ai entered it to DAWNBench in 2018 (its library's models/cifar10/wideresnet.py).

    Each block adds a fifth of its branch to its input behind the first ReLU; torch's own initialisation.
    """
    as_entered: dict[str, Any] = {"branch_scale": 0.2, "activated_shortcut": True, "he_normal": False}
    return WideResNet(in_channels, classes, image_size, depth=22, widen=widen, dropout=dropout, **as_entered)
