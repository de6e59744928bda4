"""A user's own augmentations of whole batches, applied after the loader's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.registry.registry import Info, Registry
from bench.registry.signature import check_options

if TYPE_CHECKING:
    from torch import Tensor

# bench's own augmentations are keys of `augment`, because they share their draws: see `pipelines.augment`.
AUGMENTATIONS: Registry[Info] = Registry("augmentation", "augmentations", {})

Augmentation = Callable[["Tensor"], "Tensor"]


def augmentation(name: str, options: Mapping[str, Any]) -> Augmentation:
    """The function of normalised images [B, C, H, W] that a user's class or function returns for these options.

    It returns images of the same shape. Its random draws from torch are determined by the seed, the epoch, the step and
    the shard. Raises `UsageError` for an option that it does not take, and for an error in it.
    """
    from bench.pipelines.torchvision_compat import for_users_code

    found = AUGMENTATIONS.find(name)
    for_users_code(found.own)
    make = found.load()
    try:
        check_options(f"augmentation {found.label}", make, options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    with found.errors():
        augment = make(**options)
    if not callable(augment):
        raise UsageError(
            f"{found.label} returned a {type(augment).__name__}; it should return a function of images [B, C, H, W]"
        )

    def checked(images: Tensor) -> Tensor:
        with found.errors():
            changed: Tensor = augment(images)
        if getattr(changed, "shape", None) != images.shape:
            was, became = list(images.shape), list(getattr(changed, "shape", [])) or type(changed).__name__
            raise UsageError(f"{found.label}: images {was} become {became}; an augmentation keeps the shape")
        return changed

    return checked
