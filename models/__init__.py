"""The registry of networks: each family has a file, each network a name here; options are its builder's arguments.

A builder takes `in_channels`, `classes` and `image_size` (pixels) from the data and everything else from the recipe. It
raises ValueError if the numbers do not fit together, which is reported as `ImpossibleModel`. `models.own` describes a
user's builder. Importing this module does not import torch; `builder` and its callers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.models.arguments import FROM_DATA
from bench.models.errors import ImpossibleModel
from bench.registry import signature
from bench.registry.registry import Info, Registry

if TYPE_CHECKING:
    from torch import nn

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


MODELS = Registry(
    "model",
    "models",
    {
        "darknet": Info("bench.models.darknet:Darknet", "fast.ai's Darknet, whose block is varied by its options"),
        "wide_resnet": Info("bench.models.wide_resnet:WideResNet", "Wide ResNet by depth, width and block type"),
        "wrn_22": Info("bench.models.wide_resnet:wrn_22", "WRN-22-6 as fast.ai entered it to DAWNBench"),
        "resnet9": Info("bench.models.resnet9:ResNet9", "Page's ResNet-9"),
        "speedrun": Info("bench.models.speedrun:SpeedrunNet", "the whitened net of the CIFAR-10 speed runs"),
        "speedrun_pairs": Info(
            "bench.models.speedrun_pairs:PairedSpeedrunNet",
            "the same with a residual pair of convs a group, for CIFAR-100",
        ),
        "mnist_plain": Info("bench.models.mnist:plain", "the lesson's five convs of stride 2"),
        "mnist_resnetish": Info("bench.models.mnist:resnetish", "the same with a residual block between each two"),
        "mnist_dense": Info("bench.models.mnist:dense", "the same with concatenation instead of addition"),
        "cifar_resnet": Info(
            "bench.models.cifar_resnet:CifarResNet", "He's CIFAR ResNet of any depth, or without skips"
        ),
        "cyclegan": Info(
            "bench.models.cyclegan:CycleGan", "CycleGAN: two generators and their critics, for task: cyclegan"
        ),
        "dcgan": Info("bench.models.dcgan:Dcgan", "DCGAN: a generator of images and its critic, for task: wgan"),
        "encoder": Info(
            "bench.models.encoder:EncoderNet", "a small encoder as a classifier: its features start U-Nets and judge"
        ),
        "unet": Info(
            "bench.models.unet:unet", "fast.ai's U-Net on ResNet-34 or a small encoder, for task: segmentation"
        ),
        "image_unet": Info("bench.models.unet:image_unet", "the same from images to images, for task: restoration"),
        "unet_gan": Info(
            "bench.models.restoration_gan:RestorationGan", "the same and a critic, for task: restoration_gan"
        ),
        **{
            f"counting_rnn:{name}": Info("bench.models.counting_rnn:counting_rnn", f"the lesson's counting net, {what}")
            for name, what in _COUNTING.items()
        },
        **{
            f"torchvision:{name}": Info(
                "bench.models.torchvision_resnets:torchvision_resnet",
                f"torchvision's {name}, {millions} M at 1,000 classes",
            )
            for name, millions in _RESNETS.items()
        },
    },
)
# The networks that are no classifiers, and the tasks that train them.
OF_TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cyclegan": ("cyclegan",),
        "dcgan": ("wgan",),
        "unet": ("segmentation",),
        "image_unet": ("restoration",),
        "unet_gan": ("restoration_gan",),
    }
)
# The files of the families; they import only torch.
MODULES = tuple(dict.fromkeys(info.where.partition(":")[0] for info in MODELS.values()))

__all__ = [
    "MODELS",
    "MODULES",
    "OF_TASKS",
    "ImpossibleModel",
    "build",
    "builder",
    "check",
    "check_options",
]


def builder(name: str) -> Callable[..., nn.Module]:
    """The class or function that builds `name`. Imports its file and torch.

    Raises `UsageError` for an unknown name, and for an error in a user's file.
    """
    found = MODELS.find(name)
    if name not in MODELS:
        from bench.pipelines.torchvision_compat import for_users_code

        for_users_code(found.own)
    build_it: Callable[..., nn.Module] = found.load()
    variant = name.partition(":")[2]
    return partial(build_it, variant) if name in MODELS and variant else build_it


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise `ImpossibleModel` for an option that `name` does not have, or a value of the wrong type."""
    given = [key for keys in FROM_DATA.values() for key in keys]
    try:
        signature.check_options(f"model {_label(name)!r}", builder(name), options, given)
    except ValueError as error:
        raise ImpossibleModel(str(error)) from None


def build(name: str, options: Mapping[str, Any], *, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """A freshly initialised network for images [B, in_channels, image_size, image_size].

    Raises `ImpossibleModel`, with the numbers, for options that do not fit together or fit the images, and `UsageError`
    for an error in a user's network.
    """
    check_options(name, options)
    build_it = builder(name)
    from_data = {"in_channels": in_channels, "classes": classes, "image_size": image_size}
    if name not in MODELS:
        from bench.models.own import build_own

        return build_own(MODELS.find(name), build_it, from_data, options)
    try:
        return build_it(**from_data, **options)
    except (ValueError, OverflowError) as error:
        raise ImpossibleModel(f"model {name!r}: {error} (its options: {dict(options)})") from error


def check(name: str, options: Mapping[str, Any], *, in_channels: int, classes: int, image_size: int) -> None:
    """Raise the errors of `build` in milliseconds: the weights are on torch's meta device and use no memory.

    A user's network is not built, because it may need operations that the meta device does not support.
    """
    import torch

    if name in MODELS:
        with torch.device("meta"):
            build(name, options, in_channels=in_channels, classes=classes, image_size=image_size)


def _label(name: str) -> str:
    return name if name in MODELS else MODELS.find(name).label
