"""A network that evaluates an image and its mirror image together."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mirrored(nn.Module):
    """The mean of a network's logits [B, classes] for images [B, C, H, W] and for their mirror images.

    Both go through in one batch of 2 B, which takes less than twice as long as B where B is small.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        straight, mirrored = self.network(torch.cat([images, images.flip(3)])).chunk(2)
        return (straight + mirrored) / 2  # type: ignore[no-any-return]
