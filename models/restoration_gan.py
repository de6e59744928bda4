"""The restoration GAN of fast.ai's 2019 lectures: a U-Net that restores, and a critic of many judgements an image.

Sources: fast.ai, Practical Deep Learning for Coders (2019), lesson 7; Miyato et al., Spectral Normalization (arXiv
1802.05957).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bench.models.attention import SelfAttention
from bench.models.layers import MOST_LAYERS, check_channels
from bench.models.unet import EncoderName, image_unet

DROPOUT = 0.15


class Critic(nn.Module):
    """Images [B, in_channels, H, W] to logits of being real, [B, cells].

    A conv 4×4 of stride 2 to `width` channels, a dense block of two 3×3 convs that doubles them, `blocks` more convs of
    stride 2 that double them, with self-attention behind the first, and a 4×4 conv without padding to one channel. All
    but the last have spectral norm and leaky ReLU of .2; dropout is of whole channels.

    Raises ValueError for images of too few pixels for so many blocks.
    """

    def __init__(self, in_channels: int = 3, image_size: int = 128, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        if not 1 <= blocks <= MOST_LAYERS:
            raise ValueError(f"critic_blocks: {blocks} is not between 1 and {MOST_LAYERS}")
        least = 4 << (blocks + 1)
        if image_size < least:
            raise ValueError(f"critic_blocks: {blocks} blocks need images of {least} pixels, not {image_size}")
        check_channels("critic_width", width << (blocks + 1))
        parts: list[nn.Module] = [conv(in_channels, width, 4, 2), nn.Dropout2d(DROPOUT / 2), Dense(width)]
        channels = 2 * width
        for index in range(blocks):
            parts += [nn.Dropout2d(DROPOUT), conv(channels, 2 * channels, 4, 2)]
            channels *= 2
            if index == 0:
                parts.append(SelfAttention(channels))
        self.layers = nn.Sequential(*parts, spectral_norm(nn.Conv2d(channels, 1, 4, bias=False)), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # type: ignore[no-any-return]


class Dense(nn.Module):
    """Appends two convs of the input to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv(channels, channels), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.convs(x)], dim=1)


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    made = nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2)
    return nn.Sequential(spectral_norm(made), nn.LeakyReLU(0.2, inplace=True))


class RestorationGan(nn.Module):
    """A `generator`, which forward is, and its `critic`."""

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        encoder: EncoderName = "conv",
        widths: Sequence[int] | None = None,
        blur: bool = True,
        attention: bool = True,
        critic_width: int = 128,
        critic_blocks: int = 3,
    ) -> None:
        super().__init__()
        self.generator = image_unet(in_channels, classes, image_size, encoder, widths, blur=blur, attention=attention)
        self.critic = Critic(in_channels, image_size, critic_width, critic_blocks)

    def forward(self, images: Tensor) -> Tensor:
        return self.generator(images)  # type: ignore[no-any-return]
