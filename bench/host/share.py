"""The part of the machine that a run may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The devices of one run: GPUs by their UUIDs, or cores by their numbers; None means all.

    `neighbours` is the number of other runs at the same time.
    """

    gpus: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    neighbours: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a program that is started for it is to see."""
        return {} if self.gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}

    @contextmanager
    def of_children(self) -> Iterator[None]:
        """What is started in the body keeps to these cores; this process has its own again behind it."""
        if self.cores is None:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def keep_to(self) -> None:
        """Restrict this process and its children to the share. Call it before torch looks for GPUs."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        if self.cores is not None:
            os.sched_setaffinity(0, self.cores)
            # If torch was imported before, as in a fork server, it has counted all cores.
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(min(torch.get_num_threads(), len(self.cores)))
