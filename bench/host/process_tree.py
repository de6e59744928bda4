"""All processes that a command has started, also those that outlive their parents: their memory, and their end.

On Linux they are found in /proc. On other systems only the command and its largest process are known.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.host.peak_memory import MAXRSS_BYTES
from bench.host.proc import pids, read, size_bytes, stat_of

# Looking at every process of the machine takes 1 ms for 100 of them, and their memory some 0.1 ms for each GiB.
WATCH_SHARE = 0.002
# In addition, so that a command of a few seconds is sampled often enough.
FREE_S = 0.02
SAMPLE_S = 0.1
FIRST_SAMPLE_S = 0.02
# Shared pages are counted again when the sum has grown by this factor.
GROWTH = 1.02


class Process(NamedTuple):
    """One process. `began` distinguishes it from a later one with the same number."""

    pid: int
    parent: int
    session: int
    began: int
    is_zombie: bool


class ProcessTree:
    """The processes of a command that leads a session of its own, and has `mark` (`NAME=value`) in its environment.

    Whatever has the command among its ancestors, is of its session or bears the mark belongs to it, and does so for as
    long as it lives.
    """

    def __init__(
        self, pid: int, mark: str, proc: Path = Path("/proc"), now: Callable[[], float] = time.monotonic
    ) -> None:
        self.pid = pid
        self.peak_bytes: int | None = None
        self._mark = mark.encode()
        self._proc = str(proc)
        # A child starts as a copy of this process, so a peak below this one may not be its own.
        self._own_peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES
        self._verdicts: dict[tuple[int, int], bool] = {}
        self._members = [pid]
        root = self._read(pid)
        self._began = root.began if root else 0
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._scanning, self._sampling = _Budget(SAMPLE_S, now), _Budget(FIRST_SAMPLE_S, now)
        self._largest_sum = 0

    def members(self) -> list[int]:
        """The living processes, the command first, without zombies."""
        processes = {one.pid: one for name in pids(self._proc) if (one := self._read(int(name))) is not None}
        pending = [one for one in processes.values() if one.began >= self._began]
        known = {self.pid}
        while new := [one for one in pending if one.pid not in known and self._belongs(one, known)]:
            known.update(one.pid for one in new)
        alive = [one for one in processes.values() if one.pid in known and not one.is_zombie]
        # The command's number may belong to another process by now.
        alive = [one for one in alive if one.pid != self.pid or one.began == self._began]
        self._members = sorted((one.pid for one in alive), key=lambda pid: pid != self.pid)
        return self._members

    def members_lately(self) -> list[int]:
        """The members at the last look, which costs nothing."""
        return self._members

    def watch(self) -> None:
        """Sample the memory when it is time to. This takes less than twice WATCH_SHARE of the time."""
        if self._scanning.is_due():
            with self._scanning:
                self.members()
        if self._sampling.is_due():
            with self._sampling:
                self._sample()

    def take_usage(self, usage: resource.struct_rusage) -> None:
        """Take the kernel's own peak of the largest process that has ended."""
        largest_bytes = usage.ru_maxrss * MAXRSS_BYTES
        if largest_bytes > self._own_peak_bytes:
            self._raise_peak(largest_bytes)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to each of them."""
        for pid in self.members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def describe(self, pid: int) -> str:
        """Its command line, shortened."""
        words = read(self._proc, f"{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        return words[:80] or f"process {pid}"

    def _belongs(self, one: Process, known: set[int]) -> bool:
        key = (one.pid, one.began)
        if one.parent in known or one.session == self.pid:
            self._verdicts[key] = True
        elif not self._verdicts.get(key):
            # A negative answer is not final: the process may have been forked a moment ago.
            self._verdicts[key] = self._mark in read(self._proc, f"{one.pid}/environ").split(b"\0")
        return self._verdicts[key]

    def _sample(self) -> None:
        sizes = [self._resident_bytes(pid) for pid in self._members]
        total = sum(sizes)
        self._raise_peak(max((self._largest_bytes(pid) for pid in self._members), default=0))
        if len(sizes) == 1:
            self._raise_peak(total)
        elif total > self._largest_sum * GROWTH:
            self._largest_sum = total
            # Pages that forked processes share are counted once.
            self._raise_peak(sum(self._size(f"{pid}/smaps_rollup", b"Pss") for pid in self._members))

    def _raise_peak(self, size: int) -> None:
        if size > (self.peak_bytes or 0):
            self.peak_bytes = size

    def _resident_bytes(self, pid: int) -> int:
        fields = read(self._proc, f"{pid}/statm").split()
        return int(fields[1]) * self._page_bytes if len(fields) > 1 else 0

    def _largest_bytes(self, pid: int) -> int:
        """The kernel's peak for this process, which includes the time between two samples."""
        return self._size(f"{pid}/status", b"VmHWM")

    def _size(self, name: str, key: bytes) -> int:
        return size_bytes(self._proc, name, key) or 0

    def _read(self, pid: int) -> Process | None:
        fields = stat_of(self._proc, pid)
        try:
            return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in (b"Z", b"X"))
        except (ValueError, IndexError):
            return None


class _Budget:
    """Work repeated every SAMPLE_S, or less often to stay below FREE_S plus WATCH_SHARE of the time."""

    def __init__(self, first_s: float, now: Callable[[], float]) -> None:
        self._now, self._began_s, self._spent_s = now, now(), 0.0
        self._next_s = self._began_s + first_s

    def is_due(self) -> bool:
        return self._now() >= self._next_s

    def __enter__(self) -> None:
        self._entered_s = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._spent_s += time.thread_time() - self._entered_s
        self._next_s = max(self._now() + SAMPLE_S, self._began_s + (self._spent_s - FREE_S) / WATCH_SHARE)
