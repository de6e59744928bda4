"""What the loaders that keep all their images on the device have in common: how an epoch's draws get there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import Any

import torch

from bench.pipelines.augment import Draws, sent
from bench.pipelines.loader import Batch, Loader


class OnDeviceLoader(Loader):
    """Nothing waits for the device within an epoch: draws are copied to it once, at the beginning.

    While a GPU still works on the last batches of an epoch, the host draws the next into pinned memory, from which they
    are copied at once. The first epoch draws its own, so that a run pays for all that is random in it.
    """

    _ahead: tuple[int, torch.Tensor, Draws] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looks_ahead = self.placement.device.type == "cuda"

    @abstractmethod
    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:
        """The batches of an epoch. `order` and `draws`, which are those of every image, are on the device."""

    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        device = self.placement.device
        yield from self._delivered(sent(order, device), self.draws(epoch).to(device))
        if self.training and self._looks_ahead:
            self._draw_ahead(epoch + 1)

    def warm_up(self) -> None:
        super().warm_up()
        self._ahead = None  # its pinned memory stays torch's, for the run's own draws

    def reseed(self, seed: int) -> None:
        super().reseed(seed)
        self._ahead = None

    def shuffled(self, epoch: int) -> torch.Tensor:
        return self._drawn_for(epoch)[1] if self.training and self._looks_ahead else self._shuffle(epoch)

    def draws(self, epoch: int) -> Draws:
        return self._drawn_for(epoch)[2] if self.training and self._looks_ahead else super().draws(epoch)

    def _shuffle(self, epoch: int) -> torch.Tensor:
        return super().shuffled(epoch)

    def _drawn_for(self, epoch: int) -> tuple[int, torch.Tensor, Draws]:
        if self._ahead is None or self._ahead[0] != epoch:
            self._draw_ahead(epoch)
        assert self._ahead is not None
        return self._ahead

    def _draw_ahead(self, epoch: int) -> None:
        self._ahead = None  # first, because its pinned memory serves again; pinning more takes long
        order, draws = self._shuffle(epoch), super().draws(epoch)
        if self.placement.device.type == "cuda":
            order, draws = order.pin_memory(), draws.pin_memory()
        self._ahead = epoch, order, draws
