"""The interface that every loader has: batches on the device, an epoch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import torch

from pipelines.augment import Augment
from pipelines.dataset import Dataset

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Placement:
    """Where batches go, and in which form."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.channels_last


class Loader(ABC):
    """Normalised images [B, C, H, W] and labels int64 [B], both on the placement's device.

    A train loader shuffles, augments and drops the last incomplete batch; a test loader does none
    of these. Epoch `e` of two loaders made with the same arguments gives the same batches, in the
    same order, with the same augmentation, whatever epochs were drawn before it.
    """

    name: str

    def __init__(
        self,
        dataset: Dataset,
        split: Literal["train", "test"],
        batch_size: int,
        augment: Augment,
        placement: Placement,
        seed: int,
        workers: int | None = None,
        cache: Path | None = None,
    ) -> None:
        """`workers` None lets the loader choose; `cache` is where a loader may keep converted data."""
        raise NotImplementedError

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int: ...

    def warm_up(self) -> None:
        """Pay one-time costs (JIT compilation, worker start) that are not part of an epoch."""

    @abstractmethod
    def epoch(self, epoch: int) -> Iterator[Batch]: ...

    def close(self) -> None:
        """Release workers, threads and memory; nothing may be drawn afterwards."""

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
