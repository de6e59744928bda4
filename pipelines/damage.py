"""Damage to images, for nets that restore them: shrunk and enlarged again, a number written over them, saved as JPEG.

Source of the kinds: fast.ai, Practical Deep Learning for Coders (2019), lesson 7.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

# Beside an image of 96 pixels a side the numbers are as large as the lecture's.
TEXT_SHARE = 0.15
LEAST_TEXT_PIXELS = 6
LOWEST_NUMBER, HIGHEST_NUMBER = 10, 70


@dataclass(frozen=True)
class Damage:
    """What is done to each image, in this order; None or false leaves it out.

    `pixels` is the shorter side to which it is shrunk, bilinear; it is enlarged again at the end. `number` writes a
    random number of two digits at a random place. `jpeg` is the range of qualities, of which each image gets one, also
    the number that is written on it.
    """

    pixels: int | None = None
    number: bool = False
    jpeg: tuple[int, int] | None = None

    def apply(self, image: npt.NDArray[np.uint8], key: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The damaged image, uint8 [3, H, W] like the whole one; the same key gives the same damage."""
        draws = np.random.default_rng(list(key))
        height, width = image.shape[1:]
        lowest, highest = self.jpeg or (LOWEST_NUMBER, HIGHEST_NUMBER)
        quality = int(draws.integers(lowest, highest + 1))
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        if self.pixels is not None:
            scale = self.pixels / min(height, width)
            small = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = picture.resize(small, Image.Resampling.BILINEAR)
        if self.number:
            _write(picture, str(quality), draws)
        if self.jpeg is not None:
            picture = _jpeg(picture, quality)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))

    @property
    def label(self) -> str:
        """For the name of a data set: `16px`, `24px-number-jpeg10-70`."""
        parts = (
            self.pixels is not None and f"{self.pixels}px",
            self.number and "number",
            self.jpeg is not None and f"jpeg{self.jpeg[0]}-{self.jpeg[1]}",
        )
        return "-".join(part for part in parts if part)


# Pillow decodes its font anew for each call.
_font = functools.cache(ImageFont.load_default)


def _write(picture: Image.Image, text: str, draws: np.random.Generator) -> None:
    """Draw the text at a random place in a random colour, by Pillow's own font."""
    size = max(LEAST_TEXT_PIXELS, round(TEXT_SHARE * min(picture.size)))
    font = _font(size)
    left, top, right, bottom = font.getbbox(text)
    room = (picture.width - (right - left), picture.height - (bottom - top))
    at = [int(draws.integers(0, max(int(most), 0) + 1)) for most in room]
    colour = tuple(int(value) for value in draws.integers(0, 256, 3))
    ImageDraw.Draw(picture).text((at[0] - left, at[1] - top), text, fill=colour, font=font)


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=quality)
    return Image.open(memory).convert("RGB")
