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
    if images.is_cuda and not antialias and not torch.compiler.is_compiling():
        return bilinear_by_axes(images, size)
    # In fp32, because a CPU has no half-precision form with antialiasing; a compiled form computes in it anyway.
    source = images if images.is_cuda and not antialias else images.float()
    small = F.interpolate(source, size, mode="bilinear", antialias=antialias).to(images.dtype)
    # With few channels, a GPU returns a contiguous image for any input.
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return small.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def bilinear_by_axes(images: Tensor, size: list[int]) -> Tensor:
    """Images [B, C, H, W] resized to [B, C, *size], each pixel from the four nearest, by two lines of every axis.

    For images of few channels on a GPU, where torch's own kernel has one thread for each pixel of the result, which
    goes through the whole batch: a millisecond for 1,536 images of 32 pixels, whatever their new size.
    """
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    small = images.permute(0, 2, 3, 1) if channels_last else images
    for axis, pixels in enumerate(size, start=1 if channels_last else 2):
        length = small.shape[axis]
        scale = length / pixels
        place = torch.arange(pixels, dtype=torch.float32, device=images.device)
        place = place.mul_(scale).add_(scale / 2 - 0.5).clamp_(0, length - 1)
        first = place.long()
        share = place.sub_(first).to(images.dtype)
        low = small.index_select(axis, first)
        high = small.index_select(axis, first.add_(1).clamp_(max=length - 1))
        small = torch.lerp(low, high, share.view(-1, *[1] * (small.ndim - 1 - axis)))
    return small.permute(0, 3, 1, 2) if channels_last else small
