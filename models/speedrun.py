"""The network of the CIFAR-10 speed runs: frozen whitening, three groups of two or three convs, a linear head.

Source: Keller Jordan, "94 % on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), which builds
on Page's and hlb-CIFAR10's networks. 1.97 M parameters, of which 288 whitening filters are frozen.
The defaults are airbench94's; its variants for 95 and 96 % are options, and so is what airbench94_muon changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.layers import Activation, MaxPool, check_channels, make_activation

WHITEN_KERNEL = 2
WHITEN_EPS = 5e-4
MOST_CONVS = 100


class FrozenScaleBatchNorm(nn.BatchNorm2d):
    """Batch norm with a fixed scale of 1: only the shift is trained."""

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__(channels, eps=1e-12, momentum=momentum)
        self.weight.requires_grad = False


def dirac_conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3×3 conv whose first `channels_in` filters start as the identity."""
    check_channels("widths", channels_out)
    conv = nn.Conv2d(channels_in, channels_out, 3, padding="same", bias=False)
    nn.init.dirac_(conv.weight.data[:channels_in])
    return conv


class ConvGroup(nn.Module):
    """Halves the resolution behind the first of its convs; each is followed by batch norm and an activation.

    With `residual` the output of the first is added to that of the last, before its activation.
    """

    def __init__(
        self, channels_in: int, channels_out: int, convs: int, residual: bool, act: Activation, norm_momentum: float
    ) -> None:
        super().__init__()

        def norm() -> nn.Module:
            return FrozenScaleBatchNorm(channels_out, norm_momentum)

        self.enter = nn.Sequential(dirac_conv(channels_in, channels_out), nn.MaxPool2d(2), norm(), make_activation(act))
        layers: list[nn.Module] = []
        for _ in range(convs - 1):
            layers += [dirac_conv(channels_out, channels_out), norm(), make_activation(act)]
        # Without a residual the last activation stays in one sequence with its norm, so that the two can be fused.
        self.body = nn.Sequential(*(layers[:-1] if residual else layers))
        self.leave = layers[-1] if residual else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        out = self.body(x)
        return out if self.leave is None else self.leave(x + out)  # type: ignore[no-any-return]


class SpeedrunNet(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes]; at 32 pixels the groups see 31, 15 and 7.

    Each group of `widths` has `convs` convs, and with `residual` a residual connection over all but the first;
    airbench96 has three, and that. `whiten_activation` is the one behind the whitening, None for that of the groups.
    `norm_momentum` is batch norm's, torch's way round; airbench96 takes torch's 0.1.
    `unit_head` starts the head at unit standard deviation, as the Muon recipe does; `logit_scale`
    multiplies the logits. The whitening filters are set from `whiten_images` training images; their bias starts at
    `zero`, or as torch `drawn` it, which the Muon recipe leaves.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        widths: Sequence[int] = (64, 256, 256),
        convs: int = 2,
        residual: bool = False,
        activation: Activation = "gelu",
        whiten_activation: Activation | None = None,
        norm_momentum: float = 0.4,
        logit_scale: float = 1 / 9,
        unit_head: bool = False,
        whiten_images: int = 5000,
        whiten_bias: Literal["zero", "drawn"] = "zero",
    ) -> None:
        if not 2 <= convs <= MOST_CONVS:
            raise ValueError(f"convs of a group are 2 to {MOST_CONVS}, not {convs}")
        if not 0 <= norm_momentum <= 1:
            raise ValueError(f"norm_momentum is between 0 and 1, not {norm_momentum:g}")
        if whiten_images < 1:
            raise ValueError(f"whiten_images is 1 or more, not {whiten_images}")
        if (image_size - WHITEN_KERNEL + 1) >> len(widths) < 1:
            raise ValueError(f"{len(widths)} groups halve the image to nothing at {image_size} pixels")
        super().__init__()
        patch = in_channels * WHITEN_KERNEL**2
        self.whiten = nn.Conv2d(in_channels, 2 * patch, WHITEN_KERNEL)
        self.whiten.weight.requires_grad = False
        if whiten_bias == "zero":
            nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]
        self.init_images = whiten_images
        channels = [2 * patch, *widths]
        groups = [ConvGroup(i, o, convs, residual, activation, norm_momentum) for i, o in itertools.pairwise(channels)]
        self.groups = nn.Sequential(make_activation(whiten_activation or activation), *groups)
        self.pool = MaxPool()
        self.head = nn.Linear(channels[-1], classes, bias=False)
        if unit_head:
            self.head.weight.data /= self.head.weight.data.std()
        self.logit_scale = logit_scale

    @torch.no_grad()
    def init_from_data(self, images: Tensor) -> None:
        """Set the whitening filters from normalised images [N, C, H, W] on any device, the first `init_images` of them.

        Their responses to the images' 2×2 patches are uncorrelated and have unit (uncentred) variance.
        In float64, and the eigenvectors on the CPU, so that every device starts the same.
        """
        # As many images at a time as fit a CPU's caches.
        at_once = 250 if images.device.type == "cpu" else self.init_images
        products, count = torch.zeros((), dtype=torch.float64, device=images.device), 0
        for some in torch.split(images[: self.init_images], at_once):
            patches = _patches(some.double())
            products = products + (gram_by_image(patches, len(some)) if patches.is_cuda else patches @ patches.T)
            count += patches.shape[1]
        eigenvalues, eigenvectors = torch.linalg.eigh(products.cpu() / count)
        filters = (eigenvectors / torch.sqrt(eigenvalues + WHITEN_EPS)).T.flip(0)
        filters = filters.reshape(-1, *self.whiten.weight.shape[1:])
        self.whiten.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.groups(self.whiten(x)))) * self.logit_scale  # type: ignore[no-any-return]


def _patches(images: Tensor) -> Tensor:
    """Every 2×2 patch of images [N, C, H, W], a column each: [C·2·2, N·(H−1)·(W−1)], in the order of a conv's filters.

    Made from slices, because `F.unfold` launches a kernel for each image on a GPU.
    """
    rows, columns = (size - WHITEN_KERNEL + 1 for size in images.shape[2:])
    corners = itertools.product(range(WHITEN_KERNEL), repeat=2)
    shifted = [images[:, :, top : top + rows, left : left + columns] for top, left in corners]
    return torch.stack([values.transpose(0, 1).flatten(1) for values in shifted], dim=1).flatten(0, 1)


def gram_by_image(patches: Tensor, images: int) -> Tensor:
    """`patches @ patches.T`, [C·2·2, C·2·2], as the sum of a product for each of the `images`.

    A GPU would leave a single product of such long matrices to few of its processors.
    """
    each = patches.view(len(patches), images, -1).transpose(0, 1)
    return (each @ each.mT).sum(0)
