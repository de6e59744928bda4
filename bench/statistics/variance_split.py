"""The variance of runs from several hosts, split into what differs between hosts, between seeds and between runs.

The model: a value is the sum of a mean, an effect of its host, an effect of its seed and an effect of the run, all
independent. The three variances follow from sums of squares by Henderson's methods 1 and 3 ("Estimation of variance and
covariance components", Biometrics 9, 1953). For balanced runs they are those of the analysis of variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bench.statistics.reading import Reading

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SeedVariance:
    """The variance between seeds, that of runs with the same seed, and the degrees of freedom of the first.

    `most_degrees` are those that it would have if runs with the same seed were equal.
    """

    value: float
    of_runs: float
    degrees: float
    most_degrees: int


@dataclass(frozen=True)
class VarianceSplit:
    """Variances in the square of the values' unit. `seed` is None if no seed was repeated: it is then within `run`."""

    host: float
    seed: float | None
    run: float

    @property
    def total(self) -> float:
        return self.host + (self.seed or 0.0) + self.run


class HostTable:
    """Readings by host and seed. Those of unknown hosts together count as one host."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        """Raises ValueError without readings, and for a NaN."""
        self.values = np.array([reading.value for reading in readings], dtype=np.float64)
        if self.values.size == 0 or np.isnan(self.values).any():
            raise ValueError("a statistic needs at least one value, and no NaN")
        _, self._host = np.unique([reading.host or "" for reading in readings], return_inverse=True)
        _, self._seed = np.unique([reading.seed for reading in readings], return_inverse=True)
        self.counts = np.zeros((self._host.max() + 1, self._seed.max() + 1))
        np.add.at(self.counts, (self._host, self._seed), 1)
        self._centred = self.values - self.values.mean()

    @property
    def n(self) -> int:
        return self.values.size

    @property
    def hosts(self) -> int:
        return len(self.counts)

    @property
    def runs_of_hosts(self) -> Floats:
        """The number of runs on each host."""
        of_hosts: Floats = self.counts.sum(axis=1)
        return of_hosts

    @property
    def runs_of_seeds(self) -> Floats:
        of_seeds: Floats = self.counts.sum(axis=0)
        return of_seeds

    @cached_property
    def host_means(self) -> Floats:
        means: Floats = self.values.mean() + np.bincount(self._host, self._centred) / self.runs_of_hosts
        return means

    @cached_property
    def within_hosts(self) -> float:
        """The sum of squares of the differences from each host's mean."""
        return float(((self.values - self.host_means[self._host]) ** 2).sum())

    @cached_property
    def shared_seeds(self) -> float:
        """How much two hosts have in common because they ran the same seeds, on average over all pairs of hosts.

        It is the factor of the variance between seeds in the covariance of two hosts' means: 0 if no two hosts ran the
        same seed, 1/m if all ran the same m seeds.
        """
        shares = self.counts / self.runs_of_hosts[:, None]
        common = shares @ shares.T
        return float(common.sum() - np.trace(common)) / (self.hosts * (self.hosts - 1))

    @cached_property
    def seeds(self) -> SeedVariance | None:
        """None if the runs do not tell seeds and runs apart, for which some seeds must be repeated."""
        # The effects of seeds are eliminated first, so that the equations have one unknown a host.
        of_seeds = np.bincount(self._seed, self._centred) / self.runs_of_seeds
        rest = self._centred - of_seeds[self._seed]
        sums = np.bincount(self._host, rest)
        equations = np.diag(self.runs_of_hosts) - (self.counts / self.runs_of_seeds) @ self.counts.T
        rank = int(np.linalg.matrix_rank(equations))
        degrees_of_runs, degrees_of_seeds = self.n - len(of_seeds) - rank, len(of_seeds) + rank - self.hosts
        if degrees_of_runs < 1 or degrees_of_seeds < 1:
            return None
        squares_of_runs = max(0.0, float(rest @ rest - sums @ np.linalg.pinv(equations) @ sums))
        squares_of_seeds = max(0.0, self.within_hosts - squares_of_runs)
        of_runs, of_both = squares_of_runs / degrees_of_runs, squares_of_seeds / degrees_of_seeds
        if of_both <= of_runs:
            return SeedVariance(0.0, of_runs, 1.0, degrees_of_seeds)
        factor = self.n - float((self.counts**2 / self.runs_of_hosts[:, None]).sum())
        degrees = (of_both - of_runs) ** 2 / (of_both**2 / degrees_of_seeds + of_runs**2 / degrees_of_runs)
        return SeedVariance(degrees_of_seeds * (of_both - of_runs) / factor, of_runs, degrees, degrees_of_seeds)


def split(table: HostTable) -> VarianceSplit | None:
    """The three variances, none below zero; None if there is one host, or if no host has two runs.

    Hosts and runs cannot be told apart if each host has a single run.
    """
    n, hosts, of_hosts = table.n, table.hosts, table.runs_of_hosts
    if hosts < 2 or n == hosts:
        return None
    between = float((of_hosts * (table.host_means - table.values.mean()) ** 2).sum())
    factor = n - float((of_hosts**2).sum()) / n
    if (seeds := table.seeds) is None:
        run = table.within_hosts / (n - hosts)
        return VarianceSplit(max(0.0, between - (hosts - 1) * run) / factor, None, run)
    of_seeds = (table.counts**2 / of_hosts[:, None]).sum() - (table.runs_of_seeds**2).sum() / n
    expected = (hosts - 1) * seeds.of_runs + float(of_seeds) * seeds.value
    return VarianceSplit(max(0.0, between - expected) / factor, seeds.value, seeds.of_runs)


@dataclass(frozen=True)
class MeanOfHosts:
    """The mean of the hosts' means, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    degrees: float


def mean_of_hosts(table: HostTable) -> MeanOfHosts:
    """Each host's mean is one value, whatever the number of its runs; needs two hosts.

    Student's t of the hosts' means, with one degree of freedom fewer than hosts, is exact for equal numbers of runs on
    each host, and at 95 % it does not fall short for unequal numbers (Ibragimov and Müller, "t-statistic based
    correlation and heterogeneity robust inference", Journal of Business and Economic Statistics 28, 2010).

    Hosts that ran the same seeds have the effects of these seeds in common, which their means do not show. That part
    of the variance is added, with the degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 1946). If the runs do
    not tell how much seeds differ, the whole variance within hosts is taken instead, which is too much.
    """
    means, hosts = table.host_means, table.hosts
    of_hosts = float(means.var(ddof=1)) / hosts
    seeds = _shared_seeds(table)
    variance = of_hosts + seeds.value
    degrees: float = hosts - 1
    if seeds.value > 0:
        degrees = variance**2 / (of_hosts**2 / (hosts - 1) + seeds.value**2 / seeds.degrees)
        # With differences of sums of squares the formula may give less than either of its parts has.
        degrees = max(degrees, min(hosts - 1, seeds.most_degrees))
    return MeanOfHosts(float(means.mean()), math.sqrt(variance), degrees)


def _shared_seeds(table: HostTable) -> SeedVariance:
    """What the seeds that hosts have in common add to the variance of the mean of hosts."""
    common, degrees = table.shared_seeds, table.n - table.hosts
    if common == 0 or degrees == 0:
        return SeedVariance(0.0, 0.0, 1.0, 1)
    if (seeds := table.seeds) is not None:
        return replace(seeds, value=common * seeds.value)
    within = table.within_hosts / degrees
    return SeedVariance(common * within, within, degrees, degrees)
