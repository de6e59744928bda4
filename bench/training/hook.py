"""The places of the training loop at which an ingredient can do something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from torch import Tensor

    from bench.training.examples import Examples


class Hook:
    """What an ingredient does in a training; a method that it does not override costs the loop nothing.

    `position` counts whole batches since the training's beginning, and is a fraction where a batch is cut into several
    steps. No method may wait for the device, or every step would.
    """

    def begin(self) -> None:
        """The run begins, with the weights as they are now; not called for a warm-up."""

    def epoch(self, epoch: int, batches: int) -> Iterator[Examples]:
        """The batches of epoch number `epoch`, counted from 0, in the loader's place; one hook at most does this."""
        raise NotImplementedError

    def choose(self, batch: Examples, position: float, lr_factor: float) -> Examples:
        """The examples of a step's batch that are trained on; `lr_factor` is the stage's. Never captured."""
        raise NotImplementedError

    def count(self, examples: int) -> int:
        """How many of so many examples `choose` keeps."""
        return examples

    def mix(self, batch: Examples, position: float) -> Examples:
        """The batch in the form in which the network sees it; what is given stays as it is."""
        raise NotImplementedError

    def note(self, numbers: Tensor, losses: Tensor) -> None:
        """Remember the losses [B] of the images with these numbers, int64 [B]."""
        raise NotImplementedError

    def after_step(self, step: int, total_steps: int) -> None:
        """After step number `step`, counted from 1."""
        raise NotImplementedError

    def evaluated(self) -> AbstractContextManager[object]:
        """While entered, the model has the weights that are to be evaluated."""
        return nullcontext()

    def rehearse(self, batch: Examples, position: float, lr_factor: float) -> None:
        """Do once, in the warm-up, everything that would be compiled or tuned for at its first use."""

    def forgotten(self) -> AbstractContextManager[object]:
        """While entered, the loop warms up; at the end what was learnt meanwhile is put back."""
        return nullcontext()

    def take_over(self, before: Self) -> None:
        """Begin anew in the memory of `before`, the hook of an earlier training, which captured steps know."""


def overridden(hooks: Iterable[Hook], name: str) -> Sequence[Callable[..., Any]]:
    """The methods called `name` of those hooks that have one of their own."""
    return [getattr(hook, name) for hook in hooks if getattr(type(hook), name) is not getattr(Hook, name)]
