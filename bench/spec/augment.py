"""The augmentation of training images in a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.documents.named import Named
from bench.documents.numbers import NotNegative, Pixels
from bench.documents.strict import Strict
from bench.pipelines.augmentations import AUGMENTATIONS
from bench.registry.checks import check_known


class AugmentConfig(Strict):
    flip: Literal["none", "random", "alternating"] = "none"
    """Mirror no images, each with probability 1/2, or each in every other epoch."""
    shift_pixels: Pixels = 0
    """Translate by up to so many pixels along each axis."""
    pad: Literal["reflect", "zero"] = "reflect"
    """What a translation uncovers: the mirrored border, or black."""
    cutout_pixels: Pixels = 0
    """Side of a square that is set to the mean."""
    cutout_inside: bool | None = None
    """Keep the whole square inside the image; null lets the border clip it."""
    brightness: NotNegative = 0.0
    """Largest number added to the normalised image."""
    contrast: NotNegative = 0.0
    """Largest relative change of the normalised image."""
    then: Annotated[list[Named], Field(min_length=1)] | None = None
    """Your own augmentations, applied after these."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for index, named in enumerate(self.then or []):
            check_known(f"augment.then.{index}", named.name, AUGMENTATIONS)
        return self
