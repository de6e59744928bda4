"""Convs in int8 for inference on a CPU with VNNI: trained weights and calibrated ranges, without further training.

A conv's weights become whole numbers with a scale for each output channel, and its inputs x whole numbers q of 8 bits,
x ≈ scale · (q − zero). Sums are exact, in 32 bits. Everything else stays in floating point.

Source: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (arXiv 1806.08342).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import conv_flop_count, register_flop_formula

# Convs of fewer input channels stay as they are: they are not faster in int8, and the first one sees the image.
LEAST_CHANNELS = 32
MOST_WEIGHT, MOST_INPUT = 127, 255
# How many images are calibrated at a time.
BATCH = 250


@dataclass
class Calibrated:
    """The range of a conv's inputs, and the shape of one image of them, [1, C, H, W]."""

    low: float = 0.0
    high: float = 0.0
    shape: Sequence[int] = ()

    def see(self, _conv: nn.Module, inputs: tuple[Tensor]) -> None:
        (x,) = inputs
        self.low, self.high = min(self.low, x.min().item()), max(self.high, x.max().item())
        self.shape = (1, *x.shape[1:])


def quantize_convs(model: nn.Module, images: Tensor) -> tuple[int, int]:
    """Put convs of a network in fp32 into int8, with ranges from `images` [N, C, H, W]; returns how many, and how many
    are left.

    Raises ValueError if there are none that can be.
    """
    every = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    ranges = {name: Calibrated() for name, conv in every.items() if _suits(conv)}
    hooks = [every[name].register_forward_pre_hook(seen.see) for name, seen in ranges.items()]
    with torch.no_grad():
        for some in torch.split(images, BATCH):
            model(some)
    for hook in hooks:
        hook.remove()
    used = {name: seen for name, seen in ranges.items() if seen.shape}
    if not used:
        raise ValueError(_why_none(list(every.values())))
    for name, seen in used.items():
        model.set_submodule(name, Int8Conv.of(every[name], seen))
    return len(used), len(every) - len(used)


def _why_none(convs: Sequence[nn.Conv2d]) -> str:
    """Why none of a network's convs can be in int8: too few channels, another kind, or never called."""
    wide = [conv for conv in convs if _is_wide(conv)]
    if not wide:
        return f"no conv of this network sees {LEAST_CHANNELS} or more input channels"
    kinds = Counter(type(conv).__name__ for conv in wide if type(conv) is not nn.Conv2d)
    told = [f"{count} of the kind {kind}, which int8 does not have" for kind, count in sorted(kinds.items())]
    if unused := len(wide) - kinds.total():
        told.append(f"{unused} never called")
    return f"no conv of this network that sees {LEAST_CHANNELS} or more input channels fits: {', '.join(told)}"


def _suits(conv: nn.Conv2d) -> bool:
    # Its subclasses compute something else, such as a pooling too.
    return type(conv) is nn.Conv2d and _is_wide(conv)


def _is_wide(conv: nn.Conv2d) -> bool:
    return conv.in_channels // conv.groups >= LEAST_CHANNELS


class Int8Conv(nn.Module):
    """[B, C, H, W] in fp32 or bf16 to a conv's output in the same type, channels last."""

    scale: float
    zero: int
    padding: list[int]
    padding_mode: str
    strides: tuple[list[int], list[int], list[int], int]
    weight: Tensor
    weight_scales: Tensor
    weight_zeros: Tensor
    bias: Tensor

    @classmethod
    def of(cls, conv: nn.Conv2d, inputs: Calibrated) -> Self:
        own = cls()
        own.scale = (inputs.high - inputs.low) / MOST_INPUT or 1.0
        own.zero = round(-inputs.low / own.scale)
        # The image is padded before it is quantised, so that oneDNN's zero is 0: another one costs it a pass over the
        # weights for each call. A bias takes its place.
        own.padding, own.padding_mode = list(conv._reversed_padding_repeated_twice), conv.padding_mode
        own.strides = (list(conv.stride), [0, 0], list(conv.dilation), conv.groups)
        weight = conv.weight.detach().float()
        scales = (weight.abs().amax((1, 2, 3)) / MOST_WEIGHT).clamp_min(torch.finfo(torch.float32).tiny)
        whole = torch.round(weight / scales.view(-1, 1, 1, 1))
        bias = torch.zeros_like(scales) if conv.bias is None else conv.bias.detach().float()
        left, right, top, bottom = own.padding
        count, channels, height, width = inputs.shape
        padded = [count, channels, height + top + bottom, width + left + right]
        packed = torch.ops.onednn.qconv_prepack(whole.to(torch.int8), scales, own.scale, 0, *own.strides, padded)
        own.register_buffer("weight", packed)
        own.register_buffer("weight_scales", scales)
        own.register_buffer("weight_zeros", torch.zeros(len(scales), dtype=torch.int32))
        own.register_buffer("bias", bias - own.zero * own.scale * scales * whole.sum((1, 2, 3)))
        return own.train(conv.training)

    def _apply(self, *_: Any, **__: Any) -> Self:
        """Its numbers keep their types and their layout."""
        return self

    def forward(self, x: Tensor) -> Tensor:
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padded = F.pad(x, self.padding, mode=mode) if any(self.padding) else x
        whole = torch.round(padded.float() * (1 / self.scale) + self.zero).clamp(0, MOST_INPUT).to(torch.uint8)
        whole = whole.contiguous(memory_format=torch.channels_last)
        weight = (self.weight, self.weight_scales, self.weight_zeros, self.bias)
        as_it_is: tuple[Any, ...] = (1.0, 0, x.dtype, "none", [], "")
        return torch.ops.onednn.qconv_pointwise(  # type: ignore[no-any-return]
            whole, self.scale, 0, *weight, *self.strides, *as_it_is
        )


@register_flop_formula([torch.ops.onednn.qconv_pointwise])
def _flops(x: Any, _scale: Any, _zero: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Operations on whole numbers count as those on others."""
    return conv_flop_count(x, weight, out_shape)
