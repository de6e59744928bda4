from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.spec.host_choice import HostChoice
from bench.spec.matrix import Cell
from bench.spec.sweep_plan import PlannedRun

MACHINE = {"id": "0123456789ab", "host": "fedcba987654"}


def entry(seed=0, **values):
    return PlannedRun(Cell(values, "c", {}, None), seed, None, "run")


@pytest.mark.parametrize("pin", ["0123", "0123456789ab", "fedc", None])
def test_a_machine_is_pinned_by_its_fingerprint_or_its_host(pin):
    assert HostChoice(pin).refusal(MACHINE) is None


def test_another_machine_is_refused_with_both_names():
    told = HostChoice("beef").refusal(MACHINE)
    assert told == "--pin beef: this is another machine, 0123456789ab, on host fedcba987654"
    assert HostChoice("aaaa").refusal({"id": "0123456789ab"}).endswith("on host None")


@pytest.mark.parametrize("pin", ["", "abc", "01234567890ab", "node-1", "ABCD"])
def test_what_cannot_be_a_fingerprint_is_refused_with_the_remedy(pin):
    with pytest.raises(UsageError, match=r"give the first 4 to 12 hex digits .* `bench env` prints both"):
        HostChoice(pin)


def test_the_arms_of_a_comparison_stay_together_with_all_their_seeds():
    choice = HostChoice()
    assert choice.set_of(entry(0, arm="a", model="x")) == choice.set_of(entry(7, arm="b", model="x"))
    assert choice.set_of(entry(0, arm="a", model="x")) != choice.set_of(entry(0, arm="a", model="y"))
    assert choice.set_of(entry(0, model="x")) is None


def test_rounds_and_whole_sweeps_stay_together_where_asked():
    rounds, whole = HostChoice(rounds=True), HostChoice(same_machine=True)
    assert (
        rounds.set_of(entry(1, model="x")) == rounds.set_of(entry(1, model="y")) != rounds.set_of(entry(2, model="x"))
    )
    assert whole.set_of(entry(1, model="x")) == whole.set_of(entry(2, arm="a")) is not None
