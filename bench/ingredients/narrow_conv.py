"""A 3×3 conv of few channels, alone or with the pooling after it, by Winograd's filtering in one pass over the images.

`bench.ingredients.winograd_tiles` transforms a chunk of images, lets torch multiply, and transforms the products. With
few channels that is mostly traffic between memory and cores. Here blocks of tiles stay in a core's cache from the
images to the outputs, and products are in fp32 until then. It needs a CPU with AVX512-BF16, and is for bf16.

Transformed filters are [16, outs, C] for tiles of 2×2 outputs, or [36, outs, C] for tiles of 4×4; a conv alone is
computed with the latter.

Torch knows the functions as operations of its own, `bench::narrow_conv`, `bench::narrow_conv_alone` and their backward
passes, so that their FLOPs are counted.
"""

from __future__ import annotations

import ctypes
import functools
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
# The rows and columns of outputs that a tile makes, by the length of transformed filters.
SIDES = {16: 2, 36: 4}
_SOURCE = Path(__file__).with_name("narrow_conv.cpp")

torch.library.define("bench::narrow_conv", "(Tensor images, Tensor filters) -> (Tensor, Tensor)")
torch.library.define(
    "bench::narrow_conv_backward",
    "(Tensor images, Tensor filters, Tensor gradient, Tensor places, bool[2] wanted) -> (Tensor, Tensor)",
)
torch.library.define("bench::narrow_conv_alone", "(Tensor images, Tensor filters) -> Tensor")
torch.library.define(
    "bench::narrow_conv_alone_backward",
    "(Tensor images, Tensor filters, Tensor gradient, bool[2] wanted) -> (Tensor, Tensor)",
)


def suits(conv: nn.Conv2d) -> bool:
    """Whether this machine computes such a 3×3 conv in this form. Raises `MissingError` without a C++ compiler."""
    ins, outs = conv.in_channels, conv.out_channels
    fits = ins % WIDTH == outs % OUT_WIDTH == 0 and max(ins, outs) <= MOST_CHANNELS
    return fits and bool(native.load(_SOURCE).is_fast())


def outputs(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """The pooled conv of bf16 images [N, C, H, W], channels last, by transformed filters.

    Both results are [N, H // 2, W // 2, outs]; the second says as uint8 which of the four in its window was largest.
    """
    pooled, places = torch.ops.bench.narrow_conv(images, filters)
    return pooled, places


def gradients(
    images: Tensor, filters: Tensor, gradient: Tensor, places: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Those of the images, and of the transformed filters in fp32 in their shape, where `wanted`.

    `gradient` is that of the outputs, in their layout.
    """
    return _asked(torch.ops.bench.narrow_conv_backward(images, filters, gradient, places, wanted), wanted)


def alone(images: Tensor, filters: Tensor) -> Tensor:
    """The conv of bf16 images [N, C, H, W], channels last, by filters [36, outs, C] that are transformed.

    The result is [N, H, W, outs].
    """
    return torch.ops.bench.narrow_conv_alone(images, filters)  # type: ignore[no-any-return]


def alone_gradients(
    images: Tensor, filters: Tensor, gradient: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Like `gradients`, of a conv alone."""
    return _asked(torch.ops.bench.narrow_conv_alone_backward(images, filters, gradient, wanted), wanted)


def tiles_of(images: Sequence[int], filters: Sequence[int], pooled: bool) -> int:
    """The tiles of images of a shape [N, C, H, W], for transformed filters of a shape.

    They cover all outputs, or those in whole 2×2 windows.
    """
    count, side = images[0], SIDES[filters[0]]
    return count * math.prod(-(-(size // 2 * 2 if pooled else size) // side) for size in images[2:])


def _asked(found: Sequence[Tensor], wanted: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    of_images, of_filters = (one if asked else None for one, asked in zip(found, wanted, strict=True))
    return of_images, of_filters


def _made(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    count, _, height, width = images.shape
    pooled = images.new_empty(count, height // 2, width // 2, filters.shape[1])
    return pooled, torch.empty_like(pooled, dtype=torch.uint8)


def _alone_made(images: Tensor, filters: Tensor) -> Tensor:
    count, _, height, width = images.shape
    return images.new_empty(count, height, width, filters.shape[1])


def _gradients_made(images: Tensor, filters: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    (places, outs, ins), wanted = filters.shape, rest[-1]
    of_images = torch.empty_like(images) if wanted[0] else images.new_empty(0)
    return of_images, filters.new_empty((places, ins, outs) if wanted[1] else (0, 0, 0), dtype=torch.float32).mT


def _outputs(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    pooled, places = _made(images, filters)
    _call("narrow_conv", (images, _in_pairs(filters), pooled, places), images, filters)
    return pooled, places


def _alone(images: Tensor, filters: Tensor) -> Tensor:
    if SIDES[len(filters)] != 4:
        raise ValueError("a conv alone needs filters transformed for tiles of 4×4 outputs")
    out = _alone_made(images, filters)
    _call("narrow_conv_alone", (images, _in_pairs(filters), out), images, filters)
    return out


def _gradients(
    images: Tensor, filters: Tensor, gradient: Tensor, places: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    return _backward("narrow_conv_backward", images, filters, (gradient, places), wanted)


def _alone_gradients(images: Tensor, filters: Tensor, gradient: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor]:
    return _backward("narrow_conv_alone_backward", images, filters, (gradient,), wanted)


def _backward(
    function: str, images: Tensor, filters: Tensor, given: tuple[Tensor, ...], wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    of_images, of_filters = _gradients_made(images, filters, wanted)
    # In whole vectors of the channels that come out, which are here those of the images.
    padded = F.pad(filters.mT, (0, 0, 0, -filters.shape[2] % OUT_WIDTH)).contiguous()
    tensors = (
        images,
        _in_pairs(padded) if wanted[0] else None,
        *given,
        of_images if wanted[0] else None,
        of_filters if wanted[1] else None,
    )
    _call(function, tensors, images, filters)
    return of_images, of_filters


def _product_flops(pooled: bool, images: Sequence[int], filters: Sequence[int], *rest: Any, **_: Any) -> int:
    """Of one product, or of a backward pass, whose last argument says which gradients are wanted."""
    return 2 * tiles_of(images, filters, pooled) * math.prod(filters) * (sum(rest[-1]) if rest else 1)


def _in_pairs(filters: Tensor) -> Tensor:
    """[places, outs, C] to [places, C / 2, outs, 2]."""
    return filters.view(*filters.shape[:2], -1, 2).transpose(1, 2).contiguous()


def _call(function: str, tensors: Sequence[Tensor | None], images: Tensor, filters: Tensor) -> None:
    """Call a function of narrow_conv.cpp for images and filters of these shapes; None is a tensor not wanted."""
    (count, ins, height, width), (places, outs, _) = images.shape, filters.shape
    getattr(native.load(_SOURCE), function)(
        *(ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_long, (count, height, width, ins, outs, SIDES[places])),
    )


for _name, _pooled, _made_by, _computed_by in (
    ("narrow_conv", True, _made, _outputs),
    ("narrow_conv_backward", True, _gradients_made, _gradients),
    ("narrow_conv_alone", False, _alone_made, _alone),
    ("narrow_conv_alone_backward", False, _gradients_made, _alone_gradients),
):
    torch.library.impl(f"bench::{_name}", "Meta", _made_by)
    torch.library.impl(f"bench::{_name}", "CPU", _computed_by)
    register_flop_formula([getattr(torch.ops.bench, _name)])(functools.partial(_product_flops, _pooled))
