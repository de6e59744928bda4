"""Encoders: the body of a classifier that gives its features at each resolution, for U-Nets and for judging pictures.

`ConvEncoder` is ours, small enough for a CPU; `EncoderNet` is the classifier that trains its weights. `ResNet34Encoder`
is torchvision's ResNet-34 without its head, by torchvision's own names, so that its weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.models.layers import MeanPool, check_channels, conv2d
from bench.models.torchvision_resnets import torchvision_resnet

WIDTHS = (32, 64, 128, 256)


class Encoder(nn.Module):
    """Images [B, C, H, W] to features, finest first: features i have `widths[i]` channels and sides of H / 2^(i+1),
    rounded up."""

    widths: tuple[int, ...]

    def forward(self, images: Tensor) -> list[Tensor]:
        raise NotImplementedError


class ConvEncoder(Encoder):
    """A stage for each width: a 3×3 conv of stride 2 and one of stride 1, each with batch norm and ReLU."""

    def __init__(self, in_channels: int = 3, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"widths {list(widths)}: an encoder has two stages at least")
        for width in widths:
            check_channels("a width", width)
        self.widths = tuple(widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*conv_bn_relu(before, width, stride=2), *conv_bn_relu(width, width))
            for before, width in zip((in_channels, *widths), widths, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [images]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class ResNet34Encoder(Encoder):
    """Features at 1/2 (before the pooling), and of the four stages at 1/4 to 1/32."""

    widths = (64, 64, 128, 256, 512)
    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module

    def __init__(self, in_channels: int = 3, image_size: int = 224) -> None:
        super().__init__()
        for name, part in torchvision_resnet("resnet34", in_channels, image_size=image_size).named_children():
            if name not in ("avgpool", "fc"):
                self.add_module(name, part)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [self.relu(self.bn1(self.conv1(images)))]
        x: Tensor = self.maxpool(features[0])
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(stage)(x)
            features.append(x)
        return features


class EncoderNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]: a `ConvEncoder`, the mean over the image, a linear layer.

    `widths` are the encoder's.
    """

    def __init__(
        self, in_channels: int = 3, classes: int = 10, image_size: int = 32, widths: Sequence[int] = WIDTHS
    ) -> None:
        check_halvings(len(widths), image_size)
        super().__init__()
        self.encoder = ConvEncoder(in_channels, widths)
        self.head = nn.Sequential(MeanPool(), nn.Linear(widths[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images)[-1])  # type: ignore[no-any-return]


def conv_bn_relu(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    return [
        conv2d(channels_in, channels_out, stride=stride),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


def check_halvings(stages: int, image_size: int) -> None:
    """Raise ValueError where a side of the image would be halved to less than a pixel."""
    if image_size < 2**stages:
        raise ValueError(f"{stages} stages halve the image, so it needs {2**stages} pixels, not {image_size}")
