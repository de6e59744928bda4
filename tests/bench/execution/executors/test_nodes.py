"""Which cores the runs of a cluster's nodes get, and when there is room."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.errors import UsageError
from bench.execution.executors import nodes
from bench.execution.executors.nodes import NODELESS_S, Lack, Node, neighbours_of, share_out
from bench.execution.executors.on_host import HostFacts
from bench.execution.measured import Refused


def node(name, cpus, cores, gpus=0, boot=None, jobs=1, others=(), on_gpus=False):
    made = Node(name, cpus, gpus, HostFacts({"id": name}, boot or name, tuple(cores)))
    share_out(made, jobs, on_gpus, list(others))
    return made


def test_a_run_alone_on_a_machine_is_not_bound_and_has_no_neighbours():
    alone = node("a", 8, range(8))
    assert [share.cores for share in alone.free] == [None]
    assert neighbours_of(alone, [alone, node("b", 8, range(8))]) == 0


def test_jobs_of_a_node_have_cores_of_their_own():
    made = node("a", 8, range(8), jobs=2)
    assert [share.cores for share in made.free] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert neighbours_of(made, [made]) == 1
    assert made.devices(on_gpus=False) == 4


def test_nodes_on_one_machine_have_different_cores_and_are_neighbours():
    first = node("a", 1, (4, 5), boot="one")
    second = node("b", 1, (4, 5), boot="one", others=[first])
    assert [share.cores for share in (*first.free, *second.free)] == [(4,), (5,)]
    assert neighbours_of(first, [first, second]) == 1


def test_a_node_that_comes_back_gets_the_cores_that_are_free():
    first = node("a", 1, (4, 5), boot="one")
    second = node("b", 1, (4, 5), boot="one", others=[first])
    again = node("c", 1, (4, 5), boot="one", others=[second])
    assert again.cores == first.cores != second.cores


def test_a_node_that_promises_more_cores_than_are_left_is_bound_to_none():
    first = node("a", 1, (0, 1), boot="one")
    second = node("b", 2, (0, 1), boot="one", others=[first])
    assert [share.cores for share in (*first.free, *second.free)] == [(0,), None]


def test_gpus_are_counted_and_given_back():
    made = node("a", 16, range(16), gpus=4, jobs=None, on_gpus=True)
    assert (made.slots, made.cpus_of_a_run) == (4, 4)
    assert made.has_room(3, on_gpus=True)
    share = made.take(3)
    assert not made.has_room(2, on_gpus=True)
    assert made.has_room(1, on_gpus=True)
    made.give_back(share, 3)
    assert made.has_room(4, on_gpus=True)


@pytest.mark.parametrize(("on_gpus", "words"), [(False, "has 2 CPUs"), (True, "has 1 GPUs")])
def test_more_jobs_than_a_node_has_devices_are_refused(on_gpus, words):
    with pytest.raises(UsageError, match=f"--jobs 3: a node of the cluster {words}"):
        node("a", 2, range(2), gpus=1, jobs=3, on_gpus=on_gpus)


def test_a_run_that_the_nodes_have_lacked_the_devices_for_is_refused_after_a_while(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    both = SimpleNamespace(devices=4, nodes=2)
    small, large = node("a", 1, range(1)), node("b", 2, range(2))
    large.take(0)
    lack = Lack()
    lack.check(both, [small, large], on_gpus=False)
    now_s[0] = NODELESS_S
    lack.check(both, [small, large], on_gpus=False)
    now_s[0] += 1
    with pytest.raises(Refused, match="needs 2 nodes with 2 cores each, and the cluster has had 1 for 60 s; add"):
        lack.check(both, [small, large], on_gpus=False)
    # A busy node is none that lacks anything, and what comes back in time ends the wait.
    lack.check(both, [small, large], on_gpus=False)
    lack.check(both, [large, node("c", 2, range(2))], on_gpus=False)
    now_s[0] += NODELESS_S + 1
    lack.check(both, [small, large], on_gpus=False)
