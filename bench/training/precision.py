"""Number formats of a training run, for weights and for matrix products.

`fp32`, `tf32` (CUDA), `bf16` and `fp16` (autocast over fp32 weights; fp16 with a gradient scaler), and `pure_fp16` /
`pure_bf16` (weights and activations in half precision, batch norm in fp32 unless `half_norms` says otherwise, no
scaler). `auto` is the half precision that the device computes natively, else fp32.

`int8` is for inference on a CPU: `bench.measures.quantization` puts convs into it, and the rest is in the half
precision that the CPU computes natively, else in fp32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from bench.errors import UsageError
from bench.host.fingerprint import lack_of_precision, native_precision
from bench.training.device import Device

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """A number format on a device: the types of weights and inputs, and training steps with what the format needs.

    `name` is one of the formats above, without `auto`, which is resolved when it is made. Only `fp16` has a loss scale.
    Making one says for the whole process whether a GPU may round matrix products to TF32. Raises `UsageError` for a
    format that the device does not have.
    """

    def __init__(self, name: str, device: Device, half_norms: bool = False) -> None:
        if name == "auto":
            name = native_precision(device.kind)
        if lack := lack_of_precision(name, device.kind):
            raise UsageError(lack)
        self.name = name
        self.device = device
        rest = f"pure_{native_precision(device.kind)}" if name == "int8" else name
        pure = rest.startswith("pure_")
        half = _HALF.get(rest.removeprefix("pure_"))
        self.weights = half if pure and half is not None else torch.float32
        self._autocast = None if pure else half
        self._half_norms = half_norms and pure
        self._scaler: torch.amp.GradScaler | None = None
        self.reset()
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"

    def reset(self) -> None:
        """Reset the loss scale."""
        self._scaler = torch.amp.GradScaler(self.device.kind) if self.name == "fp16" else None

    def state(self) -> dict[str, Any]:
        """The loss scale, if there is one."""
        return self._scaler.state_dict() if self._scaler else {}

    def restore(self, saved: dict[str, Any]) -> None:
        if self._scaler:
            self._scaler.load_state_dict(saved)

    @property
    def inputs(self) -> torch.dtype:
        """The type that loaders deliver: half precision if the first layer would convert to it anyway."""
        return self._autocast or self.weights

    def prepare(self, model: nn.Module, memory_format: torch.memory_format) -> nn.Module:
        """Move the model to the device in this precision; batch norm stays in fp32 unless `half_norms` is set."""
        model.to(self.device.torch, self.weights)
        model.to(memory_format=memory_format)  # type: ignore[call-overload]
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not self._half_norms:
                module.float()
        return model

    def autocast(self) -> AbstractContextManager[object]:
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self.device.kind, self._autocast)

    def backward(self, loss: torch.Tensor) -> None:
        (self._scaler.scale(loss) if self._scaler else loss).backward()  # type: ignore[no-untyped-call]

    def step(self, optimizers: list[torch.optim.Optimizer]) -> None:
        for optimizer in optimizers:
            if self._scaler is None:
                optimizer.step()
            elif any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                self._scaler.step(optimizer)  # it fails without any gradient, as when all roles have stopped
        if self._scaler:
            self._scaler.update()
