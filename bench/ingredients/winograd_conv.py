"""A 3×3 conv alone by Winograd's minimal filtering, on a CPU.

For 7×7 pixels it takes 1.7 times fewer multiplications, for 15×15 almost 2 times; with tiles of 4×4 outputs 3.1 and
3.5 times. The transforms cost as much for each channel however many there are, so that it pays for convs of many
channels only. Those of 64 are computed in one pass where the machine can (`narrow_conv`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.host import native
from bench.ingredients import narrow_conv
from bench.ingredients.winograd_tiles import (
    SOURCE,
    TiledConv,
    Tiling,
    gradients,
    suits,
    transformed,
    transformed_backward,
)

LEAST_CHANNELS = 128
# How many times fewer multiplications it needs to take, or the usual way is faster.
LEAST_GAIN = 1.5
# The same for convs that only tiles of 4×4 outputs suit.
LEAST_CHANNELS_OF_LARGE = 64
LEAST_GAIN_OF_LARGE = 2.5


def use_winograd_alone(model: nn.Module, large: bool = False) -> int:
    """Replace every 3×3 conv for which it pays by one that is computed so; returns their number.

    Names and parameters are unchanged. `large`, convs may use tiles of 4×4 outputs. Raises `MissingError` without a C++
    compiler for the transforms.
    """
    count = 0
    for parent in list(model.modules()):
        for name, conv in parent.named_children():
            if (
                isinstance(conv, nn.Conv2d)
                and suits(conv)
                and min(conv.in_channels, conv.out_channels) >= (LEAST_CHANNELS_OF_LARGE if large else LEAST_CHANNELS)
            ):
                native.load(SOURCE)
                alone = WinogradConv.of(conv)
                alone.large = large
                alone.in_one_pass = large and narrow_conv.suits(conv)
                setattr(parent, name, alone)
                count += 1
    return count


class WinogradConv(TiledConv):
    """[B, C, H, W] to the output of a conv, [B, channels out, H, W], channels last.

    In fp32 and bf16; other types, and images so small that it does not pay, are computed in the usual way.
    """

    def _suits(self, x: Tensor) -> bool:
        tiling, few = Tiling.whole(x, self.large), min(self.in_channels, self.out_channels) < LEAST_CHANNELS
        least_gain = LEAST_GAIN_OF_LARGE if few else LEAST_GAIN
        return 9 * tiling.height * tiling.width >= least_gain * tiling.multiplications

    def _tiled(self, x: Tensor) -> Tensor:
        return self._applied(_Alone, x, Tiling.whole(x, self.large))


class _Alone(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, settled: Tensor | None, tiling: Tiling, in_one_pass: bool
    ) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        filters = transformed(weight, images.dtype, tiling.side) if settled is None else settled
        ctx.tiling, ctx.in_one_pass = tiling, in_one_pass
        ctx.save_for_backward(images, filters)
        out = narrow_conv.alone(images, filters) if in_one_pass else _in_steps(images, filters, tiling)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        images, filters = ctx.saved_tensors
        gradient = given[0].to(images.dtype).contiguous(memory_format=torch.channels_last)
        wanted, tiling = ctx.needs_input_grad[:2], ctx.tiling

        def of_products(chunk: slice, products: Tensor) -> None:
            some = gradient[chunk]
            tiling.call("join_products_backward", len(some), filters.shape[1], some, products)

        if ctx.in_one_pass:
            of_images, of_filters = narrow_conv.alone_gradients(images, filters, gradient, wanted)
        else:
            of_images, of_filters = gradients(images, filters, tiling, wanted, of_products)
        of_weight = None if of_filters is None else transformed_backward(of_filters, tiling.side)
        return of_images, of_weight, None, None, None


def _in_steps(images: Tensor, filters: Tensor, tiling: Tiling) -> Tensor:
    """The output, [N, H, W, outs]."""
    outs = filters.shape[1]
    out = images.new_empty(len(images), *images.shape[2:], outs)
    with torch.autocast("cpu", enabled=False):
        for chunk in tiling.chunks(images, outs):
            products = torch.bmm(tiling.tiles(images[chunk]), filters.mT)
            tiling.call("join_products", len(images[chunk]), outs, products, out[chunk])
    return out
