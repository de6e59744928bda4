"""What a piece of work asks of a device, counted without one: operations, and the host's waits for their results.

An operation is what eager torch dispatches that computes or copies: on a GPU a kernel or a few. Views, and memory that
is only reserved, are none. torch.compile makes fewer of them, and a CUDA graph launches all at once.
"""

from __future__ import annotations

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
from torch.utils._pytree import tree_leaves

# They reserve memory, or say what is in it.
_NO_WORK = {"detach", "alias", "lift_fresh", "_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty"}
# How large their result is, or which Python number it is, is known when they are done.
_WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim",
            "unique_consecutive", "repeat_interleave", "bincount"}  # fmt: skip
_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index"}
# By these values reach the host; on a CPU, where they are already, nothing is dispatched.
_READING = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.__array__}


@dataclass
class Operations:
    """While entered, counts the operations by name, and those of them that a host would have to wait for.

    It sees a GPU's path where the CPU takes the same; whether a copy would cross from device to host it knows by the
    call alone (`cpu`, `numpy`, `tolist`).
    """

    by_name: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    _modes: ExitStack = field(default_factory=ExitStack)

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
        if func.namespace == "aten" and not func.is_view and name not in _NO_WORK:
            self._operations.by_name[name] += 1
        return func(*args, **(kwargs or {}))


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
    """Whether an index is a mask, of which only the device knows how many it keeps."""
    return any(isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8) for leaf in tree_leaves(args[1]))
