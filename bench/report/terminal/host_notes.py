"""Notes below a table on the hosts of its runs: how they count, which of hosts, seeds and runs is lacking, and which
host is off."""

from __future__ import annotations

from collections.abc import Sequence

from bench.runs import slow_hosts
from bench.runs.readings import hosts_of, readings
from bench.runs.run import FINISHED, Run

# Of the first that the runs have, the variance is split; a time, if there is one.
METRICS = ("train_s", "samples_per_s", "latency_p50_ms", "images_per_s", "total_s")


def host_notes(runs: Sequence[Run]) -> list[str]:
    """A note for each of these that is so; none for runs of a single host that is in order."""
    notes = []
    finished = [run for run in runs if run.status in FINISHED]
    if len(hosts_of(finished)) > 1:
        from bench.statistics import clustered, shortage

        for metric in METRICS:
            found = readings(finished, [run.metrics.get(metric) for run in finished])
            if clustered.is_clustered(found):
                notes.append(f"Hosts, by {metric}: {shortage.told(found)}.")
                break
    if off := slow_hosts.told(runs):
        notes.append(f"Slow hosts: {off}.")
    return notes
