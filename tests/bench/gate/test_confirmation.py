import numpy as np
import pytest

from bench.gate.confirmation import confirmed, slower
from bench.gate.quantity import ACCURACY, QUANTITIES
from bench.gate.report import GateFinding, Report, Side
from bench.gate.verdict import Case, Verdict, judge
from bench.report.terminal.gate_rows import reasons

WALL = QUANTITIES["command"][0]


def finding(ratio: float, rounds: int = 20, seed: int = 0, noise: float = 0.01, quantity=WALL) -> GateFinding:
    """What the gate says of a cell that takes so many times as long in head."""
    rng = np.random.default_rng(seed)
    base, head = np.exp(rng.normal(0, noise, rounds)), ratio * np.exp(rng.normal(0, noise, rounds))
    (judgement,) = judge([Case(quantity, list(base), list(head), True, 30)])
    return GateFinding("train", "command", judgement)


def settled(first: GateFinding, second: GateFinding) -> GateFinding:
    (found,) = confirmed([first], [second])
    return found


def test_a_slow_down_that_both_places_show_stands():
    found = settled(finding(1.10), finding(1.09, seed=1))
    assert found.verdict is Verdict.WORSE
    assert "confirmed by a second checkout at another path: +" in found.why


@pytest.mark.parametrize("second", [1.0, 0.97], ids=["the same", "faster"])
def test_what_only_one_place_shows_fails_no_build(second):
    found = settled(finding(1.10), finding(second, seed=1))
    assert found.verdict is Verdict.UNSURE
    assert "it may be the place in memory and not the code" in found.why
    (told,) = reasons(Report(Side("base"), Side("head"), [found]))
    assert told.endswith("; measure again with --fresh")  # and nothing of more runs or another margin


def test_a_place_that_is_surely_but_less_slower_counts_where_the_mean_is_above_the_margin():
    assert settled(finding(1.08), finding(1.015, seed=1, noise=0.002)).verdict is Verdict.WORSE
    assert settled(finding(1.022, noise=0.0005), finding(1.005, seed=1, noise=0.0005)).verdict is Verdict.UNSURE


def test_too_few_rounds_of_the_second_place_are_told():
    found = settled(finding(1.10), finding(1.10, rounds=7, seed=1))
    assert found.verdict is Verdict.UNSURE
    assert "give a larger --budget" in found.why


def test_only_times_that_are_slower_are_measured_again():
    faster, same = finding(0.9), finding(1.0)
    lost = finding(0.9, quantity=ACCURACY)
    assert lost.verdict is Verdict.WORSE
    assert slower([faster, same, lost, finding(1.1)]) == [finding(1.1)]
    assert confirmed([faster, same, lost], []) == [faster, same, lost]
