"""Ranks: the processes that train one network together, a device each. Here is the form for one process alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.host.clock import Span


class Ranks:
    """This process among those of a run; what it shares with the others is shared with nobody here.

    Every method is a meeting: all ranks have to call it, in the same order.
    """

    rank = 0
    count = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network in a form whose backward pass leaves the mean of all ranks' gradients in each of them."""
        return model

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, in place, on the tensor's device."""
        return tensor

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Everybody's numbers, by rank; by way of the host."""
        return [list(values)]

    def average_buffers(self, model: nn.Module) -> None:
        """Give the network on every rank the mean of their batch statistics."""

    def slowest(self, span: Span) -> Span:
        """The span of the rank that took longest, with every rank's seconds in `rank_s`."""
        return span

    def leave(self) -> None:
        """Part from the others, when all is done."""


ALONE = Ranks()
