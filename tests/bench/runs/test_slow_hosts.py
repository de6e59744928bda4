from __future__ import annotations

import pytest

from bench.runs.slow_hosts import KnownReferences, off, told

USUAL_S = {"matrix_product_s": 0.010, "matrix_product_hz": None, "memory_copy_s": 0.050, "memory_copy_hz": None}


@pytest.fixture
def on(make_run):
    """A run on a host, whose reference kernels take so many times the usual seconds."""

    def make(host, product=1.0, copy=1.0, machine="m", **facts):
        reference = USUAL_S | {"matrix_product_s": 0.010 * product, "memory_copy_s": 0.050 * copy}
        return make_run(machine={"id": machine, "host": host, "reference": reference, **facts})

    return make


def here(product=1.0, copy=1.0, host="here", machine="m"):
    reference = USUAL_S | {"matrix_product_s": 0.010 * product, "memory_copy_s": 0.050 * copy}
    return {"id": machine, "host": host, "reference": reference}


def test_a_host_that_is_slower_than_the_others_is_off(on):
    known = KnownReferences([on("a"), on("b", 1.02), on("c", 0.98)])
    assert off(here(1.31), known) == "a matrix product takes 31% longer than on 3 other hosts of its kind"
    both = "a matrix product takes 20% longer than on 3 other hosts of its kind and a memory copy takes 50% longer"
    assert off(here(1.2, 1.5), known).startswith(both)
    assert off(here(1.08, 0.95), known) is None


def test_one_other_host_is_enough_to_be_slow_but_not_to_be_fast(on):
    one = KnownReferences([on("a")])
    assert "longer than on 1 other host of its kind" in off(here(1.5), one)
    assert off(here(0.5), one) is None
    assert "takes 50% less than on 3 other hosts" in off(here(0.5), KnownReferences(map(on, "abc")))


def test_only_other_hosts_of_the_same_kind_count(on):
    """Not its own earlier readings, another kind of machine, a run without a reading, or one of an unknown host."""
    assert off(here(9), KnownReferences([on("here"), on("a", machine="another"), on(None)])) is None
    assert off(here(9), KnownReferences([])) is None


def test_a_hidden_or_missing_time_is_no_reading(on, make_run):
    empty = make_run(machine={"id": "m", "host": "b", "reference": {"matrix_product_s": None}})
    without = make_run(machine={"id": "m", "host": "c"})
    assert off(here(1.5), KnownReferences([on("a"), empty, without])).startswith("a matrix product takes 50%")


def test_each_host_of_a_set_is_judged_by_the_others(on):
    runs = [on("a"), on("a"), on("b"), on("c", 1.4), on("c", 1.4), on("d")]
    assert told(runs) == "host c is off: a matrix product takes 40% longer than on 3 other hosts of its kind"
    assert told(runs[:3]) is None


def test_what_was_known_when_a_run_began_is_told_too(make_run):
    run = make_run(machine={"id": "m", "host": "x", "off": "a memory copy takes 60% longer"})
    assert told([run]) == "host x is off: a memory copy takes 60% longer"


def test_a_host_without_runs_is_known_by_what_it_says_now(on):
    known = KnownReferences([on("a")])
    known.add(here(host="b"))
    known.add(here(9, host="a"))
    known.add({"id": "m", "host": "c"})
    assert set(known.of_hosts({"id": "m"})) == {"a", "b"}
    assert off(here(1.5), known) == "a matrix product takes 50% longer than on 2 other hosts of its kind"
