"""A proxy net that chooses: a small network sees each batch first, and the hardest of it alone are trained on.

Source: Keller Jordan's airbench96_faster (github.com/KellerJordan/cifar10-airbench, 2024), after Coleman et al.,
Selection via Proxy (arXiv 1906.11829). A proxy depends on nothing but its batches, so that it makes no difference
whether it has seen all of them before the other network begins, or each of them just before.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision


class Proxy:
    """Trains `model` through `forward` (the model itself, or its compiled form) at every `every`-th step alone.

    Of each batch it keeps the share `kept` with the largest loss. Neither is ever waited for. `examples_by_work` counts
    the images of so many pixels that it saw while these parameters were trained; where there are none it only looked.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: nn.Module,
        make_optimizers: Callable[[], Optimizers],
        precision: Precision,
        loss: Loss,
        kept: float,
        every: int,
    ) -> None:
        self.model, self.forward, self.every = model, forward, every
        self._optimizers, self._precision, self._loss, self._kept = make_optimizers(), precision, loss, kept
        self._steps = 0
        self.examples_by_work: Counter[tuple[int, frozenset[nn.Parameter]]] = Counter()

    def count(self, examples: int) -> int:
        """How many of so many examples are kept."""
        return max(round(self._kept * examples), 1)

    def choose(self, images: Tensor, labels: Tensor, step: float, lr_factor: float = 1.0) -> tuple[Tensor, Tensor]:
        """The hardest of images [B, C, H, W] and labels int64 [B], in their order; `step` as in `Trainer.train_step`.

        Of equal losses the first are taken, so that a seed repeats the choice.
        """
        trains = self._steps % self.every == 0
        self._steps += 1
        losses = self._losses(images, labels, step, lr_factor, trains)
        rows = losses.argsort(descending=True, stable=True)[: self.count(len(labels))].sort().values
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        return images.index_select(0, rows).contiguous(memory_format=memory_format), labels.index_select(0, rows)

    def _losses(self, images: Tensor, labels: Tensor, step: float, lr_factor: float, trains: bool) -> Tensor:
        """The loss of each example, float32 [B], after which the proxy has learnt from them where it `trains`."""
        optimizers = self._optimizers
        optimizers.set_progress(step, lr_factor)
        with torch.set_grad_enabled(trains), self._precision.autocast():
            logits = self.forward(images)
        with torch.set_grad_enabled(trains):
            losses = self._loss.of_each(logits, labels)
        if trains:
            self._precision.backward(self._loss.reduced(losses))
            self._precision.step(optimizers.all)
            optimizers.zero_grad()
        work = min(images.shape[-2:]), optimizers.trained if trains else frozenset()
        self.examples_by_work[work] += len(labels)
        return losses.detach()

    def rehearse(self, images: Tensor, labels: Tensor, step: float, lr_factor: float = 1.0) -> None:
        """Look at a batch in both ways, which compiles and tunes for them; see `forgotten`."""
        for trains in (True, False):
            self._losses(images, labels, step, lr_factor, trains)

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        """What is learnt meanwhile is put back."""
        # With its metadata, without which batch norms take it for one of torch 0.3 and look for counters.
        before = copy.deepcopy(self.model.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(before)
            self.reset()

    def reset(self) -> None:
        """Begin anew with the weights as they are, in the same memory."""
        self._optimizers.reset()
        self._steps = 0
        self.examples_by_work.clear()
