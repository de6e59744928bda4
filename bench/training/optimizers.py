"""Optimisers by role: filters, head and biases may have different ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.registry.registry import Found
from bench.registry.signature import check_options, parameters_of
from bench.training.muon import Muon, rescaling_steps
from bench.training.registries import OPTIMIZERS
from bench.training.schedules import Schedule
from bench.training.sgd import SGD, SGDW
from bench.training.state import State, of_optimizer, put_optimizer

Groups = list[dict[str, Any]]


def sgd(groups: Groups, decoupled: bool | None, fused: bool) -> torch.optim.Optimizer:
    """SGD; its weight decay is part of the gradient unless it is `decoupled`."""
    kernels = True if fused else None  # None leaves the choice to torch
    return SGDW(groups, fused=kernels) if decoupled else SGD(groups, fused=kernels)


def adamw(groups: Groups, decoupled: bool | None, fused: bool) -> torch.optim.Optimizer:
    """AdamW, or Adam if the decay is not `decoupled`."""
    kind = torch.optim.Adam if decoupled is False else torch.optim.AdamW
    return kind(groups, fused=True if fused else None)


def rmsprop(groups: Groups, decoupled: bool | None, fused: bool) -> torch.optim.Optimizer:  # noqa: ARG001 - it has one form
    return torch.optim.RMSprop(groups)


def muon(groups: Groups, decoupled: bool | None, fused: bool) -> torch.optim.Optimizer:
    return Muon(groups, decoupled=decoupled is not False, pad=fused)


def own(found: Found, groups: Groups) -> torch.optim.Optimizer:
    """A user's optimiser, for parameter groups that hold its options.

    Raises `UsageError` for an option that its constructor does not take, and for an error in it.
    """
    found.check_subclass(torch.optim.Optimizer)
    kind = found.load()
    parameters = list(parameters_of(kind))
    for group in groups:
        options = {key: value for key, value in group.items() if key not in _HARNESS_KEYS}
        try:
            check_options(f"optimizer {found.label}", kind, options, parameters[:1])
        except ValueError as error:
            raise UsageError(str(error)) from None
    common = {key: value for key, value in groups[0].items() if key not in _HARNESS_KEYS}
    with found.errors():
        made: torch.optim.Optimizer = kind(groups, **common)
        return made


# Keys of a group that are not options of its optimiser.
_HARNESS_KEYS = ("params", "role", "base_lr", "schedule", "steps", "rescales_at")


def _make(name: str, decoupled: bool | None, groups: Groups, fused: bool) -> torch.optim.Optimizer:
    """`decoupled` None means the optimiser's usual form: decay is part of the gradient only in SGD."""
    if name not in OPTIMIZERS:
        return own(OPTIMIZERS.find(name), groups)
    make: Callable[..., torch.optim.Optimizer] = OPTIMIZERS.load(name)
    return make(groups, decoupled, fused)


def _set(group: dict[str, Any], key: str, value: float) -> None:
    """Set a value, in place if it is a tensor; `lr_now` is the rate for the host, which would wait for a tensor."""
    if key == "lr":
        group["lr_now"] = value
    if isinstance(group.get(key), Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


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
    """One optimiser for each kind that the roles need, driven by one schedule.

    `common` has `name`, `lr` and the optimiser's own options; `groups` overrides them by role, and may add `epochs`:
    the schedule is compressed into them, or with `squeeze` False cut off after them, and the role is not trained from
    then on. With `drop_frozen` its gradients are no longer computed either, for which a compiled model would compile
    again.

    `freeze` maps names of modules to the share of the training after which their parameters are not trained.

    `fused` uses as few kernels as possible; None does so on a GPU, where launches are costly.

    With `lr_on` the learning rates are tensors on that device, which a captured step reads each time; so is the flag
    for rescaling filters if Muon's `unit_filters_every` (`rescaling_steps`) omits it in some steps.

    `rate_factors` multiply the rates of single parameters.

    Steps are counted in whole batches; with smaller batches, a step is a fraction.

    Raises `UsageError` for a role that the model lacks, and for Muon on parameters that are not matrices.
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
        freeze: Mapping[str, float] = MappingProxyType({}),
        fused: bool | None = None,
        lr_on: torch.device | None = None,
        rate_factors: Mapping[nn.Parameter, float] = MappingProxyType({}),
    ) -> None:
        by_role = roles(model)
        if fused is None:
            fused = any(parameter.is_cuda for parameter in model.parameters())
        until = {
            parameter: round(share * total_steps)
            for part, share in freeze.items()
            for parameter in model.get_submodule(part).parameters()
        }
        for role in groups:
            if role not in by_role:
                raise UsageError(f"optimizer.groups.{role}: this model has only {', '.join(sorted(by_role))}")
        by_kind: dict[tuple[str, bool | None], list[dict[str, Any]]] = defaultdict(list)
        for role, parameters in by_role.items():
            override = dict(groups.get(role, {}))
            # Options of another optimiser do not apply, so a role with its own optimiser does not inherit them.
            inherits = override.get("name", common["name"]) == common["name"]
            settings = {**common, **override} if inherits else override
            name, epochs = settings.pop("name"), settings.pop("epochs", None)
            sparse = settings.pop("unit_filters_every", None)
            decoupled, squeeze = settings.pop("decoupled", None), settings.pop("squeeze", None)
            if name == "muon" and role not in ("filters", "head"):
                raise UsageError(f"optimizer.groups.{role}: muon trains matrices; give {role} name: sgd or adamw")
            steps = total_steps if epochs is None else min(round(epochs * steps_per_epoch), total_steps)
            timing: dict[str, Any] = {"schedule": total_steps if squeeze is False else steps}
            if sparse is not None:
                timing |= {"rescales_at": rescaling_steps(total_steps, *sparse)}
            alike: dict[tuple[int, float], list[nn.Parameter]] = defaultdict(list)
            for parameter in parameters:
                alike[min(steps, until.get(parameter, steps)), rate_factors.get(parameter, 1.0)].append(parameter)
            for (end, factor), some in alike.items():
                rate = settings["lr"] * factor
                timed = timing | {"lr": rate, "base_lr": rate, "steps": end}
                by_kind[name, decoupled].append({"params": some, "role": role, **settings, **timed})
        self.all = [_make(*kind, found, fused) for kind, found in by_kind.items()]
        self._groups = [group for optimizer in self.all for group in optimizer.param_groups]
        # The parameters for which gradients are computed.
        self.trained = frozenset(parameter for parameters in by_role.values() for parameter in parameters)
        self._all_trained = self.trained
        self._schedule = schedule
        self._drop_frozen = drop_frozen
        self._total_steps = total_steps
        if lr_on is not None:
            for group in self._groups:
                group["lr"] = torch.tensor(group["base_lr"], dtype=torch.float32, device=lr_on)
                if "rescales_at" in group:
                    group["rescales"] = torch.ones((), device=lr_on)

    def set_progress(self, step: float, lr_factor: float = 1.0) -> None:
        """Set each group's learning rate and momentum for the step after `step` whole batches."""
        for group in self._groups:
            if step >= group["steps"]:
                self._freeze(group)
                continue
            setting = self._schedule(step / group["schedule"])
            _set(group, "lr", group["base_lr"] * setting.lr_factor * lr_factor)
            if "rescales_at" in group:
                _set(group, "rescales", step in group["rescales_at"])
            if setting.momentum is not None:
                if isinstance(group["lr"], Tensor):
                    raise UsageError(
                        "cuda_graph: the schedule sets the momentum, and a graph keeps that of its capture; leave out "
                        "cuda_graph, or the momentum in the schedule"
                    )
                if "betas" in group:
                    group["betas"] = (setting.momentum, group["betas"][1])
                else:
                    group["momentum"] = setting.momentum

    def _freeze(self, group: dict[str, Any]) -> None:
        if group.get("stopped"):
            return
        _set(group, "lr", 0.0)
        group["stopped"] = True
        if self._drop_frozen:
            self.trained = self.trained.difference(group["params"])
            for parameter in group["params"]:
                parameter.requires_grad_(False)

    @property
    def ends(self) -> list[int]:
        """The numbers of whole batches after which some role stops, in order, without those that train to the end."""
        return sorted({group["steps"] for group in self._groups} - {self._total_steps})

    @property
    def stopped(self) -> tuple[bool, ...]:
        """The groups that are no longer trained."""
        return tuple(group.get("stopped", False) for group in self._groups)

    def reset(self) -> None:
        """Reset in the same memory: nothing has stopped, and the optimisers' states are zero."""
        self.trained = self._all_trained
        for parameter in self.trained:
            parameter.requires_grad_(True)
        for group in self._groups:
            group["stopped"] = False
        for optimizer in self.all:
            for state in optimizer.state.values():
                for value in state.values():
                    if isinstance(value, Tensor):
                        value.zero_()

    def state(self) -> State:
        """What the optimisers remember of each parameter, and the values of their groups that training changes."""
        return {"optimizers": [of_optimizer(optimizer, _HARNESS_KEYS) for optimizer in self.all]}

    def restore(self, saved: State) -> None:
        """Continue from what `state` returned, in the same memory; what had stopped stays stopped."""
        for optimizer, one in zip(self.all, saved["optimizers"], strict=True):
            put_optimizer(optimizer, one)
        for group in self._groups:
            if group.pop("stopped", False):
                self._freeze(group)

    def zero_grad(self) -> None:
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    @property
    def lr(self) -> float:
        """The current rate of the `main_role`."""
        return float(self._main_group.get("lr_now", self._main_group["base_lr"]))

    @property
    def momentum(self) -> float | None:
        """The current momentum of the `main_role`, or AdamW's first beta; None if it has none."""
        group = self._main_group
        found = group["betas"][0] if "betas" in group else group.get("momentum")
        return None if found is None else float(found)

    @property
    def main_role(self) -> str:
        """The role that represents the training: the filters, else the head, else the network's first."""
        present = [group["role"] for group in self._groups]
        return next((role for role in ("filters", "head") if role in present), present[0])

    @property
    def _main_group(self) -> dict[str, Any]:
        """The group of the main role that is trained longest, because parts may be frozen early; if several, the one
        with the highest rate."""
        of_role = (group for group in self._groups if group["role"] == self.main_role)
        return max(of_role, key=lambda one: (one["steps"], one["base_lr"]))
