"""A 3×3 conv and the following 2×2 max-pooling in one, by Winograd's minimal filtering F(2×2, 3×3), on a CPU.

The four outputs of a pooling window take 16 multiplications for each pair of channels instead of 36. Rows and columns
that pooling drops are not computed, and the conv's output, four times as large as the pooled one, is never written. For
15×15 pixels that is 2.6 times fewer multiplications, for 7×7 3.1 times.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308); B, G and A are theirs.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair

from bench.host import native

# Channels that the transforms process together.
WIDTH = 8
# The number of images whose products stay in cache until they are transformed.
CHUNK_BYTES = 4 << 20
_SOURCE = Path(__file__).with_name("winograd.cpp")
_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def use_winograd(model: nn.Module) -> int:
    """Replace every 3×3 conv that a 2×2 max-pooling follows in an `nn.Sequential` by one that does both; returns their
    number.

    Names and parameters are unchanged. Raises `MissingError` without a C++ compiler for the transforms.
    """
    count = 0
    for sequence in model.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for index, (conv, pool) in enumerate(itertools.pairwise(list(sequence))):
            if _suits(conv, pool):
                assert isinstance(conv, nn.Conv2d)
                native.load(_SOURCE)
                sequence[index], sequence[index + 1] = PooledConv.of(conv), nn.Identity().train(pool.training)
                count += 1
    return count


class PooledConv(nn.Conv2d):
    """[B, C, H, W] to the max-pooled output of a conv, [B, channels out, H // 2, W // 2], channels last.

    In fp32 and bf16; other types are computed in the usual way.
    """

    _settled: Tensor | None = None

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """The pooled form of a conv, with the same parameter objects."""
        pooled = cls(conv.in_channels, conv.out_channels, 3, padding=1, bias=False, device="meta")
        pooled.weight, pooled.bias = conv.weight, conv.bias
        return pooled.train(conv.training)

    def settle(self, dtype: torch.dtype) -> None:
        """Transform the filters once, for images of this type; the weights must not change afterwards."""
        self._settled = _transformed(self.weight).to(dtype)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        if x.dtype not in _NAMES or min(x.shape[-2:]) < 2:
            return F.max_pool2d(super().forward(x), 2)
        pooled: Tensor = _Pooled.apply(x, self.weight, self._settled)  # type: ignore[no-untyped-call]
        return pooled if self.bias is None else pooled + self.bias.to(pooled.dtype).view(1, -1, 1, 1)


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, settled: Tensor | None) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        filters = _transformed(weight).to(images.dtype) if settled is None else settled
        count, _, height, width = images.shape
        pooled = images.new_empty(count, height // 2, width // 2, len(weight))
        places = torch.empty_like(pooled, dtype=torch.uint8)
        with torch.autocast("cpu", enabled=False):
            for chunk, shape in _chunks(images, len(weight)):
                products = torch.bmm(_tiles(images[chunk]), filters.mT)
                _call("pool_products", (*shape, len(weight)), products, pooled[chunk], places[chunk])
        ctx.save_for_backward(images, filters, places)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, filters, places = ctx.saved_tensors
        gradient = gradients[0].to(images.dtype).contiguous(memory_format=torch.channels_last)
        of_images = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        of_filters = torch.zeros(filters.shape) if ctx.needs_input_grad[1] else None
        outs, ins = filters.shape[1:]
        with torch.autocast("cpu", enabled=False):
            for chunk, shape in _chunks(images, outs):
                tiles = _tiles(images[chunk])
                products = tiles.new_empty(16, tiles.shape[1], outs)
                _call("pool_products_backward", (*shape, outs), gradient[chunk], places[chunk], products)
                if of_filters is not None:
                    of_filters += torch.bmm(products.mT, tiles)
                if of_images is not None:
                    torch.bmm(products, filters, out=tiles)
                    _call("transform_images_backward", (*shape, ins), tiles, of_images[chunk])
            return of_images, None if of_filters is None else _transformed_backward(of_filters), None


def _suits(conv: nn.Module, pool: nn.Module) -> bool:
    """Whether this module can replace this conv and pooling."""
    return (
        type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and (conv.padding, conv.padding_mode) in {("same", "zeros"), ((1, 1), "zeros")}
        and conv.in_channels % WIDTH == conv.out_channels % WIDTH == 0
        and type(pool) is nn.MaxPool2d
        and (_pair(pool.kernel_size), _pair(pool.stride), _pair(pool.padding)) == ((2, 2), (2, 2), (0, 0))
        and _pair(pool.dilation) == (1, 1)
        and not (pool.ceil_mode or pool.return_indices)
    )


def _transformed(weight: Tensor) -> Tensor:
    """G g Gᵀ of filters [out, in, 3, 3], float32 [16, out, in]."""
    lines = _stretched(_stretched(weight.detach().float().permute(2, 3, 0, 1)).transpose(0, 1))
    return lines.transpose(0, 1).flatten(0, 1)


def _transformed_backward(gradient: Tensor) -> Tensor:
    """Gᵀ g G of [16, out, in], [out, in, 3, 3]."""
    lines = _shrunk(_shrunk(gradient.view(4, 4, *gradient.shape[1:])).transpose(0, 1))
    return lines.transpose(0, 1).permute(2, 3, 0, 1)


def _stretched(three: Tensor) -> Tensor:
    """G times [3, ...], [4, ...]."""
    outer, middle = three[0] + three[2], three[1]
    return torch.stack([three[0], (outer + middle) / 2, (outer - middle) / 2, three[2]])


def _shrunk(four: Tensor) -> Tensor:
    """Gᵀ times [4, ...], [3, ...]."""
    even, odd = (four[1] + four[2]) / 2, (four[1] - four[2]) / 2
    return torch.stack([four[0] + even, odd, four[3] + even])


def _chunks(images: Tensor, outs: int) -> Iterator[tuple[slice, tuple[int, int, int]]]:
    """Chunks of images that are processed together, with their number, height and width."""
    count, _, height, width = images.shape
    size = max(1, CHUNK_BYTES // (16 * (height // 2) * (width // 2) * outs * images.element_size()))
    for start in range(0, count, size):
        yield slice(start, start + size), (min(size, count - start), height, width)


def _tiles(images: Tensor) -> Tensor:
    """The transformed 4×4 patches of images [N, C, H, W], [16, N · H // 2 · W // 2, C]."""
    count, channels, height, width = images.shape
    tiles = images.new_empty(16, count * (height // 2) * (width // 2), channels)
    _call("transform_images", (count, height, width, channels), images, tiles)
    return tiles


def _call(function: str, shape: tuple[int, int, int, int], *tensors: Tensor) -> None:
    """Call a function of winograd.cpp for images of this shape, [N, H, W, C], and tensors of the first one's type."""
    call = getattr(native.load(_SOURCE), f"{function}_{_NAMES[tensors[0].dtype]}")
    call(*(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors), *map(ctypes.c_long, shape))
