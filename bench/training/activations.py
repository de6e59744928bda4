"""What a forward pass keeps in memory for the backward pass, counted by autograd's own hooks."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class KeptActivations:
    """Counts, while entered, the bytes that autograd saves, by the name that `owner` has at the time.

    A storage counts once, for the first that saves it; those of `not_counted` (the weights) do not count. Rounding by
    allocators and workspace of kernels are not included, so a device's peak is higher.
    """

    def __init__(self, not_counted: Iterable[Tensor] = ()) -> None:
        self.owner = ""
        self.bytes_by_owner: dict[str, int] = {}
        self._seen = {_storage_id(tensor) for tensor in not_counted}
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes_by_owner.values())

    def __enter__(self) -> KeptActivations:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _pack(self, tensor: Tensor) -> Tensor:
        if (storage := _storage_id(tensor)) not in self._seen:
            self._seen.add(storage)
            self.bytes_by_owner[self.owner] = self.bytes_by_owner.get(self.owner, 0) + tensor.untyped_storage().nbytes()
        return tensor


def _storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())


def tensor_bytes(tensors: Iterable[object]) -> int:
    """Bytes of the tensors among `tensors`; other values count as 0."""
    return sum(t.untyped_storage().nbytes() for t in tensors if isinstance(t, torch.Tensor))
