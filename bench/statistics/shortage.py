"""Which are too few: the hosts, the seeds or the runs. What counts is where the variance of the mean comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from bench.statistics.estimates import CONFIDENCE
from bench.statistics.reading import Reading
from bench.statistics.variance_split import HostTable, VarianceSplit, split

# More runs that narrow the interval by less than this share do not help.
HELPS = 0.1
# More new hosts than this are no advice.
MOST_HOSTS = 1000


@dataclass(frozen=True)
class Shortage:
    """What the interval of the mean of `n` runs on `present_hosts` hosts lacks: `hosts`, `seeds` or `runs`.

    `hosts` more hosts, with as many runs each as the present ones, would halve it; None if no number would. As many
    runs as these hosts would make are `runs`; with other seeds on the present hosts, they would narrow it by the share
    `narrower_by`.
    """

    variances: VarianceSplit
    present_hosts: int
    lacking: str
    hosts: int | None
    runs: int
    narrower_by: float

    def __str__(self) -> str:
        parts = self.variances
        shares = {"between hosts": parts.host, "between seeds": parts.seed, "between runs": parts.run}
        split_up = ", ".join(
            f"{value / parts.total:.0%} {where}" for where, value in shares.items() if value is not None
        )
        runs = f"{self.runs} more runs on these {self.present_hosts} hosts"
        runs += (
            " will not help" if self.narrower_by < HELPS else f" would narrow the interval by {self.narrower_by:.0%}"
        )
        hosts = "more hosts with the same seeds would not halve the interval"
        if self.hosts is not None:
            hosts = f"{self.hosts} more host{'' if self.hosts == 1 else 's'} would halve the interval"
        return f"{self.lacking} are lacking: of the variance, {split_up}; {runs}, {hosts}"


def shortage(readings: Sequence[Reading], confidence: float = CONFIDENCE) -> Shortage | None:
    """What these readings of several hosts lack; None if hosts and runs cannot be told apart, or nothing varies."""
    table = HostTable(readings)
    parts = split(table)
    if parts is None or parts.total == 0:
        return None
    hosts, n = table.hosts, table.n
    weights = 1 / (hosts * table.runs_of_hosts)
    of_mean = {
        "hosts": parts.host / hosts,
        "seeds": (parts.seed or 0.0) * float(((weights @ table.counts) ** 2).sum()),
        "runs": parts.run * float((weights / hosts).sum()),
    }
    variance = sum(of_mean.values())
    # New hosts run seeds of their own, unless the present ones share theirs.
    fixed = (parts.seed or 0.0) * table.shared_seeds

    def reach(more: int) -> float:
        """Half the width of the interval with more hosts."""
        quantile = float(special.stdtrit(hosts + more - 1, (1 + confidence) / 2))
        return quantile * math.sqrt(fixed + (variance - fixed) * hosts / (hosts + more))

    more_hosts = next((more for more in range(1, MOST_HOSTS) if reach(more) <= reach(0) / 2), None)
    more_runs = n if more_hosts is None else max(1, round(more_hosts * n / hosts))
    left = of_mean["hosts"] + (variance - of_mean["hosts"]) * n / (n + more_runs)
    lacking = max(of_mean, key=of_mean.__getitem__)
    return Shortage(parts, hosts, lacking, more_hosts, more_runs, 1 - math.sqrt(left / variance))


def told(readings: Sequence[Reading]) -> str:
    """How runs of several hosts count, and what they lack."""
    table = HostTable(readings)
    counted = f"{table.n} runs on {table.hosts} hosts, and each host counts once"
    if table.n == table.hosts:
        return f"{counted}: with one run each, hosts and runs cannot be told apart; run each again with another seed"
    found = shortage(readings)
    return counted if found is None else f"{counted}: {found}"
