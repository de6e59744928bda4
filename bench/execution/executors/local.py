"""Runs on this machine, as many at once as its allotment allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from bench.errors import UsageError
from bench.execution.device_pool import Allotment
from bench.execution.executors.executor import Assignment, OnEvent, Place
from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured, Refused
from bench.execution.runner import Follower, renew_fork_server, warm_up_fork_server
from bench.execution.script import ScriptFollower
from bench.spec.sweep_plan import PlannedRun

# The largest share of a sweep's time for new starts.
RENEWAL_SHARE = 0.05


@dataclass(frozen=True)
class NotStarted:
    """In the place of the follower of a command that could not be started."""

    reason: str
    over: bool = True
    sources: tuple[Any, ...] = ()

    def advance(self) -> None:
        """There is nothing to go on."""

    def close(self) -> None:
        """There is nothing to end."""

    def result(self) -> Measured:
        raise Refused(self.reason, UsageError.exit_code)


class Starts:
    """The fork server of the workers of one process; it is started for the first of them.

    Runs of one server are not independent measurements of time and memory (see `bench.host.start`). Repeats of a cell
    with other seeds therefore get a new server if that costs little and no present run needs the old one.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._is_running = False

    def before(self, seed: int, is_idle: bool) -> None:
        """Start it, or renew it before the first run of another seed. Raises MissingError."""
        if not self._is_running:
            self._begin(warm_up_fork_server)
            self._is_running = True
        elif seed != self._seed and is_idle and self._took_s <= RENEWAL_SHARE * (time.monotonic() - self._began_s):
            self._begin(renew_fork_server)
        self._seed = seed

    def _begin(self, make: Callable[[], None]) -> None:
        began_s = time.monotonic()
        make()
        self._began_s = time.monotonic()
        self._took_s = self._began_s - began_s


class Local:
    """The executor of this machine, with a worker process for each run."""

    def __init__(self, allotment: Allotment) -> None:
        self._allotment, self._starts, self._running = allotment, Starts(), 0

    @property
    def slots(self) -> int:
        return self._allotment.jobs

    def take(self, entry: PlannedRun) -> Place | None:
        """Raises MissingError if workers cannot be started."""
        share = self._allotment.take(entry.devices)
        if share is None:
            return None
        if entry.cell.recipe is not None:
            self._starts.before(entry.seed, is_idle=not self._running)
        self._running += 1
        return Place(share)

    def give_back(self, place: Place) -> None:
        self._running -= 1
        self._allotment.give_back(place.share)

    def start(self, task: Assignment, on_event: OnEvent, interrupts: Interrupts) -> RunFollower:
        return follow(task, on_event, interrupts)

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:
        wait([source for one in followers for source in one.sources], timeout_s)


def follow(task: Assignment, on_event: OnEvent, interrupts: Interrupts) -> RunFollower:
    """Start the run on this host, in a process of its own, and follow it."""
    if task.job is not None:
        return Follower(task.job, on_event, "forkserver", task.timeout_s, interrupts)
    assert task.command is not None  # a cell without a recipe or command is skipped
    command = task.command.model_copy(update={"timeout_s": task.command.timeout_s or task.timeout_s})
    try:
        return ScriptFollower(
            command, task.entry.seed, task.root, task.attempt.log, on_event, interrupts, task.device, task.place.share
        )
    except UsageError as error:
        return NotStarted(str(error))
