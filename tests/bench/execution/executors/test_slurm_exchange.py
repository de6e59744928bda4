"""The files by which a job and its driver talk."""

from __future__ import annotations

import pytest

from bench.execution.executors.slurm_exchange import EVENTS, START, Exchange

TRAIN = {"kind": "phase", "name": "train", "spans": [{"name": "data"}]}


@pytest.fixture
def exchange(tmp_path):
    return Exchange(tmp_path)


def test_messages_are_read_once_and_only_whole_ones(exchange):
    assert exchange.told() == ([], 0)
    exchange.tell(START)
    exchange.tell(TRAIN)
    events, after = exchange.told()
    assert events == [START, TRAIN]
    with open(exchange.folder / EVENTS, "a") as file:
        file.write('{"kind": "ep')
    assert exchange.told(after) == ([], after)
    with open(exchange.folder / EVENTS, "a") as file:
        file.write('och", "epoch": 1}\n')
    assert exchange.told(after)[0] == [{"kind": "epoch", "epoch": 1}]


def test_each_start_of_a_job_is_a_part_of_its_own(exchange):
    first, second = {"kind": "epoch", "epoch": 1}, {"kind": "epoch", "epoch": 2}
    refused = {"kind": "refused", "message": "no", "exit_code": 3}
    for event in (START, TRAIN, first, START, first, second, refused):
        exchange.tell(event)
    parts = exchange.parts()
    assert [[epoch["epoch"] for epoch in part.epochs] for part in parts] == [[1], [1, 2]]
    assert (parts[0].phase, parts[0].spans) == ("train", [{"name": "data"}])


def test_a_job_has_begun_once_it_has_left_something(exchange):
    assert not exchange.has_begun
    exchange.beat()
    assert not exchange.has_begun
    exchange.tell(START)
    assert exchange.has_begun


def test_ranks_of_one_part_do_not_meet_where_those_of_an_earlier_one_met(exchange):
    exchange.meet("0-0", "first:1")
    assert (exchange.meet("0-0"), exchange.meet("1-0")) == ("first:1", None)


def test_what_is_kept_is_found_in_order_and_can_be_forgotten(exchange):
    assert (exchange.find("cut-000"), exchange.count()) == (None, 0)
    for number in (2, 0, 10):
        exchange.keep(f"cut-{number:03}", number)
    exchange.forget("cut-000")
    assert exchange.found("cut-*") == [2, 10]
    exchange.set_count(2)
    assert exchange.count() == 2
