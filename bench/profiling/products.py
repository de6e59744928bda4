"""The matrix products of an operation, by their sizes: a convolution is one, its backward pass two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.ingredients.narrow_conv import tiles_of

# The positions of both factors in the arguments.
_FACTORS = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}


@dataclass(frozen=True)
class Product:
    """`batch` products of a [rows, inner] and an [inner, columns] matrix."""

    batch: int
    rows: int
    inner: int
    columns: int
    dtype: torch.dtype

    @property
    def flops(self) -> int:
        """A multiply-add counts as two."""
        return 2 * self.batch * self.rows * self.inner * self.columns


def products_of(name: str, args: Sequence[Any], result: Any) -> tuple[Product, ...]:
    """Those of an operation of aten or bench with these arguments; none if it is another one, or a transposed conv."""
    if name in _FACTORS:
        left, right = (args[position] for position in _FACTORS[name])
        batch = left.shape[0] if left.ndim == 3 else 1
        return (Product(batch, left.shape[-2], left.shape[-1], right.shape[-1], left.dtype),)
    if name == "convolution" and not args[6]:
        outs, taps, positions = _sizes(args[1], result, args[8])
        return (Product(args[8], positions, taps, outs, args[0].dtype),)
    if name == "convolution_backward" and not args[7]:
        outs, taps, positions = _sizes(args[2], args[0], args[9])
        of_images = Product(args[9], positions, outs, taps, args[1].dtype)
        of_weight = Product(args[9], outs, positions, taps, args[1].dtype)
        return tuple(one for one, wanted in zip((of_images, of_weight), args[10], strict=False) if wanted)
    if name.startswith("narrow_conv"):
        return _narrow(name, args)
    return ()


def _narrow(name: str, args: Sequence[Any]) -> tuple[Product, ...]:
    """Those of a conv in Winograd's form, one for each place of a tile."""
    images, filters = args[:2]
    places, outs, ins = filters.shape
    tiles = tiles_of(images.shape, filters.shape, pooled="alone" not in name)
    if not name.endswith("backward"):
        return (Product(places, tiles, ins, outs, images.dtype),)
    of_images = Product(places, tiles, outs, ins, images.dtype)
    of_filters = Product(places, outs, tiles, ins, images.dtype)
    return tuple(one for one, asked in zip((of_images, of_filters), args[-1], strict=True) if asked)


def _sizes(weight: Tensor, output: Tensor, groups: int) -> tuple[int, int, int]:
    """Of each group: the channels of the output, the values that each is made of, and the positions of a batch."""
    outs, ins, *kernel = weight.shape
    return outs // groups, ins * math.prod(kernel), len(output) * math.prod(output.shape[2:])
