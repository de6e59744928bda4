"""The registry of loaders: their names, descriptions and construction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.registry.registry import Info, Registry

if TYPE_CHECKING:
    from bench.pipelines.augment import Augment
    from bench.pipelines.dataset import Dataset
    from bench.pipelines.loader import Loader, Placement, Shard

# Imported only when needed, because they import torch, numba and torchvision.
LOADERS = Registry(
    "loader",
    "loaders",
    {
        "resident": Info(
            "bench.pipelines.loaders.resident:ResidentLoader",
            "the whole set in the device's memory; augmentation in whole batches",
        ),
        "ffcv": Info(
            "bench.pipelines.loaders.ffcv_loader:FfcvLoader",
            "decoded by ffcv from a beton; augmentation in whole batches on the device",
        ),
        "torch": Info(
            "bench.pipelines.loaders.torch_loader:TorchLoader",
            "torch's DataLoader with torchvision's v2 transforms, an image at a time: the usual baseline",
        ),
        "tokens": Info("bench.pipelines.loaders.tokens:TokenLoader", "text, in its order, from the device's memory"),
        "pairs": Info(
            "bench.pipelines.loaders.pairs:PairsLoader",
            "images and what they should become (classes of pixels, or images), from the device's memory",
        ),
        "unpaired": Info(
            "bench.pipelines.loaders.unpaired:UnpairedLoader",
            "images of two domains beside one another, at random, from the device's memory",
        ),
    },
)


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

    Raises `UsageError` for an unknown name and for a user's loader that is not a loader or fails, PartMissing if the
    loader's library is not installed.
    """
    found = LOADERS.find(name)
    kind: type[Loader] = found.load()
    arguments = (dataset, split, batch_size, augment, placement, seed, workers, cache, shard)
    if name in LOADERS:
        return kind(*arguments)
    from bench.pipelines.loader import Loader

    found.check_subclass(Loader)
    with found.errors():
        return kind(*arguments)
