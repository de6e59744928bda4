"""How long a worker was stopped by SIGSTOP, or by Ctrl-Z and `fg`.

Its clock continues meanwhile, so its times include the pause.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.execution.interrupts import Interrupts
    from bench.execution.measured import Measured

# States in /proc/PID/stat: stopped by a signal, or by a debugger.
STOPPED = ("T", "t")
# The share of the time since the last look that a worker may have computed if it was stopped for the rest.
BUSY_SHARE = 0.5
# Several times the interval between two looks.
LEAST_GAP_S = 0.6


class Pauses:
    """Detects pauses, as precisely as the parent looks. Without /proc it detects none."""

    def __init__(self, pid: int, interrupts: Interrupts) -> None:
        self.count, self.paused_s = 0, 0.0
        self._stat, self._interrupts = Path(f"/proc/{pid}/stat"), interrupts
        self._continued = interrupts.continued
        self._looked_s, self._cpu_s, self._stopped = time.monotonic(), 0.0, False

    def look(self) -> None:
        """Add the pause since the last look, if any."""
        now_s = time.monotonic()
        state, cpu_s = self._read()
        stopped, passed_s = state in STOPPED, now_s - self._looked_s
        # If it was stopped together with this process, it continues before this process can look.
        both = (
            self._interrupts.continued != self._continued
            and passed_s > LEAST_GAP_S
            and cpu_s - self._cpu_s < BUSY_SHARE * passed_s
        )
        if stopped or self._stopped or both:
            self.count += not self._stopped
            self.paused_s += passed_s
        self._continued = self._interrupts.continued
        self._looked_s, self._cpu_s, self._stopped = now_s, cpu_s, stopped

    def add_to(self, measured: Measured) -> None:
        """Add the metric `paused_s` and a remark to the reason of a run that was paused."""
        if self.count:
            measured.metrics = measured.metrics | {"paused_s": self.paused_s}
            times = "once" if self.count == 1 else f"{self.count} times"
            told = f"it was stopped {times} from outside, for {self.paused_s:.1f} s in all, which its times hold"
            measured.reason = f"{measured.reason}; {told}" if measured.reason else told

    def _read(self) -> tuple[str, float]:
        """The worker's state and the seconds that it has computed."""
        try:
            # The process name before it may contain any character.
            fields = self._stat.read_text(errors="replace").rpartition(")")[2].split()
            return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, LookupError, ValueError):
            return "", self._cpu_s
