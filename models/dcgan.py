"""The DCGAN as fast.ai trains it: a generator that doubles a 4×4 grid up to an image, and its mirror image, the critic.

Source: fast.ai, Deep Learning for Coders part 2 (2018), lesson 12, after Radford et al. (arXiv 1511.06434). Every conv
is without bias, and a block is conv, activation, norm. At 64 pixels the critic has 2,802,560 parameters and the
generator 3,613,696; at 32 pixels 700,288 and 1,105,920.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from bench.models.layers import MeanPool, check_channels
from bench.models.upsampling import Upsampling, upsampling

Norm = Literal["batch", "layer"]

GRID = 4
LEAKY_SLOPE = 0.2
_UPSAMPLINGS: dict[str, Upsampling] = {
    "transposed": "transposed_k4",
    "resize_conv": "upsample",
    "shuffle": "shuffle_icnr",
}
_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    # One group of all channels is a layer norm over the image.
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


class Dcgan(nn.Module):
    """`generator` and `critic` for images of `image_size` pixels, 4 times a power of two and at least 8.

    `width` is the number of channels at half the image's size; every halving doubles them. `noise` is the length of the
    generator's input. `upsample` is how the generator doubles the resolution, `critic_head` how the critic comes from
    its last grid to one number, and `critic_norm` its norm: batch norm mixes the images of a batch, which a penalty on
    the gradient of each image does not go with.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,  # noqa: ARG002 - it draws images of no class
        image_size: int = 64,
        width: int = 64,
        noise: int = 100,
        upsample: Literal["transposed", "resize_conv", "shuffle"] = "transposed",
        critic_head: Literal["conv", "pool_linear"] = "conv",
        critic_norm: Norm = "batch",
    ) -> None:
        doublings = (image_size // GRID).bit_length() - 1
        if image_size < 2 * GRID or image_size != GRID << doublings:
            raise ValueError(
                f"its images have {GRID} times a power of two pixels a side (8, 16, 32, 64, …), not {image_size}"
            )
        check_channels("noise", noise)
        check_channels("channels of the smallest grid", width << (doublings - 1))
        super().__init__()
        self.noise = noise
        self.generator = generator(in_channels, doublings, width, noise, _UPSAMPLINGS[upsample])
        self.critic = critic(in_channels, doublings, width, critic_head, critic_norm)

    def forward(self, noise: Tensor) -> Tensor:
        """The critic's scores [B] of the images that the generator makes of noise [B, noise, 1, 1]."""
        scores: Tensor = self.critic(self.generator(noise))
        return scores


def generator(channels: int, doublings: int, width: int, noise: int, kind: Upsampling) -> nn.Sequential:
    """From noise [B, noise, 1, 1] to images [B, channels, 4·2^doublings, …] in [-1, 1]."""
    widths = [width << power for power in reversed(range(doublings))]
    layers = _block(nn.ConvTranspose2d(noise, widths[0], GRID, bias=False), widths[0])
    for before, after in itertools.pairwise(widths):
        layers += _block(upsampling(kind, before, after, bias=False), after)
    layers += _block(nn.ConvTranspose2d(width, width, 3, padding=1, bias=False), width)
    return nn.Sequential(*layers, upsampling(kind, width, channels, bias=False), nn.Tanh())


def _block(doubling: nn.Module, channels: int) -> list[nn.Module]:
    return [doubling, nn.ReLU(inplace=True), nn.BatchNorm2d(channels)]


def critic(
    channels: int, doublings: int, width: int, head: Literal["conv", "pool_linear"], norm: Norm
) -> nn.Sequential:
    """From images [B, channels, 4·2^doublings, …] to a score of each, [B], trained to be lower for real ones."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(LEAKY_SLOPE)]
    widths = [width, *(width << power for power in range(doublings))]
    for position, (before, after) in enumerate(itertools.pairwise(widths)):
        # The first keeps the resolution, and every other one halves it.
        conv = (
            nn.Conv2d(before, after, 4, 2, 1, bias=False) if position else nn.Conv2d(before, after, 3, 1, 1, bias=False)
        )
        layers += [conv, nn.LeakyReLU(LEAKY_SLOPE), _NORMS[norm](after)]
    if head == "conv":
        layers.append(nn.Conv2d(widths[-1], 1, GRID, bias=False))
    else:
        layers += [MeanPool(), nn.Linear(widths[-1], 1)]
    return nn.Sequential(*layers, nn.Flatten(0))
