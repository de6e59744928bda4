"""The loss around trained weights: a slice of two random directions, each of whose filters is as long as the network's.

Source: Li et al., Visualizing the Loss Landscape of Neural Nets (arXiv 1712.09913): filter normalisation makes slices
of different networks comparable, because a network computes the same when a filter is scaled and the next layer undoes
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Direction = dict[str, Tensor]


def random_direction(model: nn.Module, generator: torch.Generator) -> Direction:
    """A normal direction in the space of the weights, each filter of it of the length of the model's.

    Biases and the parameters of norms stay where they are.
    """
    return {
        name: _as_long(
            torch.randn(parameter.shape, generator=generator).to(parameter.device), parameter.detach().float()
        )
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1
    }


def loss_slice(
    model: nn.Module, directions: tuple[Direction, Direction], steps: Sequence[float], loss: Callable[[], float]
) -> list[list[float]]:
    """`loss` at the weights plus a · first + b · second direction: a row for each a of `steps`, a column for each b.

    The weights are put back.
    """
    first, second = directions
    with _restored(model, first):
        return [[_moved(model, first, a, second, b, loss) for b in steps] for a in steps]


def roughness(surface: Sequence[Sequence[float]]) -> float | None:
    """How far a slice is from its best paraboloid; 0 is a smooth bowl. None where a loss is not finite.

    The paraboloid is a least-squares fit with all terms up to the second order, and the roughness is the root mean
    square of its residuals. Both are of the losses' natural logarithms, because a loss grows by orders of magnitude
    away from the middle. 0.1 is some 10 % of the loss.
    Slices of different networks may be compared, as each filter of a direction is as long as the network's own.
    """
    values = _logarithms(surface)
    if values is None:
        return None
    along = torch.linspace(-1, 1, len(surface), dtype=torch.float64)
    a, b = (grid.flatten() for grid in torch.meshgrid(along, along, indexing="ij"))
    terms = torch.stack([torch.ones_like(a), a, b, a * a, a * b, b * b], dim=1)
    fitted = terms @ torch.linalg.lstsq(terms, values[:, None]).solution
    rough: float = (values - fitted[:, 0]).square().mean().sqrt().item()
    return rough


def relief(surface: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation of the losses' natural logarithms over a slice: how steep it is; None as above."""
    values = _logarithms(surface)
    return None if values is None else values.std().item()


def _logarithms(surface: Sequence[Sequence[float]]) -> Tensor | None:
    values = torch.tensor(surface, dtype=torch.float64).flatten()
    return values.log() if values.isfinite().all() and (values > 0).all() else None


def _as_long(noise: Tensor, weight: Tensor) -> Tensor:
    """`noise` with the norm of `weight` in each filter, which is a row of its first axis."""
    over = tuple(range(1, weight.ndim))
    norm, noise_norm = (torch.linalg.vector_norm(x, dim=over, keepdim=True) for x in (weight, noise))
    scaled: Tensor = noise * norm / noise_norm.clamp_min(1e-12)
    return scaled


@torch.no_grad()
def _moved(
    model: nn.Module, first: Direction, a: float, second: Direction, b: float, loss: Callable[[], float]
) -> float:
    parameters = dict(model.named_parameters())
    for name in first:
        parameters[name].add_((a * first[name] + b * second[name]).to(parameters[name].dtype))
    try:
        return loss()
    finally:
        for name in first:
            parameters[name].sub_((a * first[name] + b * second[name]).to(parameters[name].dtype))


@contextmanager
def _restored(model: nn.Module, names: Direction) -> Iterator[None]:
    """What rounding leaves of going there and back is undone at the end."""
    parameters = dict(model.named_parameters())
    before = {name: parameters[name].detach().clone() for name in names}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, values in before.items():
                parameters[name].copy_(values)
