"""Folds batch norm into the conv before it: at inference both are linear in each channel.

With running mean μ and variance σ², scale γ and shift β, BN(w∗x + b) = (s·w)∗x + s·(b − μ) + β, where s = γ/√(σ² + ε).
A max-pooling between the two makes no difference if s is positive, because a rising line keeps the order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.ingredients.pooled_conv import PooledConv


@dataclass(frozen=True)
class Folded:
    """A network that computes the same, with `folded` batch norms removed and `left` others kept."""

    model: nn.Module
    folded: int
    left: int


class _Tracer(fx.Tracer):
    """Traces into every module except torch's own and batch norms, whose checks cannot be traced."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm | nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(model: nn.Module) -> Folded:
    """`model`, in evaluation mode and fp32, with every batch norm folded that has a conv of its own before it.

    The given network is not changed; it shares everything that is not folded with the new one. Raises ValueError for a
    network whose control flow depends on its input, which cannot be traced.
    """
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(f"the network's way depends on its input: {str(error).splitlines()[0]}") from error
    modules: dict[str, nn.Module] = dict(model.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    convs: dict[str, nn.Module] = {}
    norms = folded = 0
    for node in list(graph.nodes):
        norm = _module(node, modules)
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        norms += 1
        source = _conv_of(node, norm, modules)
        if source is None or calls[source.target] > 1:
            continue
        name = str(source.target)
        conv: Any = convs.get(name, modules[name])  # with the norm before this one, if two follow it
        convs[name] = fuse_conv_bn_eval(conv, norm)
        folded += 1
        node.replace_all_uses_with(node.args[0])
        graph.erase_node(node)
    graph.lint()
    fused = fx.GraphModule(model, graph)
    for name, conv in convs.items():
        fused.set_submodule(name, conv)
    fused.eval()
    return Folded(fused, folded, norms - folded)


def _conv_of(node: fx.Node, norm: nn.BatchNorm2d, modules: Mapping[str, nn.Module]) -> fx.Node | None:
    """The conv whose output, possibly max-pooled, only this batch norm uses; None if there is none."""
    if norm.running_mean is None:
        return None  # it uses the statistics of each batch
    source = node.args[0]
    while _may_follow(_module(source, modules), norm):
        assert isinstance(source, fx.Node)
        if len(source.users) > 1:
            return None
        source = source.args[0]
    conv = _module(source, modules)
    if not isinstance(conv, nn.Conv2d) or (isinstance(conv, PooledConv) and not _is_rising(norm)):
        return None
    assert isinstance(source, fx.Node)
    return source if len(source.users) == 1 else None


def _may_follow(module: nn.Module | None, norm: nn.BatchNorm2d) -> bool:
    """Whether the norm may be moved before this module."""
    if isinstance(module, nn.MaxPool2d):
        return not module.return_indices and _is_rising(norm)
    return isinstance(module, nn.Identity)


def _is_rising(norm: nn.BatchNorm2d) -> bool:
    return norm.weight is None or bool((norm.weight.detach() > 0).all())


def _module(node: Any, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """The module that a node of the graph calls; None if it calls none."""
    return modules.get(str(node.target)) if isinstance(node, fx.Node) and node.op == "call_module" else None
