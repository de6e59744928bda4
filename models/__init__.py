"""The registry of networks: a family a file, a name here, options as keyword arguments of its builder.

A builder takes `in_channels`, `classes` and `image_size` (pixels) from the data and everything else from
the recipe. It raises ValueError when the numbers do not fit together, which is told as `ImpossibleModel`.
Importing this does not import torch; `builder` and all that calls it do.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.models.errors import ImpossibleModel
from bench.models.options import check_value, nearest

if TYPE_CHECKING:
    from torch import nn

FROM_DATA = ("in_channels", "classes", "image_size")
# torchvision's ResNets, each with its parameters at 1,000 classes, in millions.
_RESNETS = {
    "resnet18": "11.7",
    "resnet34": "21.8",
    "resnet50": "25.6",
    "resnet101": "44.5",
    "resnet152": "60.2",
    "resnext50_32x4d": "25.0",
    "resnext101_32x8d": "88.8",
    "resnext101_64x4d": "83.5",
    "wide_resnet50_2": "68.9",
    "wide_resnet101_2": "126.9",
}
# The lesson's recurrent nets.
_COUNTING = {
    "m0": "three steps written out",
    "m1": "as a loop",
    "m2": "answering at every step",
    "m3": "keeping its state",
    "m4": "as torch's RNN",
    "m5": "as a GRU of two layers",
}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a network before its file is imported: `module:builder`, and what it is in a line."""

    where: str
    summary: str


MODELS: Mapping[str, ModelInfo] = MappingProxyType(
    {
        "darknet": ModelInfo("bench.models.darknet:Darknet", "fast.ai's Darknet, whose block is varied by its options"),
        "wide_resnet": ModelInfo("bench.models.wide_resnet:WideResNet", "Wide ResNet by depth, width and block type"),
        "wrn_22": ModelInfo("bench.models.wide_resnet:wrn_22", "WRN-22-6 as fast.ai entered it to DAWNBench"),
        "resnet9": ModelInfo("bench.models.resnet9:ResNet9", "Page's ResNet-9"),
        "speedrun": ModelInfo("bench.models.speedrun:SpeedrunNet", "the whitened net of the CIFAR-10 speed runs"),
        "speedrun_pairs": ModelInfo(
            "bench.models.speedrun_pairs:PairedSpeedrunNet",
            "the same with a residual pair of convs a group, for CIFAR-100",
        ),
        "mnist_plain": ModelInfo("bench.models.mnist:plain", "the lesson's five convs of stride 2"),
        "mnist_resnetish": ModelInfo("bench.models.mnist:resnetish", "the same with a residual block between each two"),
        "mnist_dense": ModelInfo("bench.models.mnist:dense", "the same with concatenation instead of addition"),
        "cifar_resnet": ModelInfo(
            "bench.models.cifar_resnet:CifarResNet", "He's CIFAR ResNet of any depth, or without skips"
        ),
        **{
            f"counting_rnn:{name}": ModelInfo(
                "bench.models.counting_rnn:counting_rnn", f"the lesson's counting net, {what}"
            )
            for name, what in _COUNTING.items()
        },
        **{
            f"torchvision:{name}": ModelInfo(
                "bench.models.torchvision_resnets:torchvision_resnet",
                f"torchvision's {name}, {millions} M at 1,000 classes",
            )
            for name, millions in _RESNETS.items()
        },
    }
)
# The families' files; none of them imports more than torch.
MODULES = tuple(dict.fromkeys(info.where.partition(":")[0] for info in MODELS.values()))

__all__ = [
    "MODELS",
    "MODULES",
    "ImpossibleModel",
    "ModelInfo",
    "build",
    "builder",
    "check",
    "check_name",
    "check_options",
]


def check_name(name: str) -> None:
    """Raise `ImpossibleModel` for a name that is not registered, naming the nearest that is."""
    if name not in MODELS:
        raise ImpossibleModel(f"unknown model {name!r}{nearest(name, MODELS)}; there are: {', '.join(MODELS)}")


def builder(name: str) -> Callable[..., nn.Module]:
    """The class or function that builds `name`; imports its family's file and torch."""
    check_name(name)
    module, attribute = MODELS[name].where.split(":")
    found: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    variant = name.partition(":")[2]
    return partial(found, variant) if variant else found


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise `ImpossibleModel` for an option that `name` does not have, or a value that is not of its kind."""
    parameters = inspect.signature(builder(name), eval_str=True).parameters
    allowed = [key for key in parameters if key not in FROM_DATA]
    for key, value in options.items():
        if key not in allowed:
            raise ImpossibleModel(
                f"model {name!r} has no option {key!r}{nearest(key, allowed)}; it has: {', '.join(allowed)}"
            )
        try:
            check_value(key, value, parameters[key].annotation)
        except ValueError as error:
            raise ImpossibleModel(f"model {name!r}: {error}") from None


def build(name: str, options: Mapping[str, Any], *, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """A freshly initialised network for images [B, in_channels, image_size, image_size].

    Raises `ImpossibleModel`, with the numbers, for options that do not fit together or fit the images.
    """
    check_options(name, options)
    try:
        return builder(name)(in_channels=in_channels, classes=classes, image_size=image_size, **options)
    except (ValueError, OverflowError) as error:
        raise ImpossibleModel(f"model {name!r}: {error} (its options: {dict(options)})") from error


def check(name: str, options: Mapping[str, Any], *, in_channels: int, classes: int, image_size: int) -> None:
    """Raise what `build` would, in milliseconds: the weights are on torch's meta device and take no memory."""
    import torch

    with torch.device("meta"):
        build(name, options, in_channels=in_channels, classes=classes, image_size=image_size)
