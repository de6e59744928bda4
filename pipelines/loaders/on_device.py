"""What loaders that keep all examples on the device have in common: how an epoch's random numbers get there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from functools import cached_property
from typing import Any, NamedTuple

import torch

from bench.pipelines.augment import Draws, sent
from bench.pipelines.loader import Batch, Loader


class Ahead(NamedTuple):
    """What is random in an epoch, drawn before it: all images shuffled, this shard's part of them, the augmentation."""

    epoch: int
    shuffled: torch.Tensor
    order: torch.Tensor
    draws: Draws


class OnDeviceLoader(Loader):
    """Nothing waits for the device within an epoch: order and augmentation are copied to it once, at the beginning.

    While a GPU still works on the last batches of an epoch, the host draws the next into pinned memory, from which they
    are copied at once. The first epoch draws its own, so that a run pays for all that is random in it.
    """

    # Whether each epoch of a training has an order of its own; one that all share stays on the device.
    shuffles = True
    _ahead: Ahead | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looks_ahead = self.placement.device.type == "cuda"

    @abstractmethod
    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:
        """The batches of the images `order`. `draws` are those of every image of the split; both are on the device."""

    def _shuffle(self, epoch: int) -> torch.Tensor:
        """What `shuffled` gives, drawn when it is called."""
        return super().shuffled(epoch)

    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        # `order` by its own name: no other may hold the pinned memory that the next epoch's takes.
        order, draws = sent(order, self.placement.device), self.draws(epoch).to(self.placement.device)
        yield from self._delivered(order, draws)
        if self._draws_ahead:
            self._draw_ahead(epoch + 1)

    def warm_up(self) -> None:
        super().warm_up()
        self._ahead = None  # its pinned memory stays torch's, for the run's own

    def reseed(self, seed: int) -> None:
        super().reseed(seed)
        self._ahead = None

    def close(self) -> None:
        super().close()
        self._ahead = None

    def order(self, epoch: int) -> torch.Tensor:
        if not (self.training and self.shuffles):
            return self._only_order
        return self._drawn_for(epoch).order if self._draws_ahead else super().order(epoch)

    def shuffled(self, epoch: int) -> torch.Tensor:
        return self._drawn_for(epoch).shuffled if self._draws_ahead else self._shuffle(epoch)

    def draws(self, epoch: int) -> Draws:
        return self._drawn_for(epoch).draws if self._draws_ahead else super().draws(epoch)

    @property
    def _draws_ahead(self) -> bool:
        return self.training and self.shuffles and self._looks_ahead

    @cached_property
    def _only_order(self) -> torch.Tensor:
        return super().order(0).to(self.placement.device)

    def _drawn_for(self, epoch: int) -> Ahead:
        if self._ahead is None or self._ahead.epoch != epoch:
            self._draw_ahead(epoch)
        assert self._ahead is not None
        return self._ahead

    def _draw_ahead(self, epoch: int) -> None:
        self._ahead = None  # first, because its pinned memory serves again; pinning more takes long
        shuffled, draws = self._shuffle(epoch), super().draws(epoch)
        if self.placement.device.type == "cuda":
            shuffled, draws = shuffled.pin_memory(), draws.pin_memory()
        # A view of it, which is pinned already, unless there are several shards or two rows.
        order = self._own_part(shuffled).contiguous()
        if self.placement.device.type == "cuda":
            order = order.pin_memory()
        self._ahead = Ahead(epoch, shuffled, order, draws)
