"""Optimisers by role: what trains the filters may differ from what trains the head and the biases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.training.schedules import Schedule

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
    learning rate without weight decay. Source: Jordan's airbench94_muon.
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
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "newton_schulz_steps": newton_schulz_steps,
            "unit_filters": unit_filters,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        for group in self.param_groups:
            if group["lr"] == 0:
                continue  # frozen, and so not rescaled either
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_together(parameters, group)

    def _step_together(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        directions = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            velocity = state["momentum"].mul_(momentum).add_(parameter.grad)
            direction = velocity.mul(momentum).add_(parameter.grad) if group["nesterov"] else velocity
            directions.append(direction.flatten(1))
        updates = orthogonalize(torch.stack(directions), group["newton_schulz_steps"])
        for parameter, update in zip(parameters, updates, strict=True):
            if group["unit_filters"]:
                parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.to(parameter.dtype).view_as(parameter), alpha=-group["lr"])


_MAKERS: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "muon": Muon,
    "adamw": torch.optim.AdamW,
}


def roles(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Every trainable parameter, once, by its role: filters, head, biases, norm_weights, whiten_bias."""
    found: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if kind == "bias":
                role = "whiten_bias" if name == "whiten" else "biases"
            elif parameter.ndim == 1:
                role = "norm_weights"
            else:
                role = "filters" if parameter.ndim > 2 else "head"
            found[role].append(parameter)
    return dict(found)


class Optimizers:
    """One optimiser for each kind that the roles ask for, driven by one schedule.

    `common` holds `name`, `lr` and the optimiser's own options; `groups` overrides them by role, and may
    add `epochs`: the schedule is squeezed into them, and the role stays as it is from then on. With
    `drop_frozen` its gradients are no longer computed either, which a compiled model would answer with
    another compilation.

    Raises `UsageError` for a role that the model lacks and for Muon on parameters that are no matrices.
    """

    def __init__(
        self,
        model: nn.Module,
        common: Mapping[str, Any],
        groups: Mapping[str, Mapping[str, Any]],
        schedule: Schedule,
        total_steps: int,
        steps_per_epoch: int,
        drop_frozen: bool = True,
    ) -> None:
        by_role = roles(model)
        for role in groups:
            if role not in by_role:
                raise UsageError(f"optimizer.groups.{role}: this model has only {', '.join(sorted(by_role))}")
        by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for role, parameters in by_role.items():
            override = dict(groups.get(role, {}))
            # Another optimiser's options mean nothing to this one, so a role that changes it starts afresh.
            inherits = override.get("name", common["name"]) == common["name"]
            settings = {**common, **override} if inherits else override
            name, epochs = settings.pop("name"), settings.pop("epochs", None)
            if name == "muon" and role not in ("filters", "head"):
                raise UsageError(f"optimizer.groups.{role}: muon trains matrices; give {role} name: sgd or adamw")
            steps = total_steps if epochs is None else min(round(epochs * steps_per_epoch), total_steps)
            by_name[name].append({"params": parameters, **settings, "base_lr": settings["lr"], "steps": steps})
        self.all = [_MAKERS[name](found) for name, found in by_name.items()]
        self._groups = [group for optimizer in self.all for group in optimizer.param_groups]
        self._schedule = schedule
        self._drop_frozen = drop_frozen

    def set_progress(self, step: int) -> None:
        """Set each group's learning rate and momentum for step number `step`, counted from 0."""
        for group in self._groups:
            if step >= group["steps"]:
                self._freeze(group)
                continue
            setting = self._schedule(step / group["steps"])
            group["lr"] = group["base_lr"] * setting.lr_factor
            if setting.momentum is not None:
                if "betas" in group:
                    group["betas"] = (setting.momentum, group["betas"][1])
                else:
                    group["momentum"] = setting.momentum

    def _freeze(self, group: dict[str, Any]) -> None:
        group["lr"] = 0.0
        if self._drop_frozen:
            for parameter in group["params"]:
                parameter.requires_grad_(False)

    def zero_grad(self) -> None:
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    @property
    def lr(self) -> float:
        """The current rate of the first group."""
        return float(self._groups[0]["lr"])
