"""SGD with and without decoupled weight decay, safe with a loss scaler."""

from __future__ import annotations

from typing import Any

import torch

from bench.training.lists import by_format


class SGD(torch.optim.SGD):
    """torch's SGD, whose fused kernels find a momentum of zero at a parameter's first step.

    They would make it themselves, but not in a step that a loss scaler skips, as it often skips the first: whatever is
    in the memory would be the momentum of the next. Nor would they take up a parameter whose first gradient comes later
    than others'.
    """

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        if len(self.state) < sum(len(group["params"]) for group in self.param_groups):
            self._begin_momenta()
        super().step()

    def _begin_momenta(self) -> None:
        for group in self.param_groups:
            if group["fused"] and group["momentum"]:
                for parameter in group["params"]:
                    if parameter.grad is not None and parameter not in self.state:
                        self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class SGDW(SGD):
    """SGD whose weight decay is decoupled: weights shrink by lr · weight_decay, and no momentum sees it.

    Source: Loshchilov and Hutter, arXiv 1711.05101, with AdamW's convention that the rate includes the schedule.
    """

    def __init__(self, params: list[dict[str, Any]], fused: bool | None = None) -> None:
        decays = [group.pop("weight_decay", 0.0) for group in params]
        super().__init__([group | {"decay": decay} for group, decay in zip(params, decays, strict=True)], fused=fused)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient keeps its value."""
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            if trained and group["decay"]:
                shrinks = group["lr"] * group["decay"]
                # With fused kernels, a loss scaler relies on them to skip a step with an overflowed gradient.
                overflowed = getattr(self, "found_inf", None)
                factor = 1 - (shrinks if overflowed is None else shrinks * (1 - overflowed))
                for (some,) in by_format(trained):
                    torch._foreach_mul_(some, factor)
        super().step()
