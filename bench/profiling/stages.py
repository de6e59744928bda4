"""A network's stages: the modules, and the inputs, gradients and saved bytes of each in one real training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from bench.pipelines.loader import Batch
from bench.training.activations import KeptActivations
from bench.training.flops import count_flops
from bench.training.precision import Precision

# As many rows as fit on a screen; more depth must be requested.
MOST_STAGES = 32
DEEPEST = 16


@dataclass
class Call:
    """One call of a stage in a forward pass: its arguments, and the gradients of its outputs."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    grads: dict[int, Tensor] = field(default_factory=dict)

    def take(self, position: int, grad: Tensor) -> None:
        self.grads[position] = grad.detach()


@dataclass
class NetworkStage:
    """A module, by its dotted name, and its calls in one training step."""

    name: str
    module: nn.Module
    calls: list[Call] = field(default_factory=list)
    output_shape: tuple[int, ...] = ()
    kept_bytes: int = 0

    @property
    def kind(self) -> str:
        return type(self.module).__name__

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


@dataclass
class Recording:
    """One training step: its stages in the order of their first call, and the network's saved bytes and FLOPs."""

    stages: list[NetworkStage]
    kept_bytes: int
    forward_flops: int
    backward_flops: int


def stages_of(model: nn.Module, depth: int | None = None) -> list[NetworkStage]:
    """The modules `depth` levels below the network, or higher if a module has no children.

    Without a `depth`, the deepest with at most MOST_STAGES modules. A module with weights of its own is not split,
    because they would belong to none of its parts.
    """
    if depth is not None:
        return list(_open("", model, depth))
    by_depth = [list(_open("", model, depth)) for depth in range(1, DEEPEST + 1)]
    fitting = [stages for stages in by_depth if len(stages) <= MOST_STAGES]
    return fitting[-1] if fitting else by_depth[0]


def _open(name: str, module: nn.Module, depth: int) -> Iterator[NetworkStage]:
    own = any(True for _ in module.parameters(recurse=False))
    children = list(module.named_children())
    if depth == 0 or own or not children:
        yield NetworkStage(name, module)
        return
    for child_name, child in children:
        yield from _open(f"{name}.{child_name}" if name else child_name, child, depth - 1)


def record(model: nn.Module, batch: Batch, precision: Precision, stages: list[NetworkStage]) -> Recording:
    """Run one forward and backward pass, and record the inputs, output gradients and saved bytes of each stage.

    Inputs are copied, because an in-place activation would change them; altogether it takes about twice the memory of a
    training step. The loss is plain cross-entropy. A stage that is never called is left out.
    """
    images, labels = batch
    kept = KeptActivations(model.parameters())
    found: list[NetworkStage] = []
    with ExitStack() as hooks, kept:
        for stage in {id(stage.module): stage for stage in stages}.values():
            hooks.enter_context(_watched(stage, kept, found))
        with precision.autocast(), FlopCounterMode(display=False) as forward_flops:
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels, reduction="sum")
    backward_flops = count_flops(loss.backward)
    for parameter in model.parameters():
        parameter.grad = None
    for stage in found:
        stage.kept_bytes = kept.bytes_by_owner.get(stage.name, 0)
    return Recording(found, kept.total_bytes, forward_flops.get_total_flops(), backward_flops)


@contextmanager
def _watched(stage: NetworkStage, kept: KeptActivations, found: list[NetworkStage]) -> Iterator[None]:
    """While entered, the stage's calls are recorded, and it is added to `found` at the first."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not stage.calls:
            found.append(stage)
        stage.calls.append(Call(_copied(args), _copied(kwargs)))
        kept.owner = stage.name

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        kept.owner = ""
        call, outputs = stage.calls[-1], tensors_in(output)
        stage.output_shape = tuple(outputs[0].shape) if outputs else ()
        for position, tensor in enumerate(outputs):
            if tensor.requires_grad:
                # Recorded by a hook on the tensor, so that a later in-place change does not replace it.
                tensor.register_hook(partial(call.take, position))  # type: ignore[no-untyped-call]

    handles = [
        stage.module.register_forward_pre_hook(before, with_kwargs=True),
        stage.module.register_forward_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def tensors_in(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _copied(value: Any) -> Any:
    return tree_map(_copy, value)


def _copy(leaf: Any) -> Any:
    return leaf.detach().clone().requires_grad_(leaf.requires_grad) if isinstance(leaf, Tensor) else leaf


class Replay:
    """Repeats a stage's calls: `prepare`, then `forward`, then `backward`."""

    def __init__(self, stage: NetworkStage, precision: Precision) -> None:
        self._stage, self._precision = stage, precision
        self._weights = [p for p in stage.module.parameters() if p.requires_grad]
        self._inputs: list[tuple[Any, Any]] = []
        self._outputs: list[list[Tensor]] = []

    def prepare(self) -> None:
        """Make fresh copies of the inputs; a tensor that an in-place operation changes must not be a leaf of
        the graph."""
        self._inputs = [tree_map(_fresh, (call.args, call.kwargs)) for call in self._stage.calls]
        self._outputs = []

    def forward(self) -> None:
        with self._precision.autocast():
            self._outputs = [tensors_in(self._stage.module(*args, **kwargs)) for args, kwargs in self._inputs]

    def backward(self) -> None:
        """Compute gradients of weights and inputs from the recorded output gradients.

        Does nothing if the stage has nothing to train and passes no gradient on.
        """
        for call, outputs in zip(self._stage.calls, self._outputs, strict=True):
            pairs = [(outputs[position], grad) for position, grad in call.grads.items()]
            sources = [leaf for leaf in tensors_in((call.args, call.kwargs)) if leaf.requires_grad] + self._weights
            if pairs and sources:
                tensors, grads = zip(*pairs, strict=True)
                torch.autograd.grad(tensors, sources, grads, allow_unused=True)

    def release(self) -> None:
        self._inputs, self._outputs = [], []


def _fresh(leaf: Any) -> Any:
    """A copy whose gradient flows to the recorded input at no cost."""
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
