"""The pool of earlier fakes that steadies a critic."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.training.state import State


class FakePool:
    """Up to `size` earlier fakes, of which a critic sees one in place of every second new one.

    Source: Shrivastava et al. (arXiv 1612.07828), section 2.3, as CycleGAN has it: a new fake is kept and shown while
    the pool has room; later it is shown with probability 1/2, and otherwise takes the place of a random one of the
    pool, which is shown. Choices are drawn on the CPU from `generator`, so that no GPU is waited for.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self._size, self._generator = size, generator
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._kept)

    def shown(self, fakes: Tensor) -> Tensor:
        """What the critic sees for these new fakes [B, C, H, W]: as many, detached, and in their memory format."""
        shown = torch.empty_like(fakes)
        for place, fake in zip(shown, fakes.detach(), strict=True):
            place.copy_(self._shown(fake))
        return shown

    def _shown(self, fake: Tensor) -> Tensor:
        if len(self._kept) < self._size:
            self._kept.append(fake.clone())
            return fake
        if not self._size or self._draw(2):
            return fake
        place = self._draw(self._size)
        earlier, self._kept[place] = self._kept[place], fake.clone()
        return earlier

    def _draw(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self._generator))

    def state(self) -> State:
        """The fakes, and the generator of the choices."""
        return {"kept": self._kept, "generator": self._generator.get_state()}

    def restore(self, saved: State) -> None:
        self._kept = list(saved["kept"])
        self._generator.set_state(saved["generator"])
