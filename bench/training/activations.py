"""What a forward pass keeps in memory for the backward pass, counted by autograd's own hooks."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef


class KeptActivations:
    """Counts, while entered, the bytes that autograd saves, by the name that `owner` has at the time.

    A storage counts once, for the first that saves it; those of `not_counted` (the weights) do not count. Rounding by
    allocators and workspace of kernels are not included, so a device's peak is higher. `total_bytes` is the most that
    was held at once: the sum, unless one graph was freed before another was built, as with accumulation or a proxy.
    """

    def __init__(self, not_counted: Iterable[Tensor] = ()) -> None:
        self.owner = ""
        self.bytes_by_owner: dict[str, int] = {}
        self.total_bytes = 0
        # Weak references, because an address is used again as soon as its storage is freed.
        self._seen = {StorageWeakRef(tensor.untyped_storage()) for tensor in not_counted}  # type: ignore[no-untyped-call]
        self._held: dict[StorageWeakRef, int] = {}
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def __enter__(self) -> KeptActivations:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        if storage not in self._seen:
            self._seen.add(storage)
            size = tensor.untyped_storage().nbytes()
            self.bytes_by_owner[self.owner] = self.bytes_by_owner.get(self.owner, 0) + size
            held = {one: bytes_ for one, bytes_ in self._held.items() if not one.expired()}  # type: ignore[no-untyped-call]
            self._held = held | {storage: size}
            self.total_bytes = max(self.total_bytes, sum(self._held.values()))
        return tensor


def tensor_bytes(tensors: Iterable[object]) -> int:
    """Bytes of the tensors among `tensors`; other values count as 0."""
    return sum(t.untyped_storage().nbytes() for t in tensors if isinstance(t, torch.Tensor))
