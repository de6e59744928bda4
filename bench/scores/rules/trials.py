"""The trials of a cell: its completed runs, which are repeats of each other, with their timings under a rule book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

from bench.runs.readings import readings
from bench.runs.run import Run
from bench.scores.rules.timing import RunTimeline, Timing
from bench.statistics.reading import Reading


@dataclass(frozen=True)
class Trials:
    """The completed runs of one cell in order of time, with their timings; `left_out` others were not completed.

    `price_kinds` are the kinds of the prices used: `on_demand`, `spot`, or None if not recorded.
    """

    lines: tuple[RunTimeline, ...]
    target: float | None
    timings: tuple[Timing, ...]
    left_out: int
    price_kinds: frozenset[str | None]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return tuple(line.run for line in self.lines)

    @property
    def reached(self) -> int:
        return sum(timing.reached for timing in self.timings)

    @property
    def times_s(self) -> list[float]:
        """The times of the runs that have one."""
        return [timing.time_s for timing in self.timings if timing.time_s is not None]

    @property
    def times(self) -> list[Reading]:
        """The same, with the host and the seed of each."""
        return self.readings(timing.time_s for timing in self.timings)

    def readings(self, values: Iterable[float | None]) -> list[Reading]:
        """The values of all runs, in their order, with the host and the seed of each; without those that are None."""
        return readings(self.runs, values)


class Kind(NamedTuple):
    """What runs that are repeats of each other have in common."""

    cell: str
    measure: str
    machine_id: str | None
    shares_process: bool
    keeps_compiled: bool
    is_resumed: bool

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(
            run.cell, run.measure, run.machine.get("id"), run.shares_process, run.keeps_compiled, bool(run.resumed)
        )


def one_kind(runs: Sequence[Run]) -> Run:
    """The `representative` of runs that are repeats of each other. Raises ValueError for others, and without runs."""
    if not runs:
        raise ValueError("there is no run to score")
    kinds = {Kind.of(run) for run in runs}
    if len({kind[:3] for kind in kinds}) > 1:
        raise ValueError(
            f"the runs are of {len({kind[:3] for kind in kinds})} cells or machines, and one score is of one"
        )
    if len(kinds) > 1:
        raise ValueError(
            "some of the runs shared a process, kept programs or were resumed and others were not, and a score is of "
            "one kind"
        )
    return representative(runs)


def representative(runs: Sequence[Run]) -> Run:
    """The first of repeats that says which data it used, else the first: one that crashed early never had any."""
    return next((run for run in runs if run.data), runs[0])
