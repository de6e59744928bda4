"""A 3×3 conv and the following 2×2 max-pooling in one, by Winograd's minimal filtering, on a CPU.

Rows and columns that pooling drops are not computed, and the conv's output, four times as large as the pooled one, is
never written. For 15×15 pixels that is 2.6 times fewer multiplications, for 7×7 3.1 times; with tiles of 4×4 outputs
3.5 times for 15×15.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair

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


def use_winograd(model: nn.Module, fused: bool = False, large: bool = False) -> int:
    """Replace every 3×3 conv that a 2×2 max-pooling follows in an `nn.Sequential` by one that does both; returns their
    number.

    Names and parameters are unchanged. With `fused`, convs of few channels are computed in one pass (`narrow_conv`);
    `large`, they may use tiles of 4×4 outputs. Raises `MissingError` without a C++ compiler for the transforms.
    """
    count = 0
    for sequence in model.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for index, (conv, pool) in enumerate(itertools.pairwise(list(sequence))):
            if suits(conv) and _halves(pool):
                assert isinstance(conv, nn.Conv2d)
                native.load(SOURCE)
                pooled = PooledConv.of(conv)
                pooled.in_one_pass = fused and narrow_conv.suits(conv)
                pooled.large = large
                sequence[index], sequence[index + 1] = pooled, nn.Identity().train(pool.training)
                count += 1
    return count


class PooledConv(TiledConv):
    """[B, C, H, W] to the max-pooled output of a conv, [B, channels out, H // 2, W // 2], channels last.

    In fp32 and bf16; other types are computed in the usual way.
    """

    def _suits(self, x: Tensor) -> bool:
        return min(x.shape[-2:]) >= 2

    def _usual(self, x: Tensor) -> Tensor:
        return F.max_pool2d(super()._usual(x), 2)

    def _tiled(self, x: Tensor) -> Tensor:
        return self._applied(_Pooled, x, Tiling.pooled(x, self.large))


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, settled: Tensor | None, tiling: Tiling, in_one_pass: bool
    ) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        filters = transformed(weight, images.dtype, tiling.side) if settled is None else settled
        ctx.tiling, ctx.in_one_pass = tiling, in_one_pass
        if in_one_pass:
            pooled, places = narrow_conv.outputs(images, filters)
        else:
            pooled, places = _pooled_and_places(images, filters, tiling)
        ctx.save_for_backward(images, filters, places)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        images, filters, places = ctx.saved_tensors
        gradient = given[0].to(images.dtype).contiguous(memory_format=torch.channels_last)
        wanted, tiling = ctx.needs_input_grad[:2], ctx.tiling

        def of_products(chunk: slice, products: Tensor) -> None:
            outs, some = filters.shape[1], gradient[chunk]
            tiling.call("pool_products_backward", len(some), outs, some, places[chunk], products)

        if ctx.in_one_pass:
            of_images, of_filters = narrow_conv.gradients(images, filters, gradient, places, wanted)
        else:
            of_images, of_filters = gradients(images, filters, tiling, wanted, of_products)
        of_weight = None if of_filters is None else transformed_backward(of_filters, tiling.side)
        return of_images, of_weight, None, None, None


def _pooled_and_places(images: Tensor, filters: Tensor, tiling: Tiling) -> tuple[Tensor, Tensor]:
    """The pooled outputs, and which of the four in its window was the largest; [N, H // 2, W // 2, outs] each."""
    outs = filters.shape[1]
    pooled = images.new_empty(len(images), tiling.height // 2, tiling.width // 2, outs)
    places = torch.empty_like(pooled, dtype=torch.uint8)
    with torch.autocast("cpu", enabled=False):
        for chunk in tiling.chunks(images, outs):
            products = torch.bmm(tiling.tiles(images[chunk]), filters.mT)
            tiling.call("pool_products", len(images[chunk]), outs, products, pooled[chunk], places[chunk])
    return pooled, places


def _halves(pool: nn.Module) -> bool:
    """Whether a module is a 2×2 max-pooling of windows that do not overlap."""
    return (
        type(pool) is nn.MaxPool2d
        and (_pair(pool.kernel_size), _pair(pool.stride), _pair(pool.padding)) == ((2, 2), (2, 2), (0, 0))
        and _pair(pool.dilation) == (1, 1)
        and not (pool.ceil_mode or pool.return_indices)
    )
