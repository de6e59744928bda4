"""Checks whether a recipe's network can be built for its data, before data is loaded or anything runs."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from bench import models
from bench.models import MODELS, ImpossibleModel
from bench.pipelines.datasets import DATASETS
from bench.spec.recipe import Recipe


def why_not(recipe: Recipe) -> str | None:
    """Why the network or its proxy cannot be built, with the numbers; None if they can.

    Imports torch, and takes no memory.
    """
    if why := _why_not_alone(recipe):
        return why
    proxy = recipe.of_proxy()
    why = _why_not_alone(proxy) if proxy else None
    return f"proxy.model: {why}" if why else None


def _why_not_alone(recipe: Recipe) -> str | None:
    info, options = DATASETS.get(recipe.data.name), recipe.data.options
    if info is None or recipe.model.name not in MODELS:
        return None  # a user's data or network is known only to the worker
    shape, classes = options.get("shape", info.image_shape), options.get("classes", info.classes)
    try:
        channels, height, width = shape
        sizes = [min(height, width), *(recipe.image_sizes.pixels if recipe.image_sizes else [])]
        facts = json.dumps([recipe.model.name, recipe.model.options, channels, classes, sizes])
    except (TypeError, ValueError):
        return None  # invalid options of a data set, which it reports itself
    return _why_not(facts)


@lru_cache(maxsize=1024)
def _why_not(facts: str) -> str | None:
    name: str
    options: dict[str, Any]
    name, options, channels, classes, sizes = json.loads(facts)
    for position, pixels in enumerate(sizes):
        try:
            models.check(name, options, in_channels=channels, classes=classes, image_size=pixels)
        except ImpossibleModel as error:
            return f"image_sizes.{position - 1}.pixels: {pixels} is too few; {error}" if position else str(error)
    return None
