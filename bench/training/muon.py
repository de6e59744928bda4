"""Muon: momentum SGD whose updates of matrices are orthogonalised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from bench.training.orthogonalization import NEWTON_SCHULZ, Form, orthogonalize_all


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
    not `decoupled` is added to the gradient and orthogonalised with it. `pad` is as in `orthogonalize_all`, and
    `newton_schulz_form` is the `form` of `orthogonalize`. Source: Jordan's airbench94_muon.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 3,
        newton_schulz_coefficients: tuple[float, float, float] = NEWTON_SCHULZ,
        newton_schulz_form: Form | None = None,
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
            "newton_schulz_form": newton_schulz_form,
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
            matrices,
            group["newton_schulz_steps"],
            self._pad,
            group["newton_schulz_coefficients"],
            group["newton_schulz_form"],
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
