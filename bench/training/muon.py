"""Muon: momentum SGD whose updates of matrices are orthogonalised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# A quintic that takes singular values near 1 in few steps; Jordan, https://kellerjordan.github.io/posts/muon/.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: Tensor, steps: int) -> Tensor:
    """The nearest semi-orthogonal matrices to [batch, rows, columns], roughly: singular values in about [0.7, 1.2].

    Newton-Schulz iteration in bfloat16, as in Muon (Jordan et al. 2024).
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x  # type: ignore[no-any-return]


class Muon(torch.optim.Optimizer):
    """Momentum SGD whose update of each filter bank [C_out, …] is orthogonalised as a C_out × rest matrix.

    With `unit_filters` the weights are rescaled to norm √C_out at every step, which fixes the effective
    learning rate without weight decay. A decay that is not `decoupled` is added to the gradient, and so
    orthogonalised with it. Source: Jordan's airbench94_muon.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 3,
        unit_filters: bool = True,
        weight_decay: float = 0.0,
        decoupled: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "newton_schulz_steps": newton_schulz_steps,
            "unit_filters": unit_filters,
            "weight_decay": weight_decay,
            "decoupled": decoupled,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        for group in self.param_groups:
            if group.get("stopped"):
                continue  # rescaling would move it still
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_together(parameters, group)

    def _step_together(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum, decay = group["momentum"], group["weight_decay"]
        directions = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            gradient: Tensor = parameter.grad  # type: ignore[assignment]
            if decay and not group["decoupled"]:
                gradient = gradient.add(parameter, alpha=decay)
            velocity = state["momentum"].mul_(momentum).add_(gradient)
            direction = velocity.mul(momentum).add_(gradient) if group["nesterov"] else velocity
            directions.append(direction.flatten(1))
        updates = orthogonalize(torch.stack(directions), group["newton_schulz_steps"])
        for parameter, update in zip(parameters, updates, strict=True):
            if group["unit_filters"]:
                parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
            if decay and group["decoupled"]:
                parameter.mul_(1 - group["lr"] * decay)
            parameter.add_(update.to(parameter.dtype).view_as(parameter), alpha=-group["lr"])
