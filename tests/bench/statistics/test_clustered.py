"""Each statistic over hosts against its namesake, against a case by hand, and against a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import clustered, estimates
from bench.statistics.reading import Reading
from tools.host_intervals import Design, coverage

DRAWS = 1000


def readings(values: Sequence[float], hosts: Sequence[str | None]) -> list[Reading]:
    return [Reading(value, host, seed) for seed, (value, host) in enumerate(zip(values, hosts, strict=True))]


# As without hosts


@given(
    values=st.lists(st.floats(0.1, 1000), min_size=3, max_size=12),
    host=st.sampled_from(["a", None]),
    unknown=st.integers(0, 12),
)
def test_runs_of_one_known_host_give_what_they_always_gave(values, host, unknown):
    found = readings(values, [host] * len(values))
    found = [*(reading._replace(host=None) for reading in found[:unknown]), *found[unknown:]]
    halves = found[: len(found) // 2], found[len(found) // 2 :]
    plain = [[reading.value for reading in half] for half in halves]
    assert clustered.mean(found, unit="s") == estimates.mean(values, unit="s")
    assert clustered.olympic_mean(found) == estimates.olympic_mean(values)
    assert clustered.p_at_least(found, 10.0) == estimates.p_at_least(values, 10.0)
    assert clustered.time_to_success(*halves) == estimates.time_to_success(*plain)
    reached = [reading._replace(value=float(reading.value > 10)) for reading in found]
    assert clustered.share(reached) == estimates.share(sum(value > 10 for value in values), len(values))


# By hand


def test_the_mean_over_hosts():
    found = clustered.mean(readings([10, 12, 14, 18, 20, 22], ["a", "a", "b", "c", "c", "c"]), unit="s")
    # t of 2 degrees at 97.5 % is 4.303, the standard error sqrt(7).
    assert (found.value, found.n, found.hosts, found.unit, found.values) == (15, 6, 3, "s", ())
    assert found.high == pytest.approx(15 + 4.3027 * math.sqrt(7), abs=1e-3)


def test_two_hosts_show_their_means():
    assert clustered.mean(readings([1, 3, 7, 9], ["a", "a", "b", "b"])).values == (2, 8)


def test_the_olympic_mean_keeps_its_value_and_a_run_that_never_arrived():
    values, hosts = [10, 11, 14, 15, 19, 20], ["a", "a", "b", "b", "c", "c"]
    found = clustered.olympic_mean(readings(values, hosts))
    assert found.value == estimates.olympic_mean(values).value
    assert found.hosts == 3
    assert found.high > estimates.olympic_mean(values).high
    missed = clustered.olympic_mean(readings([*values[:-1], math.inf], hosts))
    assert missed.value == estimates.olympic_mean([*values[:-1], math.inf]).value
    assert clustered.olympic_mean(readings([*values[:-2], math.inf, math.inf], hosts)).low is None


def test_with_a_run_each_the_olympic_mean_is_that_of_independent_runs():
    values = [10, 11, 14, 15, 19]
    found, plain = clustered.olympic_mean(readings(values, list("abcde"))), estimates.olympic_mean(values)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_successes_that_depend_on_the_host_are_worth_less():
    hosts = ["a"] * 5 + ["b"] * 5 + ["c"] * 5
    by_host = clustered.share(readings([1.0] * 5 + [0.0] * 5 + [1.0] * 5, hosts))
    mixed = clustered.share(readings([1.0, 1.0, 0.0] * 5, hosts))
    # Five runs of a host that always agree are worth one: 2 of 3.
    worth = estimates.share(2, 3)
    assert (by_host.low, by_host.high) == pytest.approx((worth.low, worth.high), abs=1e-6)
    assert (mixed.low, mixed.high) == pytest.approx((estimates.share(10, 15).low, estimates.share(10, 15).high))


def test_the_p_value_is_of_hosts():
    values, hosts = [0.941] * 5 + [0.945] * 5 + [0.943] * 5, ["a"] * 5 + ["b"] * 5 + ["c"] * 5
    found = clustered.p_at_least(readings(values, hosts), 0.94)
    # t = 0.003 / (0.002 / sqrt(3)) = 2.598 of 2 degrees.
    assert found.p == pytest.approx(0.0608, abs=1e-3)
    assert found.n == 15
    assert estimates.p_at_least(values, 0.94).p < 1e-4
    assert clustered.p_at_least(readings([0.94] * 4, ["a", "a", "b", "b"]), 0.94).p is None


def test_the_time_to_a_success_over_hosts_is_less_certain():
    rng = np.random.default_rng(0)
    hosts = [f"{number}" for number in range(4) for _ in range(6)]
    slow = np.repeat(10 * rng.normal(size=4), 6) + rng.normal(100, 1, 24)
    found = readings(list(slow), hosts)
    success, failure = [r for r in found if r.seed % 3], [r for r in found if not r.seed % 3]
    over_hosts = clustered.time_to_success(success, failure)
    plain = estimates.time_to_success([r.value for r in success], [r.value for r in failure])
    assert over_hosts.value == pytest.approx(plain.value, rel=0.01)
    assert over_hosts.high > plain.high
    assert over_hosts.hosts == 4
    assert clustered.time_to_success([], failure).value == math.inf


# By simulation: two-level data, the shares of two published recipes, and unequal numbers of runs on hosts.


@pytest.mark.parametrize("share", [0.81, 0.92])
@pytest.mark.parametrize("hosts", [3, 24])
@pytest.mark.parametrize("runs", [(8,), (2, 14, 5, 11)])
def test_intervals_over_hosts_cover_and_those_of_independent_runs_do_not(hosts, runs, share):
    found = coverage(Design(tuple(runs[host % len(runs)] for host in range(hosts)), share), DRAWS, seed=1)
    assert 0.93 <= found.by_host <= 0.97
    assert found.as_if_independent < 0.75


@pytest.mark.parametrize("of_hosts", [0.5, 0.0])
def test_intervals_cover_where_all_hosts_ran_the_same_seeds(of_hosts):
    found = coverage(Design((8,) * 6, of_hosts, 0.45, same_seeds=True), DRAWS, seed=1)
    assert 0.93 <= found.by_host <= 0.98
    assert found.as_if_independent < 0.8


def test_olympic_means_over_hosts_cover():
    rng, held = np.random.default_rng(2), 0
    design = Design((4,) * 6, 0.85)
    for _ in range(DRAWS):
        found = clustered.olympic_mean(design.readings(rng))
        held += found.low <= 100 <= found.high
    assert 0.92 <= held / DRAWS <= 0.97
