"""Comparisons of runs from several hosts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import UsageError
from bench.gate.compare import Limits, compare
from bench.gate.hosts import on_common_hosts, on_machine
from bench.gate.source import Result
from bench.report.terminal.gate_rows import row
from bench.spec.host_choice import HostChoice

SPEEDS = {"a": 1.00, "b": 1.21, "c": 0.86, "d": 1.09, "e": 0.94, "f": 1.15}


def results(hosts: str, factor: float = 1.0, first_minute: int = 0, runs: int = 4) -> list[Result]:
    """Steps of 10 ms on hosts of very different speeds; runs of a host differ by a percent."""
    rng = np.random.default_rng(first_minute)
    made = []
    for position, host in enumerate(host for host in hosts for _ in range(runs)):
        step_s = 0.01 * SPEEDS[host] * factor * float(np.exp(0.01 * rng.normal()))
        at = f"2026-11-20T10:{first_minute + position // 60:02d}:{position % 60:02d}Z"
        machine = {"id": "m", "host": host}
        made.append(Result({"model": "x"}, "digits", "throughput", at, {"step_min_s": step_s}, machine, seed=position))
    return made


def judged(base, head, **options):
    findings, notes = compare(base, head, Limits(), **options)
    return findings[0], notes


def test_equal_hosts_on_both_sides_are_pairs_and_their_differences_cancel():
    finding, notes = judged(results("abcdef"), results("abcdef", 1.1, 30))
    assert finding.word == "slower"
    change = finding.judgement.change
    assert (change.method, change.n, change.hosts) == ("t of hosts, in pairs", 6, 6)
    assert change.low < 1.1 < change.high
    assert row(finding)[-1] == "6 hosts"
    assert (
        "runs of several hosts (the base's 24 of 6 hosts, head's 24 of 6 hosts): the 6 that both sides have" in notes[0]
    )


def test_equal_code_on_other_hosts_is_not_called_slower():
    """As if the runs were independent, these 24 runs would be slower for sure."""
    base, head = results("ace"), results("bdf", 1.0, 30)
    finding, notes = judged(base, head)
    assert finding.word == "unsure"
    assert finding.judgement.change.method == "t of hosts"
    assert "each host counts once" in notes[0]
    assert "more hosts would halve the interval" in notes[0]
    unknown = [[replace(result, machine={"id": "m"}) for result in side] for side in (base, head)]
    assert judged(*unknown)[0].word == "slower"


def test_one_host_against_another_tells_nothing_of_the_code():
    finding, _ = judged(results("a", runs=12), results("b", 1.0, 30, runs=12))
    assert finding.word == "unsure"
    assert "too few to tell hosts from code" in finding.why
    assert judged(results("a", runs=12), results("b", 1.0, 30, runs=12), any_machine=True)[0].word == "slower"
    assert judged(results("a", runs=12), results("bd", 1.0, 30, runs=6), any_machine=True)[0].word == "slower"


@pytest.mark.parametrize("host", ["a", None])
def test_on_one_host_all_is_as_it_was(host):
    sides = [results("a", runs=12), results("a", 1.1, 30, runs=12)]
    known = [[replace(one, machine={"id": "m", "host": host}) for one in side] for side in sides]
    plain = [[replace(one, machine={"id": "m"}) for one in side] for side in sides]
    assert judged(*known) == judged(*plain)
    assert judged(*known)[0].judgement.change.hosts is None


def test_accuracies_stay_paired_by_seed():
    sides = [
        [replace(one, measure="time_to_accuracy", metrics={"accuracy": 0.94 + 0.001 * (one.seed % 3)}) for one in side]
        for side in (results("abc"), results("abc", first_minute=30))
    ]
    finding, _ = judged(*sides)
    assert finding.judgement.change.method == "mean difference of pairs"
    assert finding.judgement.n == 12


def test_a_pin_and_common_hosts_choose_the_runs():
    base, head = results("abc"), results("bcd")
    assert {result.host for result in on_machine(base, HostChoice(), "A")} == {"a", "b", "c"}
    assert [{result.host for result in side} for side in on_common_hosts(base, head)] == [{"b", "c"}, {"b", "c"}]
    with pytest.raises(UsageError, match="no host in common; run one of them where the other ran"):
        on_common_hosts(results("a"), results("b"))
    with pytest.raises(UsageError, match="--pin beef: A has no run of this machine; its runs are of m on host a"):
        on_machine(base, HostChoice("beef"), "A")
