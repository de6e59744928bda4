"""The part of the machine that a run may use."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The devices of one run: GPUs by their UUIDs, or cores by their numbers; None means all.

    `neighbours` is the number of other runs at the same time.
    """

    gpus: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    neighbours: int = 0

    def keep_to(self) -> None:
        """Restrict this process and its children to the share. Call it before torch looks for GPUs."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        if self.cores is not None:
            os.sched_setaffinity(0, self.cores)
            # If torch was imported before, as in a fork server, it has counted all cores.
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(min(torch.get_num_threads(), len(self.cores)))
