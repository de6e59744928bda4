from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bench.gate import group_sequential
from bench.gate.quantity import ACCURACY, QUANTITIES
from bench.gate.verdict import Case, Verdict, judge, significance_limit

STEP, MEMORY = QUANTITIES["throughput"][:2]
RATE = next(one for one in QUANTITIES["inference"] if not one.larger_is_worse)


def times(rng: np.random.Generator, n: int, slower: float = 1.0, sd: float = 0.02) -> list[float]:
    """Seconds as a shared machine gives them: tails of Student's t with 3 degrees, and a hiccup in every 20th run."""
    noise = rng.standard_t(3, n) / 3**0.5 * sd
    hiccups = np.where(rng.random(n) < 0.05, rng.exponential(0.1, n), 0.0)
    return list(0.010 * slower * np.exp(noise + hiccups))


def follow(base: list[float], head: list[float], quantity=STEP) -> tuple[str, int]:
    """The verdict of a gate that looks as evidence comes in, and the rounds that it took."""
    for look in group_sequential.looks(len(base)):
        (judgement,) = judge([Case(quantity, base[:look], head[:look], True, len(base))])
        if judgement.verdict is not Verdict.UNSURE:
            break
    return judgement.word, look


def simulate(slower: float, repeats: int, sd: float, seed: int) -> tuple[Counter[str], float]:
    rng = np.random.default_rng(seed)
    found = [follow(times(rng, 30, 1.0, sd), times(rng, 30, slower, sd)) for _ in range(repeats)]
    return Counter(word for word, _ in found), float(np.mean([rounds for _, rounds in found]))


def test_equal_code_is_called_the_same_and_never_slower():
    """The rate itself, of 1 % at most, is measured with more repeats by `bench baseline noise`."""
    words, rounds = simulate(1.0, 150, 0.02, seed=1)
    assert words["slower"] + words["faster"] <= 3
    assert words["same"] > 0.8 * 150
    assert rounds < 22


@pytest.mark.parametrize(("slower", "least_found", "most_rounds"), [(1.05, 0.8, 22), (1.1, 0.97, 15), (1.2, 1.0, 11)])
def test_a_slow_down_is_found_the_sooner_the_larger(slower, least_found, most_rounds):
    words, rounds = simulate(slower, 30, 0.02, seed=2)
    assert words["slower"] >= least_found * 30
    assert words["same"] + words["faster"] == 0
    assert rounds <= most_rounds


def test_noise_of_each_run_being_one_of_two_speeds_raises_no_alarm():
    """Where memory happens to lie decides; a t test is fooled by that, ranks are not."""
    rng = np.random.default_rng(3)
    words = Counter()
    for _ in range(150):
        base, head = (list(0.01 * (1 + 0.08 * rng.integers(0, 2, 30))) for _ in range(2))
        words[follow(base, head)[0]] += 1
    assert words["slower"] + words["faster"] <= 3


def judged(base, head, quantity=STEP, paired=True, planned=None):
    (judgement,) = judge([Case(quantity, base, head, paired, planned)])
    return judgement


def spread(middle: float, n: int, width: float = 0.01) -> list[float]:
    return [middle * (1 + width * ((7 * i) % 11 - 5) / 5) for i in range(n)]


def test_a_difference_within_the_margin_is_the_same_however_sure_it_is():
    judgement = judged(spread(0.010, 30, 0.001), spread(0.0102, 30, 0.002))
    assert judgement.verdict is Verdict.SAME
    assert judgement.p < 0.001
    assert judgement.change.value == pytest.approx(1.02, abs=0.001)
    assert 1 < judgement.change.low < judgement.change.value < judgement.change.high < 1.03


def test_a_difference_below_the_floor_is_the_same_whatever_the_percent():
    base, head = spread(1e-5, 20), spread(1.5e-5, 20)
    assert judged(base, head).verdict is Verdict.SAME
    assert judged(base, head, replace(STEP, floor=1e-6)).verdict is Verdict.WORSE


def test_a_rate_that_falls_is_slower_and_one_that_rises_faster():
    assert judged(spread(1000, 12), spread(900, 12), RATE).word == "slower"
    assert judged(spread(1000, 12), spread(1100, 12), RATE).word == "faster"
    assert judged(spread(1000, 12), spread(900, 12), RATE).change.value == pytest.approx(0.9)


def test_samples_apart_are_judged_too():
    base, head = spread(0.010, 9), spread(0.0108, 7)
    judgement = judged(base, head, paired=False)
    assert judgement.word == "slower"
    assert judgement.n == 7


def test_too_few_say_so_and_how_many_it_takes():
    for base, head, planned in (([0.01], [0.02], None), ([0.01] * 3, [0.02] * 3, 30)):
        judgement = judged(base, head, planned=planned)
        assert judgement.verdict is Verdict.UNSURE
        assert judgement.reason
        assert judgement.rounds_needed >= 8


def test_what_is_unsure_says_what_would_decide_it():
    rng = np.random.default_rng(0)
    judgement = judged(times(rng, 8, sd=0.08), times(rng, 8, sd=0.08))
    assert judgement.verdict is Verdict.UNSURE
    assert judgement.reason
    assert judgement.rounds_needed is None or judgement.rounds_needed > 8


def test_a_slow_down_as_large_as_the_margin_has_no_number_of_rounds_that_decides():
    judgement = judged(spread(0.010, 30), spread(0.010 * 1.03, 30, 0.02))
    assert judgement.verdict is Verdict.UNSURE
    assert judgement.rounds_needed is None


def test_accuracy_is_judged_by_means_and_less_of_it_is_worse():
    base = [0.941, 0.939, 0.940, 0.942, 0.938, 0.940]
    worse = judged(base, [value - 0.01 + 0.001 * (i % 2) for i, value in enumerate(base)], ACCURACY)
    assert worse.word == "less accurate"
    assert worse.change.value == pytest.approx(-0.0095)
    assert worse.change.low < worse.change.value < worse.change.high < 0
    noisy = [value + 0.01 * (i % 3 - 1) for i, value in enumerate(base)]
    assert judged(noisy, noisy[::-1], ACCURACY, paired=False).verdict is Verdict.UNSURE
    assert judged(base, base, ACCURACY).verdict is Verdict.SAME
    assert judged(base, [value + 0.01 for value in base], ACCURACY).word == "more accurate"


def test_memory_that_hardly_varies_is_the_same_or_more():
    base = [300_000_000 + 4096 * (i % 3) for i in range(12)]
    assert judged(base, base[::-1], MEMORY).verdict is Verdict.SAME
    assert judged(base, [value + 50_000_000 for value in base], MEMORY).word == "more memory"


def test_of_many_cells_equal_code_seldom_raises_one_alarm():
    """Twenty comparisons told at once, 40 times: 5 % each would raise an alarm nearly every time."""
    rng = np.random.default_rng(5)
    noisy = replace(STEP, margin=1e-6, floor=0.0)  # significance alone
    alarms = 0
    for _ in range(40):
        found = judge([Case(noisy, times(rng, 16), times(rng, 16)) for _ in range(20)])
        alarms += any(one.verdict in (Verdict.WORSE, Verdict.BETTER) for one in found)
    assert alarms <= 3


def test_the_limit_is_benjamini_and_hochbergs():
    # Their paper's example of 15 p-values, of which the first four are significant at 5 %.
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0,
    ]  # fmt: skip
    assert significance_limit(p_values, 0.05) == 0.0095
    assert significance_limit([0.5, 0.9], 0.05) == 0
    assert significance_limit([], 0.05) == 0


def test_too_few_values_are_told_all_the_same():
    (judgement,) = judge([Case(ACCURACY, [0.93], [0.94], False, None)])
    assert (judgement.verdict, judgement.base, judgement.head) == (Verdict.UNSURE, 0.93, 0.94)
    assert judgement.change is None
