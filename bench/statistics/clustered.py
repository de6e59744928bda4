"""Statistics of runs from several hosts, where runs of one host have much in common.

For runs of a single host, or of unknown hosts, each function gives exactly what its namesake in
`bench.statistics.estimates` gives. tests/bench/statistics/test_clustered.py measures how often the intervals cover the
truth, and docs/host_intervals.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scipy import special

from bench.statistics import LEAST_FOR_INTERVAL, estimates
from bench.statistics.estimates import CONFIDENCE, Estimate, SignificanceTest
from bench.statistics.reading import Reading
from bench.statistics.variance_split import HostTable, MeanOfHosts, mean_of_hosts, split


def is_clustered(readings: Sequence[Reading]) -> bool:
    """Whether the readings are known to come from several hosts."""
    return len({reading.host for reading in readings if reading.host is not None}) > 1


def mean(readings: Sequence[Reading], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The mean of the hosts' means, with the interval of `mean_of_hosts`. `values` are those means if they are few."""
    if not is_clustered(readings):
        return estimates.mean(_values(readings), confidence, unit)
    table = HostTable(readings)
    estimate = _estimate(mean_of_hosts(table), table, "mean of hosts' means, t interval", confidence, unit)
    few = table.hosts < LEAST_FOR_INTERVAL
    return replace(estimate, values=tuple(table.host_means.tolist())) if few else estimate


def olympic_mean(readings: Sequence[Reading], confidence: float = CONFIDENCE, unit: str = "") -> Estimate:
    """The olympic mean of all runs, with an interval over hosts.

    The standard error is that of the mean of hosts of the Winsorised values, times n over the number of kept ones, as
    for a trimmed mean of independent runs (Tukey and McLaughlin, 1963). Its degrees of freedom are those of the hosts,
    or of the kept values if these are fewer. Raises ValueError for fewer than three values.
    """
    plain = estimates.olympic_mean(_values(readings), confidence, unit)
    if not is_clustered(readings):
        return plain
    n, ordered = len(readings), sorted(_values(readings))
    low, high = ordered[1], ordered[-2]
    if not (math.isfinite(low) and math.isfinite(high)):
        return replace(plain, low=None, high=None)
    table = HostTable([reading._replace(value=min(max(reading.value, low), high)) for reading in readings])
    of_hosts = mean_of_hosts(table)
    trimmed = MeanOfHosts(plain.value, of_hosts.error * n / (n - 2), max(1.0, min(of_hosts.degrees, n - 3)))
    return _estimate(trimmed, table, "olympic mean, t interval over hosts", confidence, unit)


def p_at_least(readings: Sequence[Reading], target: float) -> SignificanceTest:
    """The one-sided t test of whether the mean is above `target`, with the error of `mean_of_hosts`; n counts runs."""
    if not is_clustered(readings):
        return estimates.p_at_least(_values(readings), target)
    found = mean_of_hosts(HostTable(readings))
    p = float(special.stdtr(found.degrees, -(found.value - target) / found.error)) if found.error > 0 else None
    return SignificanceTest(p, len(readings), "one-sided t test of hosts' means", f"true mean <= {target:g}")


def share(readings: Sequence[Reading], confidence: float = CONFIDENCE) -> Estimate:
    """The share of successes, where a reading's value is 1 for a success and 0 for a failure.

    Wilson's interval for as many independent runs as these are worth: their number over the design effect, which
    follows from how alike runs of one host and of one seed are (Rao and Scott, Biometrics 48, 1992). It is never
    narrower than for independent runs.
    """
    n = len(readings)
    plain = estimates.share(round(sum(_values(readings))), n, confidence)
    if not is_clustered(readings):
        return plain
    table = HostTable(readings)
    effect, parts = 1.0, split(table)
    if parts is not None and parts.total > 0:
        effect += (float((table.runs_of_hosts**2).sum()) / n - 1) * parts.host / parts.total
        effect += (float((table.runs_of_seeds**2).sum()) / n - 1) * (parts.seed or 0.0) / parts.total
    low, high = estimates.wilson_interval(plain.value, n / effect, confidence)
    method = "share, Wilson interval with a design effect"
    return Estimate(plain.value, n, method, low, high, confidence, hosts=table.hosts)


def time_to_success(
    success_s: Sequence[Reading], failure_s: Sequence[Reading] = (), confidence: float = CONFIDENCE
) -> Estimate:
    """Expected seconds until a success, from the mean and the share over hosts; see the function of `estimates`."""
    if not success_s or not is_clustered([*success_s, *failure_s]):
        return estimates.time_to_success(_values(success_s), _values(failure_s), confidence)
    reached = [reading._replace(value=1.0) for reading in success_s]
    missed = [reading._replace(value=0.0) for reading in failure_s]
    success = mean(success_s, confidence)
    lost_s = mean(failure_s).value if failure_s else success.value
    found = estimates.expected_time(success, share([*reached, *missed], confidence), lost_s)
    method = "expected time to a success, MOVER interval over hosts"
    return replace(found, method=method, hosts=HostTable([*success_s, *failure_s]).hosts)


def _estimate(found: MeanOfHosts, table: HostTable, method: str, confidence: float, unit: str) -> Estimate:
    estimate = estimates.student(found.value, found.error, found.degrees, table.n, method, confidence, unit)
    return replace(estimate, hosts=table.hosts)


def _values(readings: Iterable[Reading]) -> list[float]:
    return [reading.value for reading in readings]
