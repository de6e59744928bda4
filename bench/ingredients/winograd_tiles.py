"""Winograd's minimal filtering on a CPU: what the convs have in common that are computed so.

F(2×2, 3×3): four outputs of a 3×3 conv, a 2×2 window, take 16 multiplications for each pair of channels instead of 36.
F(4×4, 3×3): 16 outputs take 36 instead of 144, and rounding to bf16 costs three times the error. Tiles, 4×4 or 6×6
patches of the images, and filters are transformed, multiplied, and the products transformed back.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308). B, G and A are theirs
for 2×2 outputs; for 4×4 they are of other points, which docs/research/winograd_tiles.md compares.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd import Function

from bench.host import native

# Channels are a multiple of this.
WIDTH = 8
# The number of images whose products stay in cache until they are transformed.
CHUNK_BYTES = 4 << 20
# How many times fewer multiplications tiles of 4×4 outputs need to take, or those of 2×2 are used.
LARGE_GAIN = 1.2
# So many tiles that one more costs nothing.
MANY_TILES = 128
SOURCE = Path(__file__).with_name("winograd.cpp")
# The outputs of a tile, in each direction.
SIDES = (2, 4)
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class TiledConv(nn.Conv2d):
    """A 3×3 conv without stride, padded by zeros, with the parameter objects of another one.

    A subclass says in `_tiled` how it is computed. Images that it does not suit, and those of other types than `TYPES`,
    are computed in the usual way. `large`, it may use tiles of 4×4 outputs; `in_one_pass`, those in bf16 are by
    `bench.ingredients.narrow_conv`.
    """

    large = False
    in_one_pass = False
    _settled: Mapping[int, Tensor] = {}  # by the side of a tile

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        tiled = cls(conv.in_channels, conv.out_channels, 3, padding=1, bias=False, device="meta")
        tiled.weight, tiled.bias = conv.weight, conv.bias
        return tiled.train(conv.training)

    def settle(self, dtype: torch.dtype) -> None:
        """Transform the filters once, for images of this type; the weights must not change afterwards."""
        self._settled = {side: transformed(self.weight, dtype, side) for side in (SIDES if self.large else SIDES[:1])}

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        if x.dtype not in TYPES or not self._suits(x):
            return self._usual(x)
        out = self._tiled(x)
        return out if self.bias is None else out + self.bias.to(out.dtype).view(1, -1, 1, 1)

    def _suits(self, x: Tensor) -> bool:
        return True

    def _usual(self, x: Tensor) -> Tensor:
        return super().forward(x)

    def _tiled(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _applied(self, function: type[Function], x: Tensor, tiling: Tiling) -> Tensor:
        """The result of a subclass's function of images, weight, settled filters, tiling, and whether in one pass."""
        in_one_pass = self.in_one_pass and x.dtype == torch.bfloat16
        return function.apply(x, self.weight, self._settled.get(tiling.side), tiling, in_one_pass)  # type: ignore[no-any-return, no-untyped-call]


def suits(conv: nn.Module) -> bool:
    """Whether a module is a conv that can be a `TiledConv`."""
    return (
        type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and (conv.padding, conv.padding_mode) in {("same", "zeros"), ((1, 1), "zeros")}
        and conv.in_channels % WIDTH == conv.out_channels % WIDTH == 0
    )


class Tiling(NamedTuple):
    """The tiles of images of `height` and `width`: `high` rows of `wide` tiles, each for `side` × `side` outputs."""

    height: int
    width: int
    high: int
    wide: int
    side: int
    large: bool  # whether tiles of 4×4 outputs may be used

    @classmethod
    def pooled(cls, images: Tensor, large: bool = False) -> Tiling:
        """Of whole 2×2 windows only, as pooling has them."""
        height, width = images.shape[-2:]
        return cls._over(height, width, height // 2 * 2, width // 2 * 2, large)

    @classmethod
    def whole(cls, images: Tensor, large: bool = False) -> Tiling:
        """Of every output."""
        height, width = images.shape[-2:]
        return cls._over(height, width, height, width, large)

    @classmethod
    def _over(cls, height: int, width: int, rows: int, columns: int, large: bool) -> Tiling:
        """Of the first `rows` and `columns`, by the larger tile if that takes clearly fewer multiplications."""
        small, larger = (cls(height, width, -(-rows // side), -(-columns // side), side, large) for side in SIDES)
        return larger if large and small.multiplications >= LARGE_GAIN * larger.multiplications else small

    @property
    def places(self) -> int:
        """The numbers in a tile: 16 or 36."""
        return (self.side + 2) ** 2

    @property
    def multiplications(self) -> int:
        """For each image and pair of channels."""
        return self.places * self.high * self.wide

    def chunks(self, images: Tensor, outs: int) -> Iterator[slice]:
        """Images that are processed together."""
        # The sums of the filters' gradients are read and written for each chunk.
        sums = 4 * self.places * images.shape[1] * outs if self.large else 0
        size = max(1, max(CHUNK_BYTES, 2 * sums) // (self.multiplications * outs * images.element_size()))
        for start in range(0, len(images), size):
            yield slice(start, min(start + size, len(images)))

    def rows(self, count: int) -> int:
        """Those of the matrices that are multiplied for so many images: one for each tile.

        With many large tiles, there is one of zeros more if it makes the number odd. Otherwise the numbers of a tile
        would lie whole pages apart, and compete for the same few lines of a cache.
        """
        tiles = count * self.high * self.wide
        return tiles | 1 if self.side > 2 and tiles >= MANY_TILES else tiles

    def empty(self, images: Tensor, channels: int) -> Tensor:
        """For tiles of images, or their products, [places, rows, channels]; a row of zeros is there already."""
        rows = self.rows(len(images))
        tiles = images.new_empty(self.places, rows, channels)
        tiles[:, len(images) * self.high * self.wide :] = 0
        return tiles

    def tiles(self, images: Tensor) -> Tensor:
        """The transformed patches of images [N, C, H, W], [places, rows, C]."""
        count, channels = images.shape[:2]
        tiles = self.empty(images, channels)
        self.call("transform_images", count, channels, images, tiles)
        return tiles

    def call(self, function: str, count: int, channels: int, *tensors: Tensor) -> None:
        """Call a function of winograd.cpp for so many images and channels, and tensors of the first one's type."""
        sizes = (count, self.height, self.width, channels, self.high, self.wide, self.rows(count), self.side)
        _call(function, tensors, sizes)


def gradients(
    images: Tensor,
    filters: Tensor,
    tiling: Tiling,
    wanted: tuple[bool, bool],
    of_products: Callable[[slice, Tensor], None],
) -> tuple[Tensor | None, Tensor | None]:
    """Those of the images and of the transformed filters, where `wanted`.

    `of_products` writes those of the products of some images into a tensor [places, rows, outs].
    """
    of_images = torch.empty_like(images) if wanted[0] else None
    of_filters = torch.zeros(filters.shape) if wanted[1] else None
    outs, ins = filters.shape[1:]
    with torch.autocast("cpu", enabled=False):
        for chunk in tiling.chunks(images, outs):
            tiles = tiling.tiles(images[chunk])
            products = tiling.empty(images[chunk], outs)
            of_products(chunk, products)
            if of_filters is not None:
                of_filters += torch.bmm(products.mT, tiles)
            if of_images is not None:
                torch.bmm(products, filters, out=tiles)
                tiling.call("transform_images_backward", len(images[chunk]), ins, tiles, of_images[chunk])
    return of_images, of_filters


def transformed(weight: Tensor, dtype: torch.dtype, side: int) -> Tensor:
    """G g Gᵀ of filters [out, in, 3, 3], [places, out, in], for tiles of `side` × `side` outputs."""
    outs, ins = weight.shape[:2]
    planes = weight.detach().float().permute(2, 3, 0, 1).contiguous()
    filters = planes.new_empty((side + 2) ** 2, outs, ins, dtype=dtype)
    _call("transform_filters", (filters, planes), (outs * ins, side))
    return filters


def transformed_backward(gradient: Tensor, side: int) -> Tensor:
    """Gᵀ g G of float32 [places, out, in], [out, in, 3, 3]."""
    gradient = gradient.contiguous()
    planes = gradient.new_empty(3, 3, *gradient.shape[1:])
    _call("transform_filters_backward", (gradient, planes), (gradient[0].numel(), side))
    return planes.permute(2, 3, 0, 1)


def _call(function: str, tensors: tuple[Tensor, ...], sizes: tuple[int, ...]) -> None:
    call = getattr(native.load(SOURCE), f"{function}_{TYPES[tensors[0].dtype]}")
    call(*(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors), *map(ctypes.c_long, sizes))
