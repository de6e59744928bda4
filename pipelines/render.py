"""Renders augmented, normalised batches from uint8 pixels without a loop over images."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable
from typing import Any

import torch

from bench.pipelines.augment import Augment, Draws
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Placement

# torch processes fewer than 32,768 values in the calling thread. Pieces of a batch below that size stay in the cache
# and need no other thread: on cores shared with other work, waiting for all threads after each operation takes many
# times longer than the work itself.
PIECE_VALUES = 32_767


class Canvas:
    """uint8 images, padded and mirrored once, so that any crop of any image is one contiguous gather.

    `images` is [N, H, W, C], in any memory layout; the canvas lives on the same device. On each side `margin` pixels of
    them are no part of an image: they are what a shift uncovers, before any are mirrored.
    """

    def __init__(self, images: torch.Tensor, augment: Augment, margin: int = 0) -> None:
        pad = augment.shift_pixels
        cut, mirrored = max(margin - pad, 0), max(pad - margin, 0)
        images = images[:, cut : images.shape[1] - cut, cut : images.shape[2] - cut]
        self.count, stored_height, stored_width, channels = images.shape
        height, width = stored_height - 2 * (margin - cut), stored_width - 2 * (margin - cut)
        self._height, self._width = height + 2 * pad, width + 2 * pad
        sides = [images] if augment.flip == "none" else [images, images.flip(2)]
        self._pixels = images.new_zeros(len(sides), self.count, self._height, self._width, channels)
        for side, source in zip(self._pixels, sides, strict=True):
            side[:, mirrored : mirrored + stored_height, mirrored : mirrored + stored_width] = source
            if augment.pad == "reflect":
                _reflect(side, mirrored)
        # Row r starts at the r-th pixel and covers one image's height and width: overlapping views of the same memory,
        # so that selecting rows crops.
        first_pixels = self._pixels[..., 0].numel() - (height - 1) * self._width - width + 1
        self._crops = self._pixels.as_strided(
            (first_pixels, height, width * channels), (channels, self._width * channels, 1)
        )

    def first_pixels(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Where the crops of these images (int64 [B], with a row of `draws` each) start: int64 [B]."""
        side = 0 if draws.mirrored is None else draws.mirrored * self.count
        top = 0 if draws.top is None else draws.top
        left = 0 if draws.left is None else draws.left
        return ((side + images) * self._height + top) * self._width + left

    @property
    def all_crops(self) -> torch.Tensor:
        """uint8 [pixels, H, W * C], a view: the crop that starts at each pixel."""
        return self._crops

    def crops(self, first_pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [B, H, W * C]."""
        return self._crops.index_select(0, first_pixels)


class Renderer:
    """Renders batches for one data set, augmentation and placement.

    Compiled, it renders a whole batch in one kernel. Batches of another size than the first, such as the last of a test
    set, are rendered uncompiled, and so is everything if compilation fails.
    """

    def __init__(self, dataset: Dataset, augment: Augment, placement: Placement) -> None:
        self.placement = placement
        self._program = torch.compile(_in_one, dynamic=False) if placement.compiled else None
        self._compiled_for: int | None = None
        self._channels, self._height, self._width = channels, height, width = dataset.image_shape
        mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
        # Expanded to a line of pixels, [W * C], because broadcasting over an inner axis of 3 is many times slower.
        self._scale = (1 / (255 * std)).repeat(width).to(placement.device)
        self._bias = (-mean / std).repeat(width).to(placement.device)
        # Masks of the pixels that a cut leaves, by its centre: [H, H, 1] and [W, 1, W * C].
        self._rows_kept = _kept(augment, height)[:, :, None].to(placement.device)
        columns_kept = _kept(augment, width).repeat_interleave(channels, dim=1)
        self._columns_kept = columns_kept[:, None, :].to(placement.device)

    def render(self, canvas: Canvas, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Normalised images [B, C, H, W] for the canvas' images int64 [B], with a row of `draws` each."""
        return self.render_crops(canvas, canvas.first_pixels(images, draws), draws)

    def render_crops(self, canvas: Canvas, first_pixels: torch.Tensor, draws: Draws) -> torch.Tensor:
        """The same for crops that start at the canvas' `first_pixels`, int64 [B]."""
        place, count = self.placement, len(first_pixels)
        if self._program is not None:
            self._compiled_for = self._compiled_for or count
            if count == self._compiled_for:
                try:
                    return self._in_one_kernel(canvas, first_pixels, draws)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as error:  # from dynamo, its backend, or a missing compiler
                    self._program = None
                    warnings.warn(f"batches are rendered without torch.compile: {error}", stacklevel=2)
        batch = torch.empty(
            (count, self._channels, self._height, self._width),
            dtype=place.dtype,
            device=place.device,
            memory_format=place.memory_format,
        )
        by_pixel = batch.permute(0, 2, 3, 1)
        in_place = by_pixel.is_contiguous() and place.dtype == torch.float32
        image_values = self._channels * self._height * self._width
        piece = count if place.device.type == "cuda" else max(1, PIECE_VALUES // image_values)

        def pieces(tensor: torch.Tensor | None) -> Iterable[Any]:
            return itertools.repeat(None) if tensor is None else torch.split(tensor, piece)

        cuts = draws.cutout_row, draws.cutout_column
        parts = by_pixel, first_pixels, draws.gain, draws.offset, *cuts
        for target, corners, gain, offset, row, column in zip(*map(pieces, parts), strict=False):
            values = target if in_place else torch.empty(target.shape, device=place.device)
            lines = values.view(len(values), self._height, -1)
            lines.copy_(canvas.crops(corners))
            lines.mul_(self._scale).add_(self._bias)
            if gain is not None:
                lines.mul_(gain[:, None, None])
            if offset is not None:
                lines.add_(offset[:, None, None])
            if row is not None:
                # A product with zeros and ones: masked_fill_ is slower.
                kept = self._rows_kept.index_select(0, row), self._columns_kept.index_select(0, column)
                lines.mul_(torch.maximum(*kept))
            if not in_place:
                target.copy_(values)
        return batch

    def _in_one_kernel(self, canvas: Canvas, first_pixels: torch.Tensor, draws: Draws) -> torch.Tensor:
        assert self._program is not None
        return self._program(
            canvas.all_crops,
            first_pixels,
            (self._scale, self._bias),
            (draws.gain, draws.offset),
            (draws.cutout_row, draws.cutout_column),
            (self._rows_kept, self._columns_kept),
            self._channels,
            self.placement.dtype,
            self.placement.memory_format == torch.channels_last,
        )


def _in_one(
    crops: torch.Tensor,
    first_pixels: torch.Tensor,
    norm: tuple[torch.Tensor, torch.Tensor],
    jitter: tuple[torch.Tensor | None, torch.Tensor | None],
    cut: tuple[torch.Tensor | None, torch.Tensor | None],
    kept: tuple[torch.Tensor, torch.Tensor],
    channels: int,
    dtype: torch.dtype,
    channels_last: bool,
) -> torch.Tensor:
    """The work of `Renderer.render_crops`, in the same order, on the whole batch and out of place: [B, C, H, W]."""
    (scale, bias), (gain, offset), (row, column) = norm, jitter, cut
    lines = crops.index_select(0, first_pixels).float()
    lines = lines * scale + bias
    if gain is not None:
        lines = lines * gain[:, None, None]
    if offset is not None:
        lines = lines + offset[:, None, None]
    if row is not None and column is not None:
        lines = lines * torch.maximum(kept[0].index_select(0, row), kept[1].index_select(0, column))
    count, height, width = lines.shape
    images = lines.view(count, height, width // channels, channels).permute(0, 3, 1, 2)
    return images.to(dtype, memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _kept(augment: Augment, length: int) -> torch.Tensor:
    """float32 [length, length]: 0 where the cut centred at the first index covers the second, else 1."""
    kept = torch.ones(length, length)
    for centre in range(length):
        kept[centre, slice(*augment.cut(centre, length))] = 0
    return kept


def _reflect(images: torch.Tensor, pad: int) -> None:
    """Fill the outer `pad` pixels of [N, H, W, C] with the mirror image of what lies inside them."""
    for axis in (1, 2):
        last = images.shape[axis] - 1
        for step in range(1, pad + 1):
            for edge, inward in ((pad, 1), (last - pad, -1)):
                outer = images.select(axis, edge - inward * step)
                outer.copy_(images.select(axis, edge + inward * step))
