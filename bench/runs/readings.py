"""Values of runs together with where they come from, as `bench.statistics.clustered` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.runs.run import Run
from bench.statistics.reading import Reading


def host_of(run: Run) -> str | None:
    """The key of the host that a run ran on; None if it is not recorded, as in older runs."""
    return run.machine.get("host")


def readings(runs: Sequence[Run], values: Iterable[float | None]) -> list[Reading]:
    """A reading for each run that has a value."""
    return [
        Reading(value, host_of(run), run.seed) for run, value in zip(runs, values, strict=True) if value is not None
    ]


def hosts_of(runs: Iterable[Run]) -> set[str]:
    """The known hosts of these runs."""
    return {host for run in runs if (host := host_of(run)) is not None}
