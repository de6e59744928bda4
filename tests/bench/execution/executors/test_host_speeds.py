"""Hosts of a cluster are timed once, before their first run, and compared with each other."""

from __future__ import annotations

import pytest

from bench.execution.executors.host_speeds import HostSpeeds
from bench.execution.executors.nodes import Node
from bench.execution.executors.on_host import HostFacts
from bench.execution.host_check import HostCheck
from bench.execution.measured import Lost
from bench.runs.slow_hosts import KnownReferences


def node(name, host):
    return Node(name, 1, 0, HostFacts({"id": "kind", "host": host}, f"boot of {host}", (0,)))


class Timings:
    """Timings by the host's name; None has not ended, {} has no times, Lost has to begin again."""

    def __init__(self, **seconds):
        self.seconds, self.begun = seconds, []

    def begin(self, of):
        self.begun.append(of.id)
        return of.facts.machine["host"]

    def find(self, host):
        found = self.seconds[host]
        if isinstance(found, Lost):
            self.seconds[host] = None
            raise found
        return {"matrix_product_s": found} if isinstance(found, float) else found


@pytest.fixture
def speeds():
    """Those of hosts that take so many seconds, of which the store knows none."""

    def make(**seconds):
        timings = Timings(**seconds)
        return HostSpeeds(HostCheck(KnownReferences([]), False), timings.begin, timings.find), timings

    return make


def test_hosts_are_judged_by_each_other_and_nodes_on_one_machine_are_timed_once(speeds):
    made, timings = speeds(a=1.0, b=1.0, c=1.4)
    made.hold([node("1", "a"), node("2", "a"), node("3", "b"), node("4", "c")])
    assert timings.begun == ["1", "3", "4"]
    why = {of.id: why for of, why in made.judged()}
    slow = "a matrix product takes 40% longer than on 2 other hosts of its kind"
    assert why == {"1": None, "2": None, "3": None, "4": slow}
    assert made.held == {}


def test_what_is_found_stands_in_the_facts_of_the_machine(speeds):
    made, _ = speeds(a=1.0, b=2.0)
    made.hold([node("1", "a"), node("2", "b")])
    (first, _), (second, why) = made.judged()
    assert first.facts.machine["reference"] == {"matrix_product_s": 1.0}
    assert first.facts.machine["off"] is None
    assert second.facts.machine["off"] == why


def test_a_node_waits_until_its_host_has_answered(speeds):
    made, timings = speeds(a=1.0, b=None)
    made.hold([node("1", "a"), node("2", "b")])
    assert [of.id for of, _ in made.judged()] == ["1"]
    assert list(made.held) == ["2"]
    timings.seconds["b"] = 1.0
    assert [of.id for of, _ in made.judged()] == ["2"]


def test_a_node_that_comes_later_shares_the_timing_of_its_machine(speeds):
    made, timings = speeds(a=1.0)
    made.hold([node("1", "a")])
    made.judged()
    made.hold([node("2", "a")])
    assert [of.id for of, _ in made.judged()] == ["2"]
    assert timings.begun == ["1"]


def test_a_lost_timing_begins_again_and_a_lost_node_is_forgotten(speeds):
    made, timings = speeds(a=Lost("its node is gone"))
    made.hold([node("1", "a")])
    assert made.judged() == []
    assert made.judged() == []
    assert timings.begun == ["1", "1"]
    made.forget({})
    assert made.held == {}


def test_kernels_that_do_not_end_are_off(speeds):
    made, _ = speeds(a={})
    made.hold([node("1", "a")])
    ((_, why),) = made.judged()
    assert "did not end within" in why
