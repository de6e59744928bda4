"""The time limit of a process: after it, the process is asked to end, then killed."""

from __future__ import annotations

import math
import time
from typing import Any

# The time between being asked to end and being killed, enough to finish a step and report.
GRACE_S = 5.0


class TimeLimit:
    """Ends a process that takes longer than `timeout_s`, or that stays after its last message."""

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.passed = False
        self._end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._kill_s = math.inf

    def end_soon(self) -> None:
        """The process has finished, or was asked to end."""
        self._end_s = math.inf
        self._kill_s = min(self._kill_s, time.monotonic() + GRACE_S)

    def enforce(self, process: Any) -> None:
        now_s = time.monotonic()
        if now_s >= self._end_s:
            self.passed, self._end_s, self._kill_s = True, math.inf, now_s + GRACE_S
            process.terminate()
        elif now_s >= self._kill_s:
            process.kill()
