"""How long a process may take, and how it is ended: asked first, then killed."""

from __future__ import annotations

import math
import time
from typing import Any

# From being asked to end until being killed: time to finish a step and tell what was measured.
GRACE_S = 5.0


class TimeLimit:
    """Ends a process that takes longer than `timeout_s`, or that said its last and stays."""

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.passed = False
        self._end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._kill_s = math.inf

    def end_soon(self) -> None:
        """The process has nothing more to do than to end, or was asked to."""
        self._end_s = math.inf
        self._kill_s = min(self._kill_s, time.monotonic() + GRACE_S)

    def enforce(self, process: Any) -> None:
        now_s = time.monotonic()
        if now_s >= self._end_s:
            self.passed, self._end_s, self._kill_s = True, math.inf, now_s + GRACE_S
            process.terminate()
        elif now_s >= self._kill_s:
            process.kill()
