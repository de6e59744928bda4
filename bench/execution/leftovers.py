"""Processes that outlive the command that has started them: they may end by themselves, and are ended after a while."""

from __future__ import annotations

import math
import signal
import time

from bench.execution.script_process import ScriptProcess

# Some processes always take a moment to end, such as the helpers of Python's multiprocessing.
MOMENT_S = 0.5
LINGER_S = 5.0
LOOK_S = 0.02
ASKED_S = 1.0
# Nothing survives SIGKILL for so long but a process of another user, and one that hangs in a driver or a file system.
KILLED_S = 5.0
MOST_NAMED = 3


class Leftovers:
    """What a command that has ended left running; they are off its clock, because by hand the prompt would be back."""

    def __init__(self, process: ScriptProcess) -> None:
        assert process.ended_s is not None
        self._process, self._ended_s = process, process.ended_s
        self._seen: list[str] = []
        self._was_asked = self._survive = False
        self._killed_s = math.inf
        self._next_s = 0.0

    def are_gone(self, hurry: bool) -> bool:
        """Whether none is left that can be ended; call it until it is true. With `hurry` they are ended at once."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + LOOK_S
        process = self._process
        rest = [pid for pid in process.tree.members() if pid != process.pid]
        waited_s = now_s - self._ended_s
        if rest and waited_s >= MOMENT_S and not self._seen:
            self._seen = [process.tree.describe(pid) for pid in rest]
        if rest and (hurry or waited_s >= LINGER_S):
            if self._was_asked:
                self._killed_s = min(self._killed_s, now_s)
            process.tree.send(signal.SIGKILL if self._was_asked else signal.SIGTERM)
            self._next_s += 0.0 if self._was_asked else ASKED_S
            self._was_asked = True
        self._survive = bool(rest) and now_s >= self._killed_s + KILLED_S
        return not rest or self._survive

    @property
    def remark(self) -> str | None:
        """A remark on them; None if there were none."""
        if not self._seen:
            return None
        names = ", ".join(self._seen[:MOST_NAMED]) + (", …" if len(self._seen) > MOST_NAMED else "")
        what = "were ended" if self._was_asked else "ended by themselves"
        what = "could not be ended" if self._survive else what
        return f"{len(self._seen)} of its processes outlived it and {what}: {names}"
