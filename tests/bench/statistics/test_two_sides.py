"""Two sides of a comparison: by runs on one host, by hosts on several, in pairs where hosts ran both."""

from __future__ import annotations

from bench.statistics.reading import Reading
from bench.statistics.two_sides import TwoSides, two_sides


def readings(**of_hosts: list[float]) -> list[Reading]:
    return [Reading(value, host, seed) for host, values in of_hosts.items() for seed, value in enumerate(values)]


def test_runs_of_one_host_count_each():
    assert two_sides(readings(x=[1.0, 2.0]), readings(x=[3.0])) == TwoSides([1.0, 2.0], [3.0])
    unknown = [Reading(1.0, None, 0), Reading(2.0, None, 1)]
    assert two_sides(unknown, readings(x=[3.0])) == TwoSides([1.0, 2.0], [3.0])


def test_of_several_hosts_each_counts_once():
    found = two_sides(readings(x=[1.0, 3.0], y=[5.0]), readings(z=[7.0, 9.0]))
    assert found == TwoSides([2.0, 5.0], [8.0], by_host=True)


def test_hosts_that_ran_both_sides_are_pairs():
    a, b = readings(x=[1.0], y=[2.0, 4.0]), readings(y=[6.0], x=[2.0])
    assert two_sides(a, b) == TwoSides([1.0, 3.0], [2.0, 6.0], by_host=True, paired=True)


def test_three_hosts_in_common_are_enough_for_pairs_and_two_of_several_are_not():
    a = readings(x=[1.0], y=[2.0], z=[3.0], only_a=[9.0])
    assert two_sides(a, readings(x=[2.0], y=[4.0], z=[6.0])) == TwoSides([1, 2, 3], [2, 4, 6], True, True)
    assert two_sides(a, readings(x=[2.0], y=[4.0])) == TwoSides([1, 2, 3, 9], [2, 4], True, False)
