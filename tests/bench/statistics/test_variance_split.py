from __future__ import annotations

import math

import numpy as np
import pytest

from bench.statistics.variance_split import HostTable, Reading, mean_of_hosts, split


def table(values: dict[str | None, list[float]], seeds: dict[str | None, list[int]] | None = None) -> HostTable:
    """Values by host; each run has its own seed unless `seeds` are given."""
    own = iter(range(1000))
    readings = []
    for host, its in values.items():
        chosen = seeds[host] if seeds else [next(own) for _ in its]
        readings += [Reading(value, host, seed) for value, seed in zip(its, chosen, strict=True)]
    return HostTable(readings)


def test_the_mean_of_hosts_by_hand():
    # Means 11, 14 and 20: their mean is 15, their variance 21, and the error sqrt(21 / 3).
    found = mean_of_hosts(table({"a": [10, 12], "b": [14], "c": [18, 20, 22]}))
    assert (found.value, found.degrees) == (15, 2)
    assert found.error == pytest.approx(math.sqrt(7))


def test_one_way_by_hand():
    # Means 11, 14 and 20; within: 2 + 2 + 2 over 3 = 2; between: 2 · ((4)² + 1 + 5²) = 84 over 2 = 42; (42 - 2) / 2.
    parts = split(table({"a": [10, 12], "b": [13, 15], "c": [19, 21]}))
    assert parts.seed is None
    assert (parts.host, parts.run) == pytest.approx((20, 2))


def test_hosts_that_do_not_differ_have_no_variance_between_them():
    assert split(table({"a": [1, 3], "b": [3, 1]})).host == 0


@pytest.mark.parametrize("values", [{"a": [1, 2, 3]}, {"a": [1], "b": [2], "c": [4]}])
def test_one_host_or_one_run_each_cannot_be_split(values):
    assert split(table(values)) is None


def test_the_same_seeds_on_all_hosts_are_an_analysis_of_variance():
    # Hosts add 0 and 10, seeds 0, 1 and 5; one of the six runs is 6 above that.
    values = {"a": [0, 1, 5], "b": [10, 11, 21]}
    parts = split(table(values, {"a": [0, 1, 2], "b": [0, 1, 2]}))
    cells = np.array(list(values.values()), dtype=float)
    hosts, seeds = cells.mean(axis=1), cells.mean(axis=0)
    rest = cells - hosts[:, None] - seeds[None, :] + cells.mean()
    of_runs = (rest**2).sum() / 2
    assert parts.run == pytest.approx(of_runs)
    assert parts.seed == pytest.approx((2 * seeds.var(ddof=1) - of_runs) / 2)
    assert parts.host == pytest.approx((3 * hosts.var(ddof=1) - of_runs) / 3)


def test_accuracies_that_only_the_seed_decides_are_not_certain_on_many_hosts():
    """All hosts have the same mean, because all ran the same seeds: the error is that of the seeds."""
    seeds = [0, 1, 2, 3]
    accuracies = [0.93, 0.94, 0.95, 0.94]
    hosts = [f"host {number}" for number in range(8)]
    found = mean_of_hosts(table(dict.fromkeys(hosts, accuracies), dict.fromkeys(hosts, seeds)))
    assert found.error == pytest.approx(np.std(accuracies, ddof=1) / 2)
    assert found.degrees == pytest.approx(3)


def test_the_parts_are_found_in_many_runs_of_unequal_hosts():
    rng = np.random.default_rng(3)
    of_hosts, of_seeds = 3 * rng.normal(size=400), 2 * rng.normal(size=300)
    readings = []
    for host in range(400):
        for seed in rng.choice(300, size=rng.integers(2, 9), replace=False):
            readings.append(Reading(of_hosts[host] + of_seeds[seed] + rng.normal(), f"{host}", int(seed)))
    parts = split(HostTable(readings))
    assert (parts.host, parts.seed, parts.run) == pytest.approx((9, 4, 1), rel=0.2)
    assert parts.total == pytest.approx(14, rel=0.2)


def test_common_seeds_that_cannot_be_told_from_runs_count_in_full():
    """Two hosts with one seed in common: how much it contributes is unknown, so that all of it is assumed."""
    readings = [Reading(1, "a", 0), Reading(2, "a", 1), Reading(4, "b", 0), Reading(9, "b", 2)]
    apart = [reading._replace(seed=number) for number, reading in enumerate(readings)]
    assert HostTable(readings).shared_seeds == pytest.approx(1 / 4)
    assert mean_of_hosts(HostTable(readings)).error > mean_of_hosts(HostTable(apart)).error


def test_unknown_hosts_count_as_one():
    assert table({None: [1, 2], "a": [3]}).hosts == 2


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_no_value_and_no_number(values):
    with pytest.raises(ValueError, match="at least one value, and no NaN"):
        table({"a": values})
