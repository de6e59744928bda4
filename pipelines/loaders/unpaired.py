"""The loader of two domains without pairs, for translation between them."""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from typing import Any

import torch

from bench.pipelines.augment import Draws, seeded_generator
from bench.pipelines.errors import DataCorrupt, WrongOption
from bench.pipelines.loader import Batch
from bench.pipelines.loaders.on_device import OnDeviceLoader
from bench.pipelines.render import Canvas, Renderer
from bench.text.units import counted

DOMAINS = ("A", "B")
# A critic could learn one image by heart.
LEAST_IMAGES = 2


class UnpairedLoader(OnDeviceLoader):
    """Images of domain A and, in place of labels, as many of domain B: normalised [B, C, H, W], on the device.

    The domains are the data's two classes. An epoch of training is as long as the longer domain; images of the other
    come again, all of them equally often but for one. Chance decides which are shown together. In a test, the k-th
    images are together, as many as the shorter domain has.

    Raises WrongOption for data without two classes, DataCorrupt for a domain of fewer than two training images or
    without a test image.
    """

    cuts_margin = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_domains()
        images = torch.from_numpy(self.images.images).to(self.placement.device).permute(0, 2, 3, 1)
        self._canvas = Canvas(images, self.augment, self.dataset.margin_pixels)
        self._renderer = Renderer(self.dataset, self.augment, self.placement)

    @cached_property
    def domains(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of the images of A and of B: int64 [images] each."""
        labels = torch.from_numpy(self.images.labels)
        a, b = (torch.nonzero(labels == domain).flatten() for domain in range(len(DOMAINS)))
        return a, b

    def _check_domains(self) -> None:
        data, split, least = self.dataset, "training" if self.training else "test", LEAST_IMAGES if self.training else 1
        if data.classes != len(DOMAINS):
            raise WrongOption(f"loader: unpaired shows two domains, and {data.name} has {data.classes} kinds of images")
        for name, images in zip(DOMAINS, self.domains, strict=True):
            if len(images) < least:
                raise DataCorrupt(
                    f"{data.name}: domain {name} has {counted(len(images), f'{split} image')}, and needs {least} or "
                    "more. Give it more, or raise the count that limits them."
                )

    @property
    def examples(self) -> int:
        return (max if self.training else min)(map(len, self.domains))

    # An order has two rows, of A's and of B's images: int64 [2, images].
    def _own_part(self, shuffled: torch.Tensor) -> torch.Tensor:
        steps, shard = self.steps_per_epoch, self.shard
        whole_batches = shuffled[:, : steps * shard.count * self.batch_size]
        return whole_batches.view(2, steps, shard.count, self.batch_size)[:, :, shard.index].flatten(1)

    def _test_order(self) -> torch.Tensor:
        first, end = self._test_range()
        return torch.stack([images[first:end] for images in self.domains])

    def _shuffle(self, epoch: int) -> torch.Tensor:
        return torch.stack([self._shuffle_domain(epoch, domain) for domain in range(len(DOMAINS))])

    def _shuffle_domain(self, epoch: int, domain: int) -> torch.Tensor:
        images, generator = self.domains[domain], seeded_generator(self.seed, epoch, "order", domain)
        rounds = -(-self.examples // len(images))
        orders = [torch.randperm(len(images), generator=generator) for _ in range(rounds)]
        return images[torch.cat(orders)[: self.examples]]

    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:
        for rows in torch.split(order, self.batch_size, dim=1):
            a, b = (self._renderer.render(self._canvas, images, draws[images]) for images in rows)
            yield a, b

    def _release(self) -> None:
        del self._canvas
