"""Checks the options of a data set without loading it, so that every command refuses the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.pipelines.datasets import own
from bench.pipelines.datasets.catalog import DATASETS, DatasetInfo
from bench.pipelines.errors import WrongOption
from bench.registry.reference import is_path

MOST_PIXELS = 8192
MOST_IMAGES = 2**31 - 1
MOST_CLASSES = 1_000_000
MOST_TOKENS = 10_000
# Of a text: the next token at every step, or behind the last one alone.
PREDICTED = ("every", "last")
# What noise is to become: an image, or the class of each pixel.
TARGETS = ("images", "classes")
# The colours of the second domain.
RECOLOURINGS = ("coloured", "inverted")


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Raise WrongOption for an unknown option, a wrong type, or a value out of range.

    Options of a user's code are checked when it is called.
    """
    if name in DATASETS:
        check_published(DATASETS[name], options)
    elif is_path(name):
        own.check_options(Path(name), options)


def check_published(info: DatasetInfo, options: Mapping[str, object]) -> None:
    """Check the options of one of bench's own data sets."""
    for name, value in options.items():
        if name not in info.options:
            raise WrongOption.unknown(f"option of {info.name} data", name, info.options)
        match name:
            case "held_out":
                _check_integer(info, name, value, 1, info.train_count - 1, "of the training images")
            case "train_count" if info.learnable:
                _check_integer(info, name, value, 1, info.train_count, "of the training images")
            case "test_count" if info.learnable:
                _check_integer(info, name, value, 1, info.test_count, "of the test images")
            case "only_class":
                _check_integer(info, name, value, 0, info.classes - 1)
            case "shape":
                _check_shape(info, value)
            case "classes":
                _check_integer(info, name, value, 2, MOST_CLASSES)
            case "seed":
                _check_integer(info, name, value, 0, 2**63 - 1)
            case "predict":
                _check_choice(info, name, value, PREDICTED)
            case "targets":
                _check_choice(info, name, value, TARGETS)
            case "void" | "number":
                if not isinstance(value, bool):
                    raise WrongOption(f"{info.name}: {name} is {value!r}; allowed: true or false.")
            case "pixels":
                _check_integer(info, name, value, 1, min(info.image_shape[1:]), "to shrink to")
            case "jpeg":
                _check_qualities(info, value)
            case "to":
                _check_choice(info, name, value, RECOLOURINGS)
            case "steps" | "streams":
                _check_integer(info, name, value, 1, MOST_TOKENS)
            case _:
                _check_integer(info, name, value, 1, MOST_IMAGES)


def _check_choice(info: DatasetInfo, name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise WrongOption(f"{info.name}: {name} is {value!r}; allowed: {', '.join(allowed)}.")


def _check_qualities(info: DatasetInfo, value: Any) -> None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise WrongOption(f"{info.name}: jpeg is {value!r}; give the lowest and highest quality, [10, 70].")
    for quality in value:
        _check_integer(info, "jpeg", quality, 1, 95, "as a quality")
    if value[0] > value[1]:
        raise WrongOption(f"{info.name}: jpeg is {list(value)}; give the lowest quality first.")


def _check_shape(info: DatasetInfo, value: Any) -> None:
    if not isinstance(value, list | tuple) or len(value) != len(info.image_shape):
        raise WrongOption(f"{info.name}: shape is {value!r}; give [channels, height, width].")
    for side in value:
        _check_integer(info, "shape", side, 1, MOST_PIXELS)


def _check_integer(info: DatasetInfo, name: str, value: object, lowest: int, highest: int, of: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        what = f"{info.name}: {name} is {value!r}; give a whole number from {lowest:,} to {highest:,}"
        raise WrongOption(f"{what} {of}".rstrip() + ".")
