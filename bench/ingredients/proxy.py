"""A small proxy network sees each batch first and selects the hardest examples, on which the other network trains.

Source: Keller Jordan's airbench96_faster (github.com/KellerJordan/cifar10-airbench, 2024), after Coleman et al.,
Selection via Proxy (arXiv 1906.11829). A proxy depends only on its batches, so it makes no difference whether it has
seen all of them before the other network begins, or each of them just before.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from bench.documents.numbers import Count
from bench.documents.strict import Strict
from bench.ingredients.ingredient import Ingredient, RecipeFacts, TrainingParts
from bench.training.examples import Examples
from bench.training.hook import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.training.loss import Loss
    from bench.training.optimizers import Optimizers
    from bench.training.precision import Precision


# Every twentieth part of so many examples is whole.
LEAST_EXAMPLES = 20


class ProxyConfig(Strict, Ingredient):
    """A small network that sees each batch first; only the share `kept` with the largest loss is trained on.

    It learns only in every `every`-th step, with the recipe's optimiser and schedule. `model` has the options in which
    it differs from the recipe's network.
    """

    kept: Annotated[float, Field(gt=0, lt=1)]
    every: Count = 1
    model: dict[str, Any]

    suits_text: ClassVar[bool] = False
    why_no_graph: ClassVar[str | None] = "in some steps alone its proxy learns, and in all it is looked at eagerly"

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if "drop_easy" in recipe.ingredients:
            raise ValueError(
                f"{key}: it chooses images of each batch, and drop_easy those of each epoch; leave one out"
            )
        if recipe.device_count > 1:
            raise ValueError(f"{key}: each device would train one of its own; leave out devices or {key}")
        parts = recipe.parts_of_a_step
        for size_key, size in recipe.step_sizes.items():
            kept = round(self.kept * size)
            if not kept or kept % parts:
                raise ValueError(
                    f"{key}.kept: {self.kept:g} of a {size_key} of {size} is {kept}, of which "
                    f"{parts} equal parts cannot be made"
                )

    @property
    def period(self) -> int:
        return self.every

    @property
    def least_examples(self) -> int:
        return LEAST_EXAMPLES

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        earlier = next((hook for hook in parts.before if isinstance(hook, Proxy)), None)
        network = parts.make_proxy((earlier.model, earlier.forward) if earlier else None)
        yield Proxy(*network, parts.precision, parts.loss, self.kept, self.every)


class Proxy(Hook):
    """Trains `model` through `forward` (the model itself, or its compiled form) in every `every`-th step.

    It keeps the share `kept` of each batch with the largest loss, without waiting for the device. `examples_by_work`
    counts the images it saw by pixels and set of trained parameters, which is empty if it only selected.
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
        return max(round(self._kept * examples), 1)

    def choose(self, batch: Examples, position: float, lr_factor: float = 1.0) -> Examples:
        """The hardest of the batch, in their order. Among equal losses the first are taken, so that a seed reproduces
        them."""
        import torch

        trains = self._steps % self.every == 0
        self._steps += 1
        losses = self._losses(batch, position, lr_factor, trains)
        rows = losses.argsort(descending=True, stable=True)[: self.count(len(batch))].sort().values
        channels_last = batch.images.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        images = batch.images.index_select(0, rows).contiguous(memory_format=memory_format)
        numbers = None if batch.numbers is None else batch.numbers.index_select(0, rows)
        return replace(batch, images=images, labels=batch.labels.index_select(0, rows), numbers=numbers)

    def _losses(self, batch: Examples, position: float, lr_factor: float, trains: bool) -> Tensor:
        """The loss of each example, float32 [B]; with `trains` the proxy also learns from them."""
        import torch

        optimizers = self._optimizers
        optimizers.set_progress(position, lr_factor)
        with torch.set_grad_enabled(trains), self._precision.autocast():
            logits = self.forward(batch.images)
        with torch.set_grad_enabled(trains):
            losses = self._loss.of_each(logits, batch.labels)
        if trains:
            self._precision.backward(self._loss.reduced(losses))
            self._precision.step(optimizers.all)
            optimizers.zero_grad()
        work = min(batch.images.shape[-2:]), optimizers.trained if trains else frozenset()
        self.examples_by_work[work] += len(batch)
        return losses.detach()

    def rehearse(self, batch: Examples, position: float, lr_factor: float = 1.0) -> None:
        for trains in (True, False):
            self._losses(batch, position, lr_factor, trains)

    def networks(self) -> Sequence[nn.Module]:
        return [self.model]

    def flops(self, image: Tensor) -> int:
        from bench.training.flops import forward_flops, training_flops
        from bench.training.sizes import resized

        total = 0
        for (pixels, trained), examples in self.examples_by_work.items():
            small = resized(image, pixels)
            of_one = training_flops(self.model, small, trained) if trained else forward_flops(self.model, small)
            total += examples * of_one
        return total

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        # With its metadata, without which batch norms take it for a state of torch 0.3 and expect counters.
        before = copy.deepcopy(self.model.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(before)
            self.reset()

    def state(self) -> dict[str, Any]:
        from bench.training.state import of_network, of_work

        return {
            "network": of_network(self.model),
            "optimizers": self._optimizers.state(),
            "steps": self._steps,
            "work": of_work(self.examples_by_work, self.model),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        from bench.training.state import put_network, work_of

        put_network(self.model, saved["network"])
        self._optimizers.restore(saved["optimizers"])
        self._steps = saved["steps"]
        self.examples_by_work = work_of(saved["work"], self.model)

    def reset(self) -> None:
        """Reset with the present weights, in the same memory."""
        self._optimizers.reset()
        self._steps = 0
        self.examples_by_work.clear()
