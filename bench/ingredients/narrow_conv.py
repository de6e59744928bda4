"""A 3×3 conv of few channels and the pooling after it, by Winograd's filtering in one pass over the images.

`bench.ingredients.winograd_tiles` transforms a chunk of images, lets torch multiply, and transforms the products. With
few channels that is mostly traffic between memory and cores. Here blocks of tiles stay in a core's cache from the
images to the outputs, and products are in fp32 until then. It needs a CPU with AVX512-BF16, and is for bf16.

Torch knows the two functions as operations of its own, `bench::narrow_conv` and its backward pass, so that their FLOPs
are counted.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from bench.host import native

MOST_CHANNELS = 64
# Channels are a multiple of these: of the images, and of the outputs.
WIDTH, OUT_WIDTH = 8, 16
_SOURCE = Path(__file__).with_name("narrow_conv.cpp")

torch.library.define("bench::narrow_conv", "(Tensor images, Tensor filters) -> (Tensor, Tensor)")
torch.library.define(
    "bench::narrow_conv_backward",
    "(Tensor images, Tensor filters, Tensor gradient, Tensor places, bool[2] wanted) -> (Tensor, Tensor)",
)


def suits(conv: nn.Conv2d) -> bool:
    """Whether this machine computes such a 3×3 conv in this form. Raises `MissingError` without a C++ compiler."""
    ins, outs = conv.in_channels, conv.out_channels
    fits = ins % WIDTH == outs % OUT_WIDTH == 0 and max(ins, outs) <= MOST_CHANNELS
    return fits and bool(native.load(_SOURCE).is_fast())


def outputs(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """The pooled conv of bf16 images [N, C, H, W], channels last, by filters [16, outs, C] that are transformed.

    Both results are [N, H // 2, W // 2, outs]; the second says as uint8 which of the four in its window was largest.
    """
    pooled, places = torch.ops.bench.narrow_conv(images, filters)
    return pooled, places


def gradients(
    images: Tensor, filters: Tensor, gradient: Tensor, places: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Those of the images, and of the transformed filters in fp32 [16, outs, C], where `wanted`.

    `gradient` is that of the outputs, in their layout.
    """
    found = torch.ops.bench.narrow_conv_backward(images, filters, gradient, places, wanted)
    of_images, of_filters = (one if asked else None for one, asked in zip(found, wanted, strict=True))
    return of_images, of_filters


def tiles_of(shape: Sequence[int]) -> int:
    """The tiles of images of a shape [N, C, H, W]: one for each whole window of outputs."""
    count, _, height, width = shape
    return count * (height // 2) * (width // 2)


def _made(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    count, _, height, width = images.shape
    pooled = images.new_empty(count, height // 2, width // 2, filters.shape[1])
    return pooled, torch.empty_like(pooled, dtype=torch.uint8)


def _outputs(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    pooled, places = _made(images, filters)
    _call("narrow_conv", (images, _in_pairs(filters), pooled, places), images, filters)
    return pooled, places


def _gradients_made(
    images: Tensor, filters: Tensor, _gradient: Tensor, _places: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    sixteen, outs, ins = filters.shape
    of_images = torch.empty_like(images) if wanted[0] else images.new_empty(0)
    return of_images, filters.new_empty((sixteen, ins, outs) if wanted[1] else (0, 0, 0), dtype=torch.float32).mT


def _gradients(
    images: Tensor, filters: Tensor, gradient: Tensor, places: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    of_images, of_filters = _gradients_made(images, filters, gradient, places, wanted)
    # In whole vectors of the channels that come out, which are here those of the images.
    padded = F.pad(filters.mT, (0, 0, 0, -filters.shape[2] % OUT_WIDTH)).contiguous()
    tensors = (
        images,
        _in_pairs(padded) if wanted[0] else None,
        gradient,
        places,
        of_images if wanted[0] else None,
        of_filters if wanted[1] else None,
    )
    _call("narrow_conv_backward", tensors, images, filters)
    return of_images, of_filters


@register_flop_formula([torch.ops.bench.narrow_conv])
def _flops(images: Any, filters: Any, **_: Any) -> int:
    return _product_flops(images, filters)


@register_flop_formula([torch.ops.bench.narrow_conv_backward])
def _backward_flops(images: Any, filters: Any, _gradient: Any, _places: Any, wanted: Sequence[bool], **_: Any) -> int:
    return _product_flops(images, filters) * sum(wanted)


def _product_flops(images: Sequence[int], filters: Sequence[int]) -> int:
    return 2 * tiles_of(images) * math.prod(filters)


def _in_pairs(filters: Tensor) -> Tensor:
    """[16, outs, C] to [16, C / 2, outs, 2]."""
    return filters.view(*filters.shape[:2], -1, 2).transpose(1, 2).contiguous()


def _call(function: str, tensors: Sequence[Tensor | None], images: Tensor, filters: Tensor) -> None:
    """Call a function of narrow_conv.cpp for images and filters of these shapes; None is a tensor not wanted."""
    count, ins, height, width = images.shape
    getattr(native.load(_SOURCE), function)(
        *(ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_long, (count, height, width, ins, filters.shape[1])),
    )


torch.library.impl("bench::narrow_conv", "Meta", _made)
torch.library.impl("bench::narrow_conv", "CPU", _outputs)
torch.library.impl("bench::narrow_conv_backward", "Meta", _gradients_made)
torch.library.impl("bench::narrow_conv_backward", "CPU", _gradients)
