"""What of the machine a run may use."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one run has for itself: GPUs by their UUIDs, or cores by their numbers; None is all that there is.

    `neighbours` is how many other runs may go on at the same time.
    """

    gpus: tuple[str, ...] | None = None
    cores: tuple[int, ...] | None = None
    neighbours: int = 0

    def keep_to(self) -> None:
        """Let this process and its children use nothing else. To be called before torch looks for GPUs."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        if self.cores is not None:
            os.sched_setaffinity(0, self.cores)
            # A torch that was there before, as in a fork server, has counted all the cores.
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(min(torch.get_num_threads(), len(self.cores)))
