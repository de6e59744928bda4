from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.reading import Reading
from bench.statistics.shortage import shortage, told


def drawn(hosts: int, runs: int, of_hosts: float, of_seeds: float, of_runs: float, same_seeds: bool) -> list[Reading]:
    """Readings whose sample has nearly the given deviations, whatever the draw."""
    rng = np.random.default_rng(0)
    effects = of_hosts * np.linspace(-1.5, 1.5, hosts)
    seeds = of_seeds * rng.normal(size=hosts * runs)
    readings = []
    for host in range(hosts):
        for run in range(runs):
            seed = run if same_seeds else host * runs + run
            value = 100 + effects[host] + seeds[seed] + of_runs * rng.normal()
            readings.append(Reading(float(value), f"host {host}", seed))
    return readings


def test_hosts_are_lacking_where_they_differ_most():
    found = shortage(drawn(4, 3, 10, 0, 1, same_seeds=False))
    assert found.lacking == "hosts"
    assert found.narrower_by < 0.1
    # From 4 hosts to 4 + h the interval shrinks by t and by the root; 3.18 / 2 at three degrees, 2.31 / 3 at eight.
    assert (found.hosts, found.runs) == (5, 15)
    assert "15 more runs on these 4 hosts will not help, 5 more hosts would halve the interval" in str(found)
    assert "of the variance, 100% between hosts, 0% between runs" in str(found)


def test_runs_are_lacking_where_hosts_hardly_differ():
    found = shortage(drawn(6, 2, 0.1, 0, 5, same_seeds=False))
    assert found.lacking == "runs"
    assert "more runs on these 6 hosts would narrow the interval by" in str(found)


def test_seeds_are_lacking_where_all_hosts_ran_the_same_few():
    found = shortage(drawn(8, 3, 0.1, 5, 0.1, same_seeds=True))
    assert found.lacking == "seeds"
    assert found.hosts is None
    assert "more hosts with the same seeds would not halve the interval" in str(found)


def test_one_run_each_cannot_be_split():
    said = told([Reading(1, "a", 0), Reading(2, "b", 1), Reading(3, "c", 2)])
    assert said.startswith("3 runs on 3 hosts, and each host counts once: with one run each")


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_equal_values_lack_nothing(value):
    readings = [Reading(value, host, seed) for seed, host in enumerate("aabb")]
    assert shortage(readings) is None
    assert told(readings) == "4 runs on 2 hosts, and each host counts once"
