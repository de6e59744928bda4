"""Two sides of a comparison, value by value: one a run or, where runs come from several hosts, one a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from bench.statistics import LEAST_FOR_INTERVAL, clustered
from bench.statistics.reading import Reading


class TwoSides(NamedTuple):
    """The values of both sides. Those of `paired` hosts stand at the same place in `a` and in `b`."""

    a: list[float]
    b: list[float]
    by_host: bool = False
    paired: bool = False


def two_sides(a: Sequence[Reading], b: Sequence[Reading]) -> TwoSides:
    """The values to compare: of several hosts the mean of each one's runs.

    If both sides ran on the same hosts, or have at least three in common, these are pairs, in which the differences
    between hosts cancel. A host that is not known is one like any other.
    """
    if not clustered.is_clustered([*a, *b]):
        return TwoSides([reading.value for reading in a], [reading.value for reading in b])
    of_a, of_b = _of_hosts(a), _of_hosts(b)
    common = [host for host in of_a if host in of_b]
    if len(common) >= LEAST_FOR_INTERVAL or (len(common) > 1 and of_a.keys() == of_b.keys()):
        return TwoSides([of_a[host] for host in common], [of_b[host] for host in common], True, True)
    return TwoSides(list(of_a.values()), list(of_b.values()), True)


def _of_hosts(readings: Sequence[Reading]) -> dict[str | None, float]:
    found: dict[str | None, list[float]] = defaultdict(list)
    for reading in readings:
        found[reading.host].append(reading.value)
    return {host: fmean(values) for host, values in found.items()}
