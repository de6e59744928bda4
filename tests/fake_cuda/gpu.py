"""A GPU that computes nothing, for a torch without CUDA: its tensors have shapes, types and layouts, and no values.

What is on the CPU stays real. What a real GPU refuses, what the host waits for, and layouts that are lost are noted as
`Event`s, each with the line of the project that it comes from. The hooks change torch for the whole process, and need
`guard.cpp`, loaded before torch is imported (`preload`); so whoever wants this GPU starts a process for it.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tuple(f"{ROOT / room}/" for room in ("bench", "models", "pipelines"))
COPIES = {"_to_copy", "copy_", "_copy_from", "_foreach_copy_"}
# They need values: how large the result is, or which number it is.
READS = {"_local_scalar_dense", "is_nonzero", "equal"}
BY_VALUE = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"}
MASKED = {"index", "index_put", "index_put_", "_unsafe_index"}
TIMED = ("train", "eval", "final_eval")
GPU = torch.device("cuda", 0)


@dataclass(frozen=True)
class Event:
    """`kind`: device (a tensor on the wrong one), wait, copy (from memory that is not pinned), pin (memory that CUDA
    has to pin first, which is slow), pinned (a copy of the host into pinned memory) or layout."""

    kind: str
    what: str
    where: str
    phase: str
    captured: bool = False


class FakeGpu(TorchDispatchMode):
    """While entered, `cuda` is a device of this process. `phase` is set by whoever knows what is going on.

    With `channels_last` every conv in a training or an evaluation is to find its operands so.
    """

    def __init__(self, channels_last: bool = False) -> None:
        super().__init__()
        self.phase = ""
        self.channels_last = channels_last
        self.capturing = False
        self.events: list[Event] = []
        # The pinned memory that lives, by address and with its size, and how many pieces of each size CUDA has pinned.
        self._pinned: dict[int, tuple[StorageWeakRef, int]] = {}
        self._pieces: Counter[int] = Counter()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._patches = contextlib.ExitStack()

    def note(self, kind: str, what: str) -> None:
        self.events.append(Event(kind, what, _where(), self.phase, self.capturing))

    def __enter__(self) -> FakeGpu:
        _install(self, self._patches)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._patches.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, FakeTensor)]
        if kwargs.get("pin_memory") and not here:
            return self.pin(func(*args, **{**kwargs, "pin_memory": False}))
        target = kwargs.get("device")
        to_gpu = target is not None and torch.device(target).type == "cuda"
        if not here and not to_gpu:
            return func(*args, **kwargs)
        host = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor)]
        if name in COPIES:
            return self._copy(func, args, kwargs, here, host)
        if name in READS:
            self.note("wait", name)
            return {torch.bool: True}.get(here[0].dtype, 1.0 if here[0].is_floating_point() else 1)
        if name in BY_VALUE:
            self.note("wait", name)
            if name == "nonzero":  # as if none were zero
                return here[0].new_empty((here[0].numel(), here[0].ndim), dtype=torch.int64)
        if name in MASKED and any(
            isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8) for leaf in tree_leaves(args[1])
        ):
            self.note("wait", f"{name} by a mask")
            (mask,) = (leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor))
            if name == "index":  # as if all were true
                return here[0].new_empty((mask.numel(), *here[0].shape[mask.ndim :]))
        if any(tensor.ndim for tensor in host):
            self.note("device", f"{name} of {_devices(tensors)}")
        elif host and self.capturing:
            self.note("device", f"{name}: a number of the host, which a graph would hold for ever")
        if host:  # what is on the wrong device has been told; the run goes on
            args, kwargs = tree_map(self._moved, (args, kwargs))
        if name.startswith("convolution"):
            return self._convolve(func, name, args, kwargs)
        with self._fake:
            return func(*args, **kwargs)

    def _copy(self, func: Any, args: Any, kwargs: Any, here: list[Tensor], host: list[Tensor]) -> Any:
        """Between the devices; what arrives at the host is real, and zero."""
        name = func.overloadpacket.__name__
        if name != "_to_copy" and host and here:
            to_host = not isinstance(tree_leaves(args[0])[0], FakeTensor)
            does_not_wait = bool(kwargs.get("non_blocking", args[2] if len(args) > 2 else False))
        else:
            to_host = bool(here) and torch.device(kwargs.get("device") or GPU).type == "cpu"
            does_not_wait = bool(kwargs.get("non_blocking"))
        if to_host:
            self.note("wait", f"{name} to the host")
            if name == "_to_copy":
                return torch.zeros(here[0].shape, dtype=kwargs.get("dtype") or here[0].dtype)
            return args[0]
        for tensor in host:
            if tensor.numel() and not (does_not_wait and self._is_pinned(tensor)):
                why = "a blocking copy" if not does_not_wait else "from memory that is not pinned"
                self.note("copy", f"{name} of {tuple(tensor.shape)}, {why}")
        with self._fake:
            return func(*args, **kwargs)

    def _moved(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or isinstance(leaf, FakeTensor):
            return leaf
        with self._fake:
            return self._fake.from_tensor(leaf).to(GPU)

    def _convolve(self, func: Any, name: str, args: Sequence[Any], kwargs: Any) -> Any:
        """As cuDNN: what comes out is in channels_last if the input or the weight is."""
        roles = ("gradient", "input", "weight") if name.endswith("backward") else ("input", "weight")
        operands = dict(zip(roles, args, strict=False))
        if self.channels_last and self.phase in TIMED:
            for role, tensor in operands.items():
                if not _is_channels_last(tensor):
                    self.note("layout", f"{name}: its {role} {tuple(tensor.shape)} is not in channels_last")
        with self._fake:
            result = func(*args, **kwargs)
            if not any(_is_channels_last(operands[role]) for role in ("input", "weight")):
                return result
            return tree_map(_to_channels_last, result)

    def pin(self, tensor: Tensor) -> Tensor:
        if self._is_pinned(tensor):
            return tensor
        self.note("pinned", f"{tensor.nbytes} bytes")
        # torch keeps what is freed, in sizes that are powers of two.
        size = 1 << (tensor.nbytes - 1).bit_length() if tensor.nbytes else 0
        if self._living()[size] >= self._pieces[size]:
            self.note("pin", f"{size} bytes, and no earlier tensor has left as many")
            self._pieces[size] += 1
        pinned = tensor.clone()
        self._pinned[pinned.untyped_storage()._cdata] = StorageWeakRef(pinned.untyped_storage()), size
        return pinned

    def give_back(self) -> None:
        """Unpin what no tensor uses, as `torch.cuda.empty_cache` does."""
        self._pieces = self._living()

    def _is_pinned(self, tensor: Tensor) -> bool:
        storage, _ = self._pinned.get(tensor.untyped_storage()._cdata, (None, 0))
        return storage is not None and not storage.expired()

    def _living(self) -> Counter[int]:
        """The pieces in use, by size."""
        self._pinned = {at: kept for at, kept in self._pinned.items() if not kept[0].expired()}
        return Counter(size for _, size in self._pinned.values())


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def _to_channels_last(leaf: Any) -> Any:
    is_image = isinstance(leaf, Tensor) and leaf.ndim == 4
    return leaf.contiguous(memory_format=torch.channels_last) if is_image else leaf


class Moment:
    """A CUDA event."""

    def __init__(self, **_: Any) -> None: ...
    def record(self, *_: Any) -> None: ...
    def wait(self, *_: Any) -> None: ...
    def synchronize(self) -> None: ...
    def query(self) -> bool:
        return True

    def elapsed_time(self, _: Moment) -> float:
        return 1.0


class Stream:
    def __init__(self, *_: Any, **__: Any) -> None: ...
    def wait_stream(self, _: Stream) -> None: ...
    def wait_event(self, _: Moment) -> None: ...
    def synchronize(self) -> None: ...


class Graph:
    def replay(self) -> None: ...


PROPERTIES = types.SimpleNamespace(
    name="A GPU that computes nothing", uuid="0", major=9, minor=0, total_memory=80 << 30, multi_processor_count=132
)


def _install(gpu: FakeGpu, patches: contextlib.ExitStack) -> None:
    """Put in what a CPU build refuses."""

    @contextlib.contextmanager
    def graph(_graph: Any, **_: Any) -> Iterator[None]:
        # torch.cuda.graph gives back all unused memory of the device and of the host before it captures.
        gpu.give_back()
        gpu.capturing = True
        try:
            yield
        finally:
            gpu.capturing = False

    def synchronize(*_: Any) -> None:
        gpu.note("wait", "synchronize")

    replaced = {
        torch.cuda: {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "set_device": lambda _: None,
            "is_initialized": lambda: True,
            "_is_in_bad_fork": lambda: False,
            "_lazy_init": lambda: None,
            "synchronize": synchronize,
            "Event": Moment,
            "Stream": Stream,
            "current_stream": lambda *_: Stream(),
            "stream": lambda _: contextlib.nullcontext(),
            "CUDAGraph": Graph,
            "graph": graph,
            "empty_cache": lambda: None,
            "reset_peak_memory_stats": lambda *_: None,
            "max_memory_allocated": lambda *_: 1,
            "get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8),
            "set_rng_state": lambda *_: None,
            "get_device_properties": lambda *_: PROPERTIES,
            "get_device_capability": lambda *_: (9, 0),
            "is_bf16_supported": lambda *_, **__: True,
        },
        Tensor: {"pin_memory": lambda tensor, *_: gpu.pin(tensor)},
        torch.nn.Module: {"_apply": _apply},
        FakeTensorMode: {"avoid_device_init": property(lambda _: True)},
    }
    for owner, values in replaced.items():
        for name, value in values.items():
            patches.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
    # torch.tensor(…, device="cuda") goes by way of the CPU, and so is seen.
    patches.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
    torch._C._set_only_lift_cpu_tensors(True)
    # Kernels to which torch gives no form without values, and which return nothing.
    library = torch.library.Library("aten", "IMPL")
    for optimizer in ("sgd", "adam", "adamw"):
        for overload in ("", ".tensor_lr"):
            library.impl(f"_fused_{optimizer}_{overload}", lambda *_, **__: None, "Meta")
    patches.callback(library._destroy)


def _apply(module: torch.nn.Module, change: Any, recurse: bool = True) -> torch.nn.Module:
    """`Module._apply` with new parameters for old ones: torch's own would put fake ones into the place of real ones."""
    for child in module.children() if recurse else ():
        child._apply(change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                changed = change(parameter)
            module._parameters[name] = torch.nn.Parameter(changed, requires_grad=parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


def _where() -> str:
    """The innermost line of the project on the stack, as file:line function; who waits, and not what it waits by."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        if file.startswith(PROJECT) and function != "synchronize":
            return f"{Path(file).relative_to(ROOT)}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "no line of the project"


def _devices(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tuple(tensor.shape)} on {tensor.device.type}" for tensor in tensors)
