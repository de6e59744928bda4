"""The registry of loaders: what they are called, what each is, and how one is made."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.pipelines.errors import WrongOption

if TYPE_CHECKING:
    from bench.pipelines.augment import Augment
    from bench.pipelines.dataset import Dataset
    from bench.pipelines.loader import Loader, Placement, Shard

LOADERS = {
    "resident": "the whole set in the device's memory; augmentation in whole batches",
    "ffcv": "decoded by ffcv from a beton; augmentation in whole batches on the device",
    "torch": "torch's DataLoader with torchvision's v2 transforms, an image at a time: the usual baseline",
    "tokens": "text, in its order, from the device's memory",
}
# Named here and imported when one is made, because they bring torch, numba and torchvision with them.
_CLASSES = {
    "resident": "bench.pipelines.loaders.resident:ResidentLoader",
    "ffcv": "bench.pipelines.loaders.ffcv_loader:FfcvLoader",
    "torch": "bench.pipelines.loaders.torch_loader:TorchLoader",
    "tokens": "bench.pipelines.loaders.tokens:TokenLoader",
}


def make_loader(
    name: str,
    dataset: Dataset,
    split: Literal["train", "test"],
    batch_size: int,
    augment: Augment,
    placement: Placement,
    seed: int,
    workers: int | None = None,
    cache: Path | None = None,
    shard: Shard | None = None,
) -> Loader:
    """The loader of this name; the other arguments are those of `pipelines.loader.Loader`.

    Raises WrongOption for an unknown name, PartMissing where the loader's library is not installed.
    """
    if name not in _CLASSES:
        raise WrongOption.unknown("loader", name, LOADERS)
    module, class_name = _CLASSES[name].split(":")
    kind: type[Loader] = getattr(importlib.import_module(module), class_name)
    return kind(dataset, split, batch_size, augment, placement, seed, workers, cache, shard)
