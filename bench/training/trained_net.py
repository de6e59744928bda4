"""A network that an earlier run trained, as a training uses it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TrainedNet:
    """A network that an earlier run trained: on the device, in evaluation mode, its weights without gradients.

    `mean` and `std` normalise its images, per channel of pixels in [0, 1]. `run_id` is empty if nobody knows the run.
    """

    net: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    run_id: str = ""

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] as the network was trained on them, float32."""
        return (pixels.float() - channels(self.mean, pixels)) / channels(self.std, pixels)


def channels(values: tuple[float, ...], images: Tensor) -> Tensor:
    """A number a channel, as float32 that broadcasts over `images` [B, C, H, W] on their device."""
    return torch.tensor(values, dtype=torch.float32, device=images.device).view(1, -1, 1, 1)
