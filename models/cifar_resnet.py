"""The CIFAR-10 ResNets of 6n + 2 layers, with or without skips, at any depth.

Source: He et al., Deep Residual Learning for Image Recognition (arXiv 1512.03385), section 4.2: a 3×3 conv, three
stages of 2n 3×3 convs at 16, 32 and 64 channels, the mean over the image and a linear layer. At the beginning of a
stage, the skip takes every other pixel and pads the new channels with zeros, so skips have no parameters and both nets
have the same number: 0.27 M at 20 layers, 0.85 M at 56.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.layers import MOST_LAYERS, MeanPool, check_channels, conv2d

STAGES = 3


class Pair(nn.Module):
    """Two convs, each followed by batch norm and ReLU; the input is added before the last ReLU."""

    def __init__(self, channels_in: int, channels_out: int, skip: bool) -> None:
        super().__init__()
        self.stride = 1 if channels_in == channels_out else 2
        self.convs = nn.Sequential(
            conv2d(channels_in, channels_out, stride=self.stride),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            conv2d(channels_out, channels_out),
            nn.BatchNorm2d(channels_out),
        )
        self.added = channels_out - channels_in
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        if self.skip:
            kept = x[..., :: self.stride, :: self.stride]
            out = out + F.pad(kept, (0, 0, 0, 0, 0, self.added))
        return out.relu_()


class CifarResNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; `depth` counts convs and the linear layer, 6n + 2.

    Without `skips` it is the paper's plain net. `width` is the channels of the first stage.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        depth: int = 20,
        width: int = 16,
        skips: bool = True,
    ) -> None:
        pairs, rest = divmod(depth - 2, 2 * STAGES)
        if pairs < 1 or rest or pairs > MOST_LAYERS:
            near = 2 + 2 * STAGES * min(max(1, round((depth - 2) / (2 * STAGES))), MOST_LAYERS)
            raise ValueError(f"depth {depth} is not 6n + 2; the nearest is {near}")
        if image_size < 2 ** (STAGES - 1):
            raise ValueError(f"the stages halve the image twice, so it needs 4 pixels, not {image_size}")
        check_channels("width", width)
        super().__init__()
        layers: list[nn.Module] = [conv2d(in_channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
        for index in range(STAGES * pairs):
            wide = width << index // pairs
            layers.append(Pair(channels, wide, skips))
            channels = wide
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(MeanPool(), nn.Linear(channels, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]
