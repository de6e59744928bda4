"""What a sweep asks of the place where its runs are carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.recording import Attempt
from bench.host.share import Share
from bench.spec.command import Command
from bench.spec.job import Job
from bench.spec.sweep_plan import PlannedRun

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where one run may be carried out now, until it is given back: a share of a host, or of several `hosts`."""

    share: Share
    hosts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """One run to carry out: of a recipe (`job`), or of a `command`, which runs in `root`."""

    entry: PlannedRun
    attempt: Attempt
    place: Place
    job: Job | None = None
    command: Command | None = None
    root: Path = field(default_factory=Path)
    device: str = "cpu"
    timeout_s: float | None = None

    def for_host(self, share: Share) -> Assignment:
        """What is sent to a host: nothing that it does not need."""
        job = self.job
        if job is not None and job.nets:
            job = replace(job, nets={key: replace(net, path=net.path.absolute()) for key, net in job.nets.items()})
        if job is not None and (precision := self.entry.cell.config.get("precision")):
            # What `auto` means was decided with the cell's identity; another host might take it for something else.
            job = replace(job, recipe=job.recipe.model_copy(update={"precision": precision}))
        return replace(
            self, entry=replace(self.entry, run=None), place=Place(share), job=job, root=self.root.absolute()
        )


class Executor(Protocol):
    """Carries out the runs of one sweep. The sweep takes a place, starts a run there, and gives the place back.

    Nothing here waits but `wait`. Only the sweep writes the store.
    """

    @property
    def slots(self) -> int:
        """How many runs there can be at once; for the display and the expected duration."""

    def take(self, entry: PlannedRun) -> Place | None:
        """A place for this run now; None if it has to wait.

        Raises Refused if no host has what it needs, MissingError if there can be no place for any run.
        """

    def give_back(self, place: Place) -> None:
        """The run at this place has ended."""

    def start(self, task: Assignment, on_event: OnEvent, interrupts: Interrupts) -> RunFollower:
        """Begin the run, and follow it from here."""

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:
        """Wait until some run has something to tell, at most so long."""
