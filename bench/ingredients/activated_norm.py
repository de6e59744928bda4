"""Batch norm and the activation after it in one, on a CPU.

For torch they are two layers, which together read or write a tensor of the batch's size 14 times in a step: the norm
four times forward and five times backward, the activation two and three times. Here it is three and five times. Only
the norm's input is kept for the backward pass, and the activation is computed again from it.

Torch knows the functions as operations of its own, `bench::activated_norm` and so on, so that profiles see their bytes.
"""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.host import native

# Channels are a multiple of this.
WIDTH = 16
_SOURCE = Path(__file__).with_name("activated_norm.cpp")
_TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}

torch.library.define("bench::activated_norm_moments", "(Tensor x) -> (Tensor, Tensor)")
torch.library.define(
    "bench::activated_norm", "(Tensor x, Tensor scale, Tensor shift, str activation, float parameter) -> Tensor"
)
torch.library.define(
    "bench::activated_norm_backward",
    "(Tensor x, Tensor gradient, Tensor scale, Tensor shift, Tensor mean, Tensor rstd, str activation, "
    "float parameter, bool of_x_wanted) -> (Tensor, Tensor, Tensor)",
)


def fuse_norms(model: nn.Module) -> int:
    """Replace every batch norm that an activation follows in an `nn.Sequential` by one that does both; returns their
    number.

    Names and parameters are unchanged. Raises `MissingError` without a C++ compiler.
    """
    count = 0
    for sequence in model.modules():
        if not isinstance(sequence, nn.Sequential) or type(sequence).forward is not nn.Sequential.forward:
            continue
        for index, (norm, activation) in enumerate(itertools.pairwise(list(sequence))):
            if _suits(norm) and _kernel_of(activation) is not None:
                assert isinstance(norm, nn.BatchNorm2d)
                native.load(_SOURCE)
                sequence[index] = ActivatedNorm(norm, activation)
                sequence[index + 1] = nn.Identity().train(activation.training)
                count += 1
    return count


class ActivatedNorm(nn.BatchNorm2d):
    """[B, C, H, W] to the `activation` of its batch norm, of the same shape.

    Keeps the parameters and statistics of `norm`. Batches that are channels last, in fp32 or bf16, are computed by its
    own code, with statistics in fp32; others in the usual way, and so are gradients in evaluation mode.
    """

    def __init__(self, norm: nn.BatchNorm2d, activation: nn.Module) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.affine, self.training, self.activation = norm.affine, norm.training, activation

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        kernel = _kernel_of(self.activation)
        if kernel is None or not self._is_suitable(x):
            return self.activation(super().forward(x))  # type: ignore[no-any-return]
        assert self.running_mean is not None
        assert self.running_var is not None
        if not self.training:
            scale, shift = _line(self.running_mean, (self.running_var + self.eps).rsqrt(), self.weight, self.bias)
            return torch.ops.bench.activated_norm(x, scale, shift, *kernel)  # type: ignore[no-any-return]
        y, mean, variance = _Activated.apply(x, self.weight, self.bias, self.eps, kernel)  # type: ignore[no-untyped-call]
        values = x.numel() // self.num_features
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / (values - 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return y  # type: ignore[no-any-return]

    def _is_suitable(self, x: Tensor) -> bool:
        """Whether its own code can compute this batch."""
        learns = torch.is_grad_enabled() and any(
            tensor is not None and tensor.requires_grad for tensor in (x, self.weight, self.bias)
        )
        return (
            x.dtype in _TYPES
            and x.device.type == "cpu"
            and x.ndim == 4
            and x.shape[1] == self.num_features
            and x.numel() > self.num_features
            and x.is_contiguous(memory_format=torch.channels_last)
            and (self.training or not learns)
            and all(t is None or t.dtype == torch.float32 for t in (self.running_mean, self.weight, self.bias))
        )


class _Activated(torch.autograd.Function):
    """Also returns the mean and the biased variance of each channel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, kernel: tuple[str, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.ops.bench.activated_norm_moments(x)
        rstd = (variance + eps).rsqrt()
        scale, shift = _line(mean, rstd, weight, bias)
        ctx.save_for_backward(x, scale, shift, mean, rstd)
        ctx.kernel = kernel
        ctx.mark_non_differentiable(mean, variance)
        return torch.ops.bench.activated_norm(x, scale, shift, *kernel), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, *of_channels = ctx.saved_tensors
        gradient = gradients[0].to(x.dtype).contiguous(memory_format=torch.channels_last)
        wanted = ctx.needs_input_grad[:3]
        found = torch.ops.bench.activated_norm_backward(x, gradient, *of_channels, *ctx.kernel, wanted[0])
        of_x, of_weight, of_bias = (one if asked else None for one, asked in zip(found, wanted, strict=True))
        return of_x, of_weight, of_bias, None, None


def _suits(norm: nn.Module) -> bool:
    """Whether `ActivatedNorm` can replace this module."""
    return (
        isinstance(norm, nn.BatchNorm2d)
        and not isinstance(norm, ActivatedNorm)
        and type(norm).forward is nn.BatchNorm2d.forward
        and norm.num_features % WIDTH == 0
        and norm.running_mean is not None
        and norm.momentum is not None
    )


def _kernel_of(activation: nn.Module) -> tuple[str, float] | None:
    """The name of an activation in the C++, and its parameter; None if it has none there."""
    kind = type(activation)
    if kind is nn.ReLU:
        return "leaky", 0.0
    if isinstance(activation, nn.LeakyReLU) and kind is nn.LeakyReLU:
        return "leaky", activation.negative_slope
    if isinstance(activation, nn.GELU) and kind is nn.GELU and activation.approximate == "none":
        return "gelu", 0.0
    return ("silu", 0.0) if kind is nn.SiLU else None


def _line(mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel, which together are the norm."""
    scale = rstd if weight is None else weight.detach() * rstd
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias.detach()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean, variance = _of_channels(x), _of_channels(x)
    _call("moments", x, (x, mean, variance))
    return mean, variance


def _activated(x: Tensor, scale: Tensor, shift: Tensor, activation: str, parameter: float) -> Tensor:
    y = torch.empty_like(x)
    _call(activation, x, (x, scale, shift, y), parameter)
    return y


def _gradients(
    x: Tensor,
    gradient: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    rstd: Tensor,
    activation: str,
    parameter: float,
    of_x_wanted: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    of_x = torch.empty_like(x) if of_x_wanted else x.new_empty(0)
    of_weight, of_bias = _of_channels(x), _of_channels(x)
    tensors = (x, gradient, scale, shift, mean, rstd, of_weight, of_bias, of_x if of_x_wanted else None)
    _call(f"{activation}_backward", x, tensors, parameter)
    return of_x, of_weight, of_bias


def _of_channels(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[1], dtype=torch.float32)


def _call(function: str, x: Tensor, tensors: tuple[Tensor | None, ...], *parameters: float) -> None:
    """Call a function of activated_norm.cpp for the type and the shape of `x`; a tensor that is None is not wanted."""
    channels = x.shape[1]
    getattr(native.load(_SOURCE), f"{function}_{_TYPES[x.dtype]}")(
        *(ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_float, parameters),
        ctypes.c_long(x.numel() // channels),
        ctypes.c_long(channels),
    )


torch.library.impl("bench::activated_norm_moments", "CPU", _moments)
torch.library.impl("bench::activated_norm", "CPU", _activated)
torch.library.impl("bench::activated_norm_backward", "CPU", _gradients)
