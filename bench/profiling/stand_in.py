"""Data in place of a recipe's own, for what depends on shapes alone."""

from __future__ import annotations

from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import DATASETS, describe, load_dataset
from bench.spec.recipe import Recipe


def data_shape(recipe: Recipe) -> tuple[tuple[int, int, int], int, int, int]:
    """Image shape, classes and number of training and test images of the recipe's data; only a user's own is loaded."""
    info, options = describe(recipe.data.name, recipe.data.options), recipe.data.options
    if recipe.data.name not in DATASETS:
        return info.image_shape, info.classes, info.train_count, info.test_count
    channels, height, width = options.get("shape", info.image_shape)
    return (
        (channels, height, width),
        options.get("classes", info.classes),
        options.get("train_count", info.train_count) - options.get("held_out", 0),
        options.get("held_out") or options.get("test_count", info.test_count),
    )


def stand_in_data(recipe: Recipe, train_count: int, test_count: int) -> Dataset:
    """Noise of the shapes of the recipe's data, so many images; a text, which is made by code, as it is."""
    info = DATASETS.get(recipe.data.name)
    if info is not None and info.is_text:
        return load_dataset(recipe.data.name, options=recipe.data.options)
    shape, classes, _, _ = data_shape(recipe)
    counts = {"train_count": train_count, "test_count": test_count}
    return load_dataset("random", options={"shape": list(shape), "classes": classes, **counts})
