"""Optimisers by role: what trains the filters may differ from what trains the head and the biases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from bench.errors import UsageError
from bench.training.muon import Muon
from bench.training.schedules import Schedule


class SGDW(torch.optim.SGD):
    """SGD whose weight decay is decoupled: weights shrink by lr · weight_decay, and no momentum sees it.

    Source: Loshchilov and Hutter, arXiv 1711.05101, with AdamW's convention that the rate includes the schedule.
    """

    def __init__(self, params: list[dict[str, Any]]) -> None:
        decays = [group.pop("weight_decay", 0.0) for group in params]
        super().__init__([group | {"decay": decay} for group, decay in zip(params, decays, strict=True)])

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            if trained and group["decay"]:
                torch._foreach_mul_(trained, 1 - group["lr"] * group["decay"])
        super().step()


def _make(name: str, decoupled: bool | None, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """`decoupled` None is each one's own habit: decay is part of SGD's gradient, and of no other's."""
    match name:
        case "sgd":
            return SGDW(groups) if decoupled else torch.optim.SGD(groups)
        case "adamw":
            return torch.optim.Adam(groups) if decoupled is False else torch.optim.AdamW(groups)
        case "muon":
            return Muon(groups, decoupled=decoupled is not False)
    raise UsageError(f"optimizer: there is no {name!r}")


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

    `common` holds `name`, `lr` and the optimiser's own options; `groups` overrides them by role, and may add
    `epochs`: the schedule is squeezed into them, or with `squeeze` False cut off after them, and the role
    stays as it is from then on. With `drop_frozen` its gradients are no longer computed either, which a
    compiled model would answer with another compilation.

    Steps are counted in whole batches: where smaller ones are trained on, a step is a part of one.

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
        by_kind: dict[tuple[str, bool | None], list[dict[str, Any]]] = defaultdict(list)
        for role, parameters in by_role.items():
            override = dict(groups.get(role, {}))
            # Another optimiser's options mean nothing to this one, so a role that changes it starts afresh.
            inherits = override.get("name", common["name"]) == common["name"]
            settings = {**common, **override} if inherits else override
            name, epochs = settings.pop("name"), settings.pop("epochs", None)
            decoupled, squeeze = settings.pop("decoupled", None), settings.pop("squeeze", None)
            if name == "muon" and role not in ("filters", "head"):
                raise UsageError(f"optimizer.groups.{role}: muon trains matrices; give {role} name: sgd or adamw")
            steps = total_steps if epochs is None else min(round(epochs * steps_per_epoch), total_steps)
            timing = {"base_lr": settings["lr"], "steps": steps, "schedule": total_steps if squeeze is False else steps}
            by_kind[name, decoupled].append({"params": parameters, **settings, **timing})
        self.all = [_make(*kind, found) for kind, found in by_kind.items()]
        self._groups = [group for optimizer in self.all for group in optimizer.param_groups]
        self._schedule = schedule
        self._drop_frozen = drop_frozen

    def set_progress(self, step: float, lr_factor: float = 1.0) -> None:
        """Set each group's learning rate and momentum for what begins after `step` whole batches."""
        for group in self._groups:
            if step >= group["steps"]:
                self._freeze(group)
                continue
            setting = self._schedule(step / group["schedule"])
            group["lr"] = group["base_lr"] * setting.lr_factor * lr_factor
            if setting.momentum is not None:
                if "betas" in group:
                    group["betas"] = (setting.momentum, group["betas"][1])
                else:
                    group["momentum"] = setting.momentum

    def _freeze(self, group: dict[str, Any]) -> None:
        group["lr"], group["stopped"] = 0.0, True
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
