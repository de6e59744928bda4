"""The U-Net of fast.ai's 2019 lectures: an encoder's features are taken in again while the resolution doubles.

Sources: Ronneberger et al. (arXiv 1505.04597); fast.ai, Practical Deep Learning for Coders (2019), lesson 7, with
ResNet-34 as the encoder: 41,133,018 parameters for three channels and twelve classes. The decoder has no batch norm but
that on the features it takes in; its convs have biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as with_weight_norm

from bench.models.attention import SelfAttention
from bench.models.encoder import WIDTHS, ConvEncoder, Encoder, ResNet34Encoder, check_halvings
from bench.models.upsampling import icnr_

EncoderName = Literal["conv", "resnet34"]


class Layers:
    """Makes the decoder's layers: convs with biases, drawn He-normal, with weight norm or without."""

    def __init__(self, weight_norm: bool, blur: bool) -> None:
        self._weight_norm, self._blur = weight_norm, blur

    def conv(self, channels_in: int, channels_out: int, kernel: int = 3, equal_pixels: bool = False) -> nn.Conv2d:
        """A conv that keeps the resolution; with `equal_pixels` each four filters of a pixel shuffle start equal."""
        conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
        nn.init.kaiming_normal_(conv.weight)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        if equal_pixels:
            icnr_(conv)
        return with_weight_norm(conv) if self._weight_norm else conv

    def convs(self, *channels: int) -> nn.Sequential:
        """3×3 convs between these channels, each with a ReLU."""
        return nn.Sequential(
            *(part for pair in pairwise(channels) for part in (self.conv(*pair), nn.ReLU(inplace=True)))
        )

    def doubling(self, channels_in: int, channels_out: int, blur: bool = True) -> nn.Sequential:
        """[B, channels_in, H, W] → [B, channels_out, 2H, 2W] by pixel shuffle, from a start without a checkerboard.

        The blur is the mean of each pixel and its neighbours above and to the left.
        """
        parts = [self.conv(channels_in, 4 * channels_out, 1, equal_pixels=True), nn.ReLU(), nn.PixelShuffle(2)]
        if self._blur and blur:
            parts += [nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)]
        return nn.Sequential(*parts)


class ResidualLayers(nn.Module):
    """Layers, added to their input, which a 1×1 conv gives the same channels where it has others."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.layers, self.shortcut = layers, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.layers(x)  # type: ignore[no-any-return]


class UNetBlock(nn.Module):
    """Doubles the resolution, appends an encoder's features `tap` (their batch norm), and convolves twice.

    Without `skip` the features only say the size. With `residual` the convs are added to their input.
    """

    def __init__(
        self,
        layers: Layers,
        channels_in: int,
        tap: int,
        channels_out: int,
        skip: bool,
        residual: bool,
        attention: bool,
    ) -> None:
        super().__init__()
        self.doubling = layers.doubling(channels_in, channels_in // 2)
        self.norm = nn.BatchNorm2d(tap) if skip else None
        joined = channels_in // 2 + (tap if skip else 0)
        convs: nn.Module = layers.convs(joined, channels_out, channels_out)
        if residual:
            convs = ResidualLayers(convs, None if joined == channels_out else layers.conv(joined, channels_out, 1))
        self.convs = nn.Sequential(convs, SelfAttention(channels_out)) if attention else convs

    def forward(self, x: Tensor, tap: Tensor) -> Tensor:
        x = as_large(self.doubling(x), tap)
        if self.norm is not None:
            x = torch.cat([x, self.norm(tap)], dim=1)
        return self.convs(F.relu(x))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Images [B, in_channels, H, W] of any size to [B, outputs, H, W].

    A block for each of the encoder's features but the deepest, from the coarsest on. Without `skips` the blocks are as
    wide, and take nothing in. `residual` adds the two convs of a block to their input. `input_cross` appends the image
    to the last features, behind which a bottleneck of two convs is added to them. `blur` follows each doubling but the
    last. `attention` stands in the third block from the end. `limit` squashes the output to ±limit.
    """

    def __init__(
        self,
        encoder: Encoder,
        in_channels: int,
        outputs: int,
        skips: bool = True,
        residual: bool = False,
        input_cross: bool = True,
        blur: bool = False,
        attention: bool = False,
        weight_norm: bool = False,
        limit: float | None = None,
    ) -> None:
        super().__init__()
        if odd := [width for width in encoder.widths if width % 2]:
            raise ValueError(f"widths {list(encoder.widths)}: a doubling halves the channels, and {odd[0]} is odd")
        layers = Layers(weight_norm, blur)
        *taps, channels = encoder.widths
        self.encoder, self.limit = encoder, limit
        self.norm = nn.BatchNorm2d(channels)
        self.middle = layers.convs(channels, 2 * channels, channels)
        self.blocks = nn.ModuleList()
        for index, tap in enumerate(reversed(taps)):
            left = len(taps) - index
            joined = channels // 2 + tap
            wide = joined // 2 if left == 1 else joined
            self.blocks.append(
                UNetBlock(layers, channels, tap, wide, skips, residual, attention and left == min(3, len(taps)))
            )
            channels = wide
        self.doubling = layers.doubling(channels, channels, blur=False)
        if input_cross:
            channels += in_channels
        self.cross = ResidualLayers(layers.convs(channels, channels // 2, channels)) if input_cross else None
        self.head = layers.conv(channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        *taps, deepest = self.encoder(images)
        x = self.middle(F.relu(self.norm(deepest)))
        for block, tap in zip(self.blocks, reversed(taps), strict=True):
            x = block(x, tap)
        x = as_large(self.doubling(x), images)
        if self.cross is not None:
            x = self.cross(torch.cat([x, images], dim=1))
        x = self.head(x)
        return x if self.limit is None else self.limit * torch.tanh(x / 2)


def as_large(x: Tensor, other: Tensor) -> Tensor:
    """`x` at the height and width of `other`, by its nearest pixels."""
    size = other.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest")


def make_encoder(
    encoder: EncoderName, in_channels: int, image_size: int, widths: Sequence[int] | None = None
) -> Encoder:
    """Raises ValueError for widths of a ResNet-34, and for images that it cannot halve so often."""
    if encoder == "resnet34":
        if widths is not None:
            raise ValueError("widths: resnet34 has its own; leave them out, or take encoder: conv")
        return ResNet34Encoder(in_channels, image_size)
    chosen = WIDTHS if widths is None else widths
    check_halvings(len(chosen), image_size)
    return ConvEncoder(in_channels, chosen)


def unet(
    in_channels: int = 3,
    classes: int = 12,
    image_size: int = 224,
    encoder: EncoderName = "conv",
    widths: Sequence[int] | None = None,
    skips: bool = True,
    residual: bool = False,
    input_cross: bool = True,
    blur: bool = False,
    attention: bool = False,
) -> UNet:
    """For segmentation: images to logits of the class of each pixel."""
    body = make_encoder(encoder, in_channels, image_size, widths)
    return UNet(body, in_channels, classes, skips, residual, input_cross, blur, attention)


def image_unet(
    in_channels: int = 3,
    classes: int = 10,  # noqa: ARG001
    image_size: int = 32,
    encoder: EncoderName = "conv",
    widths: Sequence[int] | None = None,
    skips: bool = True,
    residual: bool = False,
    input_cross: bool = True,
    blur: bool = True,
    attention: bool = False,
    weight_norm: bool = True,
    limit: float | None = 3.0,
) -> UNet:
    """For restoration: images to images of the same size and channels.

    As the lecture's generator it has weight norm and blur, and its output is squashed to ±3 standard deviations.
    """
    body = make_encoder(encoder, in_channels, image_size, widths)
    return UNet(body, in_channels, in_channels, skips, residual, input_cross, blur, attention, weight_norm, limit)
