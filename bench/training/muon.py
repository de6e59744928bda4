"""Muon: momentum SGD whose updates of matrices are orthogonalised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# A quintic that moves singular values near 1 in few steps; Jordan, https://kellerjordan.github.io/posts/muon/.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
KERNELS_A_STEP = 3
# The FLOPs a GPU does during the launch of a kernel: 3 µs at some 300 TFLOP/s.
LAUNCH_FLOPS = 10**9


def orthogonalize(matrices: Tensor, steps: int, coefficients: tuple[float, float, float] = NEWTON_SCHULZ) -> Tensor:
    """The nearest semi-orthogonal matrices to [batch, rows, columns], roughly: singular values in about [0.7, 1.2].

    Newton-Schulz iteration in bfloat16, as in Muon (Jordan et al. 2024), in three kernels a step.
    """
    a, b, c = coefficients
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


def orthogonalize_all(
    matrices: Sequence[Tensor],
    steps: int,
    pad: bool,
    coefficients: tuple[float, float, float] = NEWTON_SCHULZ,
) -> list[Tensor]:
    """`orthogonalize` of matrices of any shapes, each [rows, columns], in order; equal shapes are one batch.

    With `pad`, matrices with equal shorter sides share a batch too, filled up with columns of zeros, which change no
    product. That helps if multiplying zeros takes less time than launching the kernels of another batch: in the
    speedrun network, the four larger matrices form one batch with 22 % more FLOPs, 0.45 GFLOP for three kernels.
    """
    flat = [matrix.mT if matrix.size(0) > matrix.size(1) else matrix for matrix in matrices]
    found: dict[int, Tensor] = {}
    for indices in batches([(matrix.size(0), matrix.size(1)) for matrix in flat], pad):
        longest = max(flat[index].size(1) for index in indices)
        padded = [F.pad(m, (0, longest - m.size(1))) if m.size(1) < longest else m for m in (flat[i] for i in indices)]
        for index, update in zip(indices, orthogonalize(torch.stack(padded), steps, coefficients), strict=True):
            update = update[:, : flat[index].size(1)]
            found[index] = update.mT if matrices[index].size(0) > matrices[index].size(1) else update
    return [found[index] for index in range(len(matrices))]


def batches(shapes: Sequence[tuple[int, int]], pad: bool) -> list[list[int]]:
    """The positions of the matrices of these (rows, columns) that form each batch; `pad` as in `orthogonalize_all`."""
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        by_shape[shape].append(index)
    if not pad:
        return list(by_shape.values())
    made: list[tuple[int, int, list[int]]] = []
    for (rows, columns), indices in sorted(by_shape.items(), reverse=True):
        longest_rows, longest, batch = made[-1] if made else (0, 0, [])
        # Two of the three products of a step are rows × rows × columns.
        zeros_flops = len(indices) * 2 * 2 * rows**2 * (longest - columns)
        if rows == longest_rows and zeros_flops <= KERNELS_A_STEP * LAUNCH_FLOPS:
            batch.extend(indices)
        else:
            made.append((rows, columns, indices))
    return [indices for _, _, indices in made]


def rescaling_steps(total_steps: int, first: int, last: int) -> frozenset[int]:
    """The steps (from 0) of `total_steps` that rescale the filters, including the first.

    The distance to the next is ⌊first + (last − first)·progress⌋ steps at its progress; Hiverge's 2 + ⌊15·progress⌋ is
    2 and 17. As the rate falls, norms change less and fewer rescalings are needed.
    """
    found, before = [], -first
    for step in range(total_steps):
        if step - before >= int(first + (last - first) * step / total_steps):
            found.append(step)
            before = step
    return frozenset(found)


class Muon(torch.optim.Optimizer):
    """Momentum SGD whose update of each filter bank [C_out, …] is orthogonalised as a C_out × rest matrix.

    With `unit_filters` the weights are rescaled to norm √C_out at every step, which fixes the effective learning rate
    without weight decay; a group whose `rescales` is False, or a tensor equal to 0, is not rescaled. A decay that is
    not `decoupled` is added to the gradient and orthogonalised with it. `pad` is as in `orthogonalize_all`. Source:
    Jordan's airbench94_muon.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 3,
        newton_schulz_coefficients: tuple[float, float, float] = NEWTON_SCHULZ,
        unit_filters: bool = True,
        weight_decay: float = 0.0,
        decoupled: bool = True,
        pad: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "newton_schulz_steps": newton_schulz_steps,
            "newton_schulz_coefficients": newton_schulz_coefficients,
            "unit_filters": unit_filters,
            "weight_decay": weight_decay,
            "decoupled": decoupled,
        }
        super().__init__(params, defaults)
        self._pad = pad

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        for group in self.param_groups:
            if group.get("stopped"):
                continue  # rescaling would still change it
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            if trained:
                self._step_together(trained, group)

    def _step_together(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """A step of all parameters by operations on lists, each of which is one kernel on a GPU."""
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        gradients: Any = [parameter.grad for parameter in parameters]
        if decay and not group["decoupled"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=decay)
        velocities = [self._velocity(parameter) for parameter in parameters]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients)
        directions = velocities
        if group["nesterov"]:
            directions = list(torch._foreach_mul(velocities, momentum))
            torch._foreach_add_(directions, gradients)
        matrices = [_lines(direction).flatten(1) for direction in directions]
        updates = orthogonalize_all(
            matrices, group["newton_schulz_steps"], self._pad, group["newton_schulz_coefficients"]
        )
        if group["unit_filters"] and (due := group.get("rescales", True)) is not False:
            scales = list(torch._foreach_reciprocal(torch._foreach_norm(parameters)))
            torch._foreach_mul_(scales, [len(parameter) ** 0.5 for parameter in parameters])
            if isinstance(due, Tensor):  # 1 or 0, which a captured step reads each time
                scales = [torch.where(due > 0, scale, 1.0) for scale in scales]
            torch._foreach_mul_(parameters, scales)
        decays = decay and group["decoupled"]
        if decays and not isinstance(lr, Tensor):
            torch._foreach_mul_(parameters, 1 - lr * decay)
        steps = [torch.empty_like(parameter) for parameter in parameters]
        torch._foreach_copy_([_lines(step).view(len(step), -1) for step in steps], updates)
        if isinstance(lr, Tensor):  # as an `alpha`, the host would read it
            if decays:  # the same, without a factor that rounds to 1 in half precision
                torch._foreach_add_(steps, parameters, alpha=decay)
            # With another number format, it would take a kernel for each tensor.
            torch._foreach_mul_(steps, -lr.to(steps[0].dtype))
            torch._foreach_add_(parameters, steps)
        else:
            torch._foreach_add_(parameters, steps, alpha=-lr)

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]  # type: ignore[no-any-return]


def _lines(filters: Tensor) -> Tensor:
    """Filters with their axes in memory order, so that viewing them as a matrix needs no copy. The order of columns
    does not affect orthogonalisation."""
    channels_last = filters.ndim == 4 and filters.is_contiguous(memory_format=torch.channels_last)
    return filters.permute(0, 2, 3, 1) if channels_last else filters
