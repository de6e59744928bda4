"""Counts the operations of a piece of work, and the host's waits for their results, without a GPU.

An operation is a call dispatched by eager torch that computes or copies: on a GPU, one or a few kernels. Views and
allocations do not count. torch.compile makes fewer operations, and a CUDA graph launches all at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from bench.profiling.products import Product, products_of

# Operations that only allocate memory or describe it.
_NO_WORK = {"detach", "alias", "lift_fresh", "_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty",
            "squeeze_", "unsqueeze_", "transpose_", "t_"}  # fmt: skip
# Operations whose result size, or Python value, is known only when they are done.
_WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim",
            "unique_consecutive", "repeat_interleave", "bincount"}  # fmt: skip
_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index"}
# Calls by which values reach the host; on a CPU, nothing is dispatched for them.
_READING = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.__array__}
# Gathers: they read as many bytes as they return.
_GATHERING = {"index", "index_select", "gather", "_unsafe_index"}
# Scatters: they write as many bytes as they are given.
_SCATTERING = {"index_copy_", "index_put_", "scatter_", "index_add_", "_index_put_impl_"}
# Operations that do not read what they overwrite.
_OVERWRITING = {"copy_", "fill_", "zero_", "_foreach_copy_", "_foreach_zero_", "normal_", "uniform_", "random_"}


@dataclass(frozen=True)
class Operation:
    """One operation: the bytes it reads and writes, each operand once, and the FLOPs of matrix products.

    `dtype` is that of its first tensor, `part` the counter's `part` at the time. `reads` and `writes` are bytes by an
    id of the tensor's memory, which shows who uses another operation's result. `products` are its matrix products.
    """

    name: str
    part: str
    flops: int
    dtype: torch.dtype
    reads: tuple[tuple[int, int], ...]
    writes: tuple[tuple[int, int], ...]
    products: tuple[Product, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.reads) + sum(size for _, size in self.writes)


@dataclass
class Operations:
    """While entered, counts the operations by name, and those for which the host would have to wait.

    It is valid for a GPU if the CPU takes the same path; copies from device to host are recognised by the call (`cpu`,
    `numpy`, `tolist`). With `only_on`, a type of device, work on other devices is left out. `each` holds the operations
    in order, marked with the present `part` of the work.
    """

    only_on: str | None = None
    by_name: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    each: list[Operation] = field(default_factory=list)
    part: str = ""
    _modes: ExitStack = field(default_factory=ExitStack)
    _numbers: dict[int, int] = field(default_factory=dict)
    _next_number: int = 0

    @property
    def total(self) -> int:
        return self.by_name.total()

    def __enter__(self) -> Operations:
        self._modes.enter_context(_Dispatched(self))
        self._modes.enter_context(_Called(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._modes.close()

    def record(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Count one completed operation."""
        name = func.overloadpacket.__name__
        written = _mutated(func, args, kwargs)
        given = _tensors((args, kwargs))
        made = [tensor for tensor in _tensors(result) if not any(tensor is other for other in written)]
        first = next(iter((*given, *made)), None)
        if first is None or (self.only_on and all(t.device.type != self.only_on for t in (*given, *made))):
            return
        self.by_name[name] += 1
        unread = written if name in _OVERWRITING | _SCATTERING else []
        reads = [tensor for tensor in given if not any(tensor is other for other in unread)]
        known = {_memory(tensor) for tensor in given}
        sizes = {id(tensor): _bytes(tensor) for tensor in (*given, *made)}
        if name in _GATHERING:
            sizes[id(given[0])] = sum(map(_bytes, made))
        if name in _SCATTERING:
            sizes[id(given[0])] = max(map(_bytes, reads), default=0)
        formula = flop_registry.get(func.overloadpacket)
        self.each.append(
            Operation(
                name,
                self.part,
                int(formula(*args, **kwargs, out_val=result)) if formula else 0,
                first.dtype,
                tuple((self._number(tensor), sizes[id(tensor)]) for tensor in reads),
                tuple((self._number(tensor, _memory(tensor) not in known), sizes[id(tensor)]) for tensor in made)
                + tuple((self._number(tensor), sizes[id(tensor)]) for tensor in written),
                products_of(name, args, result),
            )
        )

    def _number(self, tensor: Tensor, fresh: bool = False) -> int:
        """The id of the tensor's memory; `fresh` if it may reuse the address of a freed tensor."""
        memory = _memory(tensor)
        if fresh or memory not in self._numbers:
            self._numbers[memory] = self._next_number
            self._next_number += 1
        return self._numbers[memory]


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, operations: Operations) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations = operations

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _WAITING or (name in _INDEXED and _by_mask(args)):
            self._operations.waits[name] += 1
        result = func(*args, **(kwargs or {}))
        if func.namespace in ("aten", "bench") and not func.is_view and name not in _NO_WORK:
            self._operations.record(func, args, kwargs or {}, result)
        return result


class WithoutProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, convolutions and matrix products immediately return zeros of the right shape, type and layout.

    For counting without needing values: on a CPU, products take nearly all of the time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket not in flop_registry or _mutated(func, args, kwargs or {}):
            return func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
        channels_last = any(
            tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last) for tensor in given
        )

        def zeros(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            made = torch.zeros(leaf.shape, dtype=leaf.dtype, device=given[0].device)
            return made.contiguous(memory_format=torch.channels_last) if channels_last and leaf.ndim == 4 else made

        meta = tree_map(lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf, (args, kwargs or {}))
        return tree_map(zeros, func(*meta[0], **meta[1]))


class _Called(TorchFunctionMode):
    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _READING:
            self._operations.waits[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _by_mask(args: Sequence[Any]) -> bool:
    """Whether an index is a mask, for which only the device knows the number of kept elements."""
    return any(isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8) for leaf in tree_leaves(args[1]))


def _mutated(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The arguments that the operation modifies in place."""
    found: list[Tensor] = []
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += _tensors(args[index] if index < len(args) else kwargs.get(argument.name))
    return found


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes(tensor: Tensor) -> int:
    """The tensor's bytes, without repetition by `expand`."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in sides if stride) * tensor.element_size()
