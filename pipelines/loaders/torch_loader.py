"""The usual baseline: torch's DataLoader, with torchvision's v2 transforms an image at a time in workers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as IndexedDataset

from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.loader import Batch, Loader, usable_cores
from bench.pipelines.torchvision_compat import import_torchvision

F = import_torchvision("torchvision.transforms.v2.functional")

Key = tuple[int, int, int]  # seed, epoch and image: workers outlive both, so that each image says its own


class TorchLoader(Loader):
    """Workers start with the first batch and stay until the loader is closed; 0 workers work in this process.

    The transforms are given the draws that all loaders share, which torchvision's random classes would
    make for themselves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        workers = usable_cores() if self.workers is None else self.workers
        self._keys = _Keys(self)
        self._loader = DataLoader(
            _Images(self.dataset, self.images, self.augment),
            batch_sampler=self._keys,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.placement.device.type == "cuda",
            # Its own, because it draws a number an epoch, which training's generator should not lose.
            generator=torch.Generator(),
        )

    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        place = self.placement
        self._keys.epoch, self._keys.order = epoch, order.cpu()  # whose workers read it one by one
        for images, labels in self._loader:
            # First over, then into form: another form on the host would not lie in pinned memory.
            moved = images.to(place.device, non_blocking=True)
            batch = moved.to(place.dtype, memory_format=place.memory_format)
            yield batch, labels.to(place.device, non_blocking=True)

    def _release(self) -> None:
        # torch stops them only when the last reference to them goes.
        workers: Any = self._loader._iterator
        if workers is not None:
            workers._shutdown_workers()


class _Keys(Sampler[list[Key]]):
    """The batches of the images `order` in the epoch that is set, as keys of `_Images`."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self.epoch, self.order = 0, loader.order(0)

    def __len__(self) -> int:
        return -(-len(self.order) // self._loader.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for images in torch.split(self.order, self._loader.batch_size):
            yield [(self._loader.seed, self.epoch, image) for image in images.tolist()]


class _Images(IndexedDataset[tuple[torch.Tensor, int]]):
    """Augmented, normalised images float32 [C, H, W] and their labels, by epoch and index."""

    def __init__(self, dataset: Dataset, split: Split, augment: Augment) -> None:
        self._mean, self._std = list(dataset.mean), list(dataset.std)
        self._images, self._labels = torch.from_numpy(split.images), split.labels.tolist()
        self._augment = augment
        self._drawn: tuple[int, int] | None = None
        self._draws: dict[str, list[Any]] = {}

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        seed, epoch, index = key
        if (seed, epoch) != self._drawn:
            count, _, height, width = self._images.shape
            draws = self._augment.draw(seed, epoch, count, height, width)
            self._drawn = seed, epoch
            self._draws = {name: vector.tolist() for name, vector in draws.vectors().items()}
        draw = {name: values[index] for name, values in self._draws.items()}
        return self._transform(self._images[index], draw), self._labels[index]

    def _transform(self, image: torch.Tensor, draw: dict[str, Any]) -> torch.Tensor:
        height, width = image.shape[1:]
        if draw.get("mirrored"):
            image = F.horizontal_flip(image)
        if "top" in draw:
            mode = "reflect" if self._augment.pad == "reflect" else "constant"
            image = F.pad(image, [self._augment.shift_pixels], padding_mode=mode)
            image = F.crop(image, draw["top"], draw["left"], height, width)
        image = F.normalize(F.to_dtype(image, torch.float32, scale=True), self._mean, self._std)
        if "gain" in draw:
            image = image * draw["gain"]
        if "offset" in draw:
            image = image + draw["offset"]
        if "cutout_row" in draw:
            top, bottom = self._augment.cut(draw["cutout_row"], height)
            left, right = self._augment.cut(draw["cutout_column"], width)
            image = F.erase(image, top, left, bottom - top, right - left, image.new_zeros(1))
        return image
