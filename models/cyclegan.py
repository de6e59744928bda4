"""CycleGAN: two generators, each translating one domain of images into the other, and a critic of each domain.

Source: Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (arXiv 1703.10593),
taught in fast.ai, Deep Learning for Coders part 2 (2018), lesson 12. All convs have a bias, and instance norm has no
weights. At 64 filters, 9 blocks and 3 channels a generator has 11,378,179 parameters, and a critic 2,764,737.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.layers import MOST_LAYERS, check_channels, conv2d
from bench.models.upsampling import Upsampling, upsampling

INIT_STD = 0.02
# A generator halves the image twice. A critic's last instance norm needs more than one value to normalise.
MULTIPLE_PIXELS, LEAST_PIXELS = 4, 24


class ReflectedResidual(nn.Module):
    """[B, C, H, W] plus two 3×3 convs of it, whose borders are mirrored."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (conv2d(channels, channels, bias=True, padding="reflect") for _ in range(2))
        self.layers = nn.Sequential(*_normed(first, channels), second, nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


class Generator(nn.Sequential):
    """Images [B, channels, H, W] in [-1, 1] to others of the same shape; H and W are multiples of 4."""

    def __init__(
        self, channels: int = 3, filters: int = 64, blocks: int = 9, upsample: Upsampling = "transposed_k3"
    ) -> None:
        half, quarter = 2 * filters, 4 * filters
        super().__init__(
            *_normed(conv2d(channels, filters, 7, bias=True, padding="reflect"), filters),
            *_normed(conv2d(filters, half, stride=2, bias=True), half),
            *_normed(conv2d(half, quarter, stride=2, bias=True), quarter),
            *(ReflectedResidual(quarter) for _ in range(blocks)),
            *_normed(upsampling(upsample, quarter, half), half),
            *_normed(upsampling(upsample, half, filters), filters),
            conv2d(filters, channels, 7, bias=True, padding="reflect"),
            nn.Tanh(),
        )


class PatchCritic(nn.Sequential):
    """Images [B, channels, H, W] to a score for each patch, [B, 1, H', W']: 30×30 scores of 256×256 pixels."""

    def __init__(self, channels: int = 3, filters: int = 64) -> None:
        super().__init__(
            nn.Conv2d(channels, filters, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            *_judged(filters, 2 * filters, stride=2),
            *_judged(2 * filters, 4 * filters, stride=2),
            *_judged(4 * filters, 8 * filters, stride=1),
            nn.Conv2d(8 * filters, 1, 4, 1, 1),
        )


class CycleGan(nn.Module):
    """Both generators and both critics. Calling it translates images of domain A to domain B, as in evaluation.

    Convs start from N(0, .02), with biases of 0. Raises ValueError for images that a generator could not restore to
    their size, or that are too small for a critic.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        image_size: int = 256,
        filters: int = 64,
        blocks: int = 9,
        upsample: Upsampling = "transposed_k3",
    ) -> None:
        _check(classes, image_size, filters, blocks)
        super().__init__()
        self.a_to_b = Generator(in_channels, filters, blocks, upsample)
        self.b_to_a = Generator(in_channels, filters, blocks, upsample)
        self.critic_a = PatchCritic(in_channels, filters)
        self.critic_b = PatchCritic(in_channels, filters)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=INIT_STD)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.a_to_b(images)  # type: ignore[no-any-return]


def _normed(layer: nn.Module, channels: int) -> Iterator[nn.Module]:
    """The layer, with the norm and the activation of a generator behind it."""
    yield from (layer, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True))


def _judged(channels_in: int, channels_out: int, stride: int) -> Iterator[nn.Module]:
    """A 4×4 conv of a critic, with its norm and activation behind it."""
    conv = nn.Conv2d(channels_in, channels_out, 4, stride, 1)
    yield from (conv, nn.InstanceNorm2d(channels_out), nn.LeakyReLU(0.2, inplace=True))


def _check(classes: int, image_size: int, filters: int, blocks: int) -> None:
    check_channels("filters", 8 * filters)
    if not 0 <= blocks <= MOST_LAYERS:
        raise ValueError(f"blocks: {blocks} is not between 0 and {MOST_LAYERS}")
    if classes != 2:
        raise ValueError(f"it translates between two kinds of images, and the data has {classes}")
    if image_size < LEAST_PIXELS or image_size % MULTIPLE_PIXELS:
        raise ValueError(
            f"images of {image_size} pixels: a generator halves them twice and a critic thrice, so that a side is a "
            f"multiple of {MULTIPLE_PIXELS} from {LEAST_PIXELS} on, as {_nearest(image_size)} is"
        )


def _nearest(image_size: int) -> int:
    return max(LEAST_PIXELS, MULTIPLE_PIXELS * round(image_size / MULTIPLE_PIXELS))
