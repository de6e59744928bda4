"""The augmentations, and the random draws that decide them for every image of an epoch."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from bench.pipelines.errors import WrongOption

Flip = Literal["none", "random", "alternating"]
Pad = Literal["reflect", "zero"]


def seeded_generator(*key: object) -> torch.Generator:
    """A CPU generator seeded by the key: the same key gives the same draws on every device."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device, without waiting: a GPU copies it from pinned memory while the host continues.

    The host first copies into such memory what is not pinned.
    """
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()  # itself, if it is pinned
    return tensor.to(device, non_blocking=True)


@dataclass(frozen=True)
class Draws:
    """The draws for each image, one row each; None for an augmentation that is off."""

    mirrored: torch.Tensor | None = None  # bool [N]
    top: torch.Tensor | None = None  # int64 [N], 0..2*shift_pixels: the crop's corner in the padded image
    left: torch.Tensor | None = None
    cutout_row: torch.Tensor | None = None  # int64 [N], the square's centre; Augment.cut says what it covers
    cutout_column: torch.Tensor | None = None
    gain: torch.Tensor | None = None  # float32 [N], multiplies the normalised image
    offset: torch.Tensor | None = None  # float32 [N], is added to the normalised image

    def __getitem__(self, rows: torch.Tensor | slice) -> Draws:
        return Draws(**{name: vector[rows] for name, vector in self.vectors().items()})

    def to(self, device: torch.device) -> Draws:
        return Draws(**{name: sent(vector, device) for name, vector in self.vectors().items()})

    def pin_memory(self) -> Draws:
        return Draws(**{name: vector.pin_memory() for name, vector in self.vectors().items()})

    def vectors(self) -> dict[str, torch.Tensor]:
        """The existing draws, by field name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: vector for name, vector in fields.items() if vector is not None}


@dataclass(frozen=True)
class Augment:
    """Mirror, translate, jitter and cut out, in this order; the default does nothing.

    flip: "random" mirrors each image with probability 1/2 in every epoch. "alternating" does so at
        epoch 0 and from then on turns every image over each epoch, so that two consecutive epochs
        show both sides of everything.
    shift_pixels: translation by a uniform whole number in -n..n along each axis.
    pad: what a translation uncovers, the mirrored border or black pixels.
    cutout_pixels: side of a square set to the data's mean. Its centre may be any pixel, so that the
        border clips the square (DeVries and Taylor, arXiv 1708.04552); not so with cutout_inside.
    brightness, contrast: the normalised image x becomes x * (1 + c) + b, with c uniform in ±contrast
        and b uniform in ±brightness, one of each an image.

    Raises WrongOption for values outside these ranges.
    """

    flip: Flip = "none"
    shift_pixels: int = 0
    pad: Pad = "reflect"
    cutout_pixels: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    cutout_inside: bool | None = None

    def __post_init__(self) -> None:
        self._require(self.flip in get_args(Flip), "flip", f"one of {', '.join(get_args(Flip))}")
        self._require(self.pad in get_args(Pad), "pad", f"one of {', '.join(get_args(Pad))}")
        for name in ("shift_pixels", "cutout_pixels"):
            value = getattr(self, name)
            self._require(type(value) is int and value >= 0, name, "a whole number, 0 or more")
        for name, largest in (("brightness", math.inf), ("contrast", 1.0)):
            value = getattr(self, name)
            fits = isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= largest
            self._require(fits, name, "a number from 0 to 1" if largest == 1 else "a number, 0 or more")

    def check_fits(self, height: int, width: int) -> None:
        """Raise WrongOption if images of this size cannot be shifted or cut out as asked."""
        side, size = min(height, width), f"images of {height}x{width} pixels"
        self._require(self.shift_pixels < side, "shift_pixels", f"0 to {side - 1} for {size}")
        self._require(self.cutout_pixels <= side, "cutout_pixels", f"0 to {side} for {size}")

    def draw(self, seed: int, epoch: int, count: int, height: int, width: int) -> Draws:
        """The draws for each of `count` images at this epoch, which depend only on the arguments."""

        def integers(purpose: str, low: int, high: int) -> torch.Tensor:
            return torch.randint(low, high, (count,), generator=seeded_generator(seed, epoch, purpose))

        def uniform(purpose: str, amplitude: float) -> torch.Tensor:
            unit = torch.rand(count, generator=seeded_generator(seed, epoch, purpose))
            return (2 * unit - 1) * amplitude

        draws: dict[str, torch.Tensor] = {}
        if self.flip == "random":
            draws["mirrored"] = integers("flip", 0, 2).bool()
        elif self.flip == "alternating":
            first = torch.randint(0, 2, (count,), generator=seeded_generator(seed, "alternating flip"))
            draws["mirrored"] = (first + epoch) % 2 == 1
        if self.shift_pixels:
            draws["top"] = integers("top", 0, 2 * self.shift_pixels + 1)
            draws["left"] = integers("left", 0, 2 * self.shift_pixels + 1)
        if self.cutout_pixels:
            margin = self.cutout_pixels if self.cutout_inside else 1
            low = margin // 2
            draws["cutout_row"] = integers("cutout row", low, low + height - margin + 1)
            draws["cutout_column"] = integers("cutout column", low, low + width - margin + 1)
        if self.contrast:
            draws["gain"] = 1 + uniform("contrast", self.contrast)
        if self.brightness:
            draws["offset"] = uniform("brightness", self.brightness)
        return Draws(**draws)

    def cut(self, centre: int, length: int) -> tuple[int, int]:
        """The first position that a square with this centre covers along an axis, and the position after the last."""
        first = centre - self.cutout_pixels // 2
        return max(first, 0), min(first + self.cutout_pixels, length)

    def _require(self, holds: bool, option: str, allowed: str) -> None:
        if not holds:
            raise WrongOption(f"augment: {option} is {getattr(self, option)!r}; allowed: {allowed}")
