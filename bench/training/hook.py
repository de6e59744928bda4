"""The points of the training loop at which an ingredient can act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.training.examples import Examples


class Hook:
    """The actions of an ingredient in a training; methods that are not overridden cost nothing.

    `position` counts whole batches since the beginning, and is fractional if a batch is cut into several steps. No
    method may wait for the device, because it would delay every step.
    """

    def begin(self) -> None:
        """The run begins with the present weights; not called for a warm-up."""

    def epoch(self, epoch: int, batches: int) -> Iterator[Examples]:
        """The batches of epoch number `epoch` (from 0), instead of the loader's; at most one hook does this."""
        raise NotImplementedError

    def choose(self, batch: Examples, position: float, lr_factor: float) -> Examples:
        """The examples of a step's batch that are trained on; `lr_factor` is the stage's. Never captured."""
        raise NotImplementedError

    def count(self, examples: int) -> int:
        """How many of `examples` examples `choose` keeps."""
        return examples

    def mix(self, batch: Examples, position: float) -> Examples:
        """The batch as the network sees it; the argument is not modified."""
        raise NotImplementedError

    def note(self, numbers: Tensor, losses: Tensor) -> None:
        """Remember the losses [B] of the images with these numbers, int64 [B]."""
        raise NotImplementedError

    def after_step(self, step: int, total_steps: int) -> None:
        """After step number `step`, counted from 1."""
        raise NotImplementedError

    def networks(self) -> Sequence[nn.Module]:
        """The networks that it trains beside the recipe's."""
        return ()

    def flops(self, image: Tensor) -> int:  # noqa: ARG002
        """The FLOPs on this device of networks beside the recipe's, in this training so far.

        `image` is one of full size, [1, C, H, W].
        """
        return 0

    def average_bytes(self) -> int:
        """The bytes of its averages of the weights, from `begin` on."""
        return 0

    def evaluated(self) -> AbstractContextManager[object]:
        """While entered, the model has the weights for evaluation."""
        return nullcontext()

    def rehearse(self, batch: Examples, position: float, lr_factor: float) -> None:
        """Do everything once, in the warm-up, that is compiled or tuned at first use."""

    def forgotten(self) -> AbstractContextManager[object]:
        """While entered, the loop warms up; at the end the hook's state is restored."""
        return nullcontext()

    def state(self) -> dict[str, Any]:
        """What it remembers from one epoch to the next, as tensors and plain values."""
        return {}

    def restore(self, saved: dict[str, Any]) -> None:
        """Remember what `state` returned in an interrupted run, in the same memory; called after `begin`."""

    def take_over(self, before: Self) -> None:
        """Start over in the memory of `before`, the hook of an earlier training, which captured steps use."""


def overridden(hooks: Iterable[Hook], name: str) -> Sequence[Callable[..., Any]]:
    """The methods called `name` of the hooks that override it."""
    return [getattr(hook, name) for hook in hooks if getattr(type(hook), name) is not getattr(Hook, name)]
