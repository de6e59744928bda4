"""Smaller images at the beginning of a training cost fewer FLOPs and show the same things more coarsely."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resized(images: Tensor, pixels: int | None, antialias: bool = True) -> Tensor:
    """Images [B, C, H, W] with a shorter side of `pixels`, in the same type and memory format; None leaves them.

    Bilinear; with `antialias` a pixel is a weighted mean of all pixels that it covers, without it of the four nearest.
    """
    height, width = images.shape[-2:]
    if pixels is None or pixels == min(height, width):
        return images
    size = [round(side * pixels / min(height, width)) for side in (height, width)]
    # In fp32, because a CPU has no half-precision form with antialiasing; a GPU's kernel computes in it anyway.
    source = images if images.is_cuda and not antialias else images.float()
    small = F.interpolate(source, size, mode="bilinear", antialias=antialias).to(images.dtype)
    # With few channels, a GPU returns a contiguous image for any input.
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return small.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
