"""Smaller images to begin with: they cost fewer FLOPs, and show the same things more coarsely."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resized(images: Tensor, pixels: int | None) -> Tensor:
    """Images [B, C, H, W] with a shorter side of `pixels`, in the same type and memory format; None leaves them.

    Bilinear and antialiased: a pixel is a weighted mean of all that it covers.
    """
    height, width = images.shape[-2:]
    if pixels is None or pixels == min(height, width):
        return images
    size = [round(side * pixels / min(height, width)) for side in (height, width)]
    # In fp32, because a CPU has no half-precision form of it.
    return F.interpolate(images.float(), size, mode="bilinear", antialias=True).to(images.dtype)
