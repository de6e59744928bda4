"""Ranks: the processes that train one network together, one for each device. This is the form for a single process."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.host.clock import Span


class Ranks:
    """This process among the ranks of a run; here it is the only one.

    Every method is collective: all ranks must call it, in the same order.
    """

    rank = 0
    count = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network in a form whose backward pass averages the gradients over all ranks."""
        return model

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, in place, on the tensor's device."""
        return tensor

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """The numbers of all ranks, exchanged through the host."""
        return [list(values)]

    def average_buffers(self, model: nn.Module) -> None:
        """Give the network on every rank the mean of their batch statistics."""

    def slowest(self, span: Span) -> Span:
        """The span of the slowest rank, with every rank's seconds in `rank_s`."""
        return span

    def leave(self) -> None:
        """Leave the group at the end."""


ALONE = Ranks()
