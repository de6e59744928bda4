"""The registry of networks: a family a file, a name here, options as keyword arguments of its builder.

A builder takes `in_channels`, `classes` and `image_size` (pixels) from the data and everything else from
the recipe. It raises `ImpossibleModel` when the numbers do not fit together.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from models.errors import ImpossibleModel

if TYPE_CHECKING:
    from torch import nn

MODELS = {
    "darknet": "models.darknet:Darknet",
    "speedrun": "models.speedrun:SpeedrunNet",
}
FROM_DATA = ("in_channels", "classes", "image_size")

__all__ = ["MODELS", "ImpossibleModel", "build", "builder", "check_name", "check_options"]


def check_name(name: str) -> None:
    """Raise `ImpossibleModel` for a name that is not registered, naming the nearest that is."""
    if name not in MODELS:
        raise ImpossibleModel(f"unknown model {name!r}{_nearest(name, MODELS)}; there are: {', '.join(MODELS)}")


def builder(name: str) -> Callable[..., nn.Module]:
    """The class or function that builds `name`; imports its family's file and torch."""
    check_name(name)
    module, attribute = MODELS[name].split(":")
    found: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    return found


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise `ImpossibleModel` for an option that `name` does not have, naming the nearest that it has."""
    allowed = [key for key in inspect.signature(builder(name)).parameters if key not in FROM_DATA]
    for key in options:
        if key not in allowed:
            raise ImpossibleModel(
                f"model {name!r} has no option {key!r}{_nearest(key, allowed)}; it has: {', '.join(allowed)}"
            )


def build(name: str, options: Mapping[str, Any], *, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """A freshly initialised network for images [B, in_channels, image_size, image_size]."""
    check_options(name, options)
    make = builder(name)
    try:
        return make(in_channels=in_channels, classes=classes, image_size=image_size, **options)
    except (TypeError, ValueError) as error:
        raise ImpossibleModel(f"model {name!r} with {dict(options)}: {error}") from error


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
