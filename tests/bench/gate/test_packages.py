"""How a difference between the packages of two sides is told."""

from __future__ import annotations

from bench.gate.packages import difference


def test_a_difference_names_a_few_packages():
    before, after = {"a": "1", "b": "1", "same": "1"}, {"a": "2", "c": "1", "d": "1", "e": "1", "same": "1"}
    assert difference(before, after) == "a 1 → 2, b 1 → none, c none → 1, d none → 1, and 1 more"
    assert difference(before, before) is None


def test_nothing_is_told_of_packages_that_are_not_known():
    assert difference({}, {"numpy": "1.0"}) is None
