"""Verdicts from recorded runs: planted effects are found, equal things stay equal, unlike runs are not mixed."""

import numpy as np
import pytest

from bench.claims import effect as effects
from bench.claims.evidence import answer, is_complete
from bench.claims.verdict import ClaimVerdict, find
from bench.errors import UsageError
from bench.runs.run import Run
from bench.runs.store import Store
from tests.bench.claims.conftest import MATRIX

FAST, SLOW = [1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 2.1, 1.9, 2.2, 1.8]
TURNED = {"below: 1": "above: 1"}


def test_a_planted_effect_is_confirmed_with_its_interval(make_claim, record):
    claim = make_claim()
    found = answer(claim, record(claim, 0, FAST) + record(claim, 1, SLOW))
    assert found.verdict is ClaimVerdict.CONFIRMED
    effect = found.findings[0].effect
    assert effect.n == 5
    assert effect.low < effect.value < effect.high < 1
    assert effect.value == pytest.approx(0.501, abs=0.01)


def test_a_claim_turned_around_is_refuted(make_claim, record):
    claim = make_claim(TURNED)
    assert answer(claim, record(claim, 0, FAST) + record(claim, 1, SLOW)).verdict is ClaimVerdict.REFUTED


def test_one_run_a_side_is_unsure_and_says_how_many_would_decide(make_claim, record):
    claim = make_claim()
    found = answer(claim, record(claim, 0, FAST[:1]) + record(claim, 1, SLOW[:1]))
    assert (found.verdict, found.seeds_needed) == (ClaimVerdict.UNSURE, 5)
    assert found.minutes_needed == pytest.approx(8)  # four more of each cell, a minute each


def test_the_runs_that_are_said_to_decide_do(make_claim, record):
    claim, noise = make_claim(), np.random.default_rng(1).normal(0, 0.3, (2, 200))
    sides = [list(np.exp(level + of_side)) for level, of_side in zip((0.0, 0.25), noise, strict=True)]
    few = answer(claim, record(claim, 0, sides[0][:5]) + record(claim, 1, sides[1][:5]))
    assert few.verdict is ClaimVerdict.UNSURE
    assert 10 < few.seeds_needed < 200
    enough = 2 * few.seeds_needed
    many = answer(claim, record(claim, 0, sides[0][:enough]) + record(claim, 1, sides[1][:enough]))
    assert many.verdict is ClaimVerdict.CONFIRMED


def series(count, seeds):
    """So many series of a net against itself: times of both sides by seed, with a noise of 10 %."""
    draw = np.random.default_rng(20)
    for _ in range(count):
        of, to = draw.lognormal(0, 0.1, (2, seeds))
        yield dict(enumerate(of)), dict(enumerate(to))


def test_a_net_is_found_to_be_faster_than_itself_in_at_most_one_of_a_hundred_series(make_claim):
    (test,) = make_claim({"    negligible: 0.02\n": ""}).spec.tests
    verdicts = [find(test, effects.ratio(of, to, 5), 5).verdict for of, to in series(1000, 5)]
    assert 0 < verdicts.count(ClaimVerdict.CONFIRMED) <= 10
    assert 0 < verdicts.count(ClaimVerdict.REFUTED) <= 10


def test_whoever_adds_seeds_until_it_fits_finds_hardly_more(make_claim):
    """Looks at 5, 10, 20 and 40 seeds of 300 series; any of them may confirm, and at most 2 % of the series do."""
    (test,) = make_claim({"    negligible: 0.02\n": ""}).spec.tests
    confirmed = 0
    for of, to in series(300, 40):
        looks = [[{seed: side[seed] for seed in range(n)} for side in (of, to)] for n in (5, 10, 20, 40)]
        confirmed += any(find(test, effects.ratio(*sides, 5), 5).verdict is ClaimVerdict.CONFIRMED for sides in looks)
    assert confirmed <= 6


def test_no_difference_that_matters_refutes(make_claim, record):
    claim = make_claim()
    level = [1.0, 1.001, 0.999, 1.0005, 0.9995]
    found = answer(claim, record(claim, 0, level) + record(claim, 1, level[::-1]))
    assert found.verdict is ClaimVerdict.REFUTED
    assert "no difference that matters" in found.findings[0].reason


def judged_by(digit, name="wgan", **others):
    """The config of a run on a CPU with this task and judge."""
    return {"device": "cpu", "task": {"name": name, "features": {"sha256": digit * 16}} | others}


class TestWhatMayBeCompared:
    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"code": {"sources_sha256": "other"}}, "code c and other"),
            ({"machine": {"id": "other"}}, "machine m and other"),
            ({"data": {"fingerprint": "other"}}, "data d and other"),
            ({"config": {"device": "cuda"}}, "device cpu and cuda"),
            ({"config": judged_by("b")}, "judge aaaaaaaaaaaa and bbbbbbbbbbbb"),
        ],
    )
    def test_runs_that_differ_otherwise_are_refused(self, make_claim, record, fields, told):
        claim, same = make_claim(), {"config": judged_by("a")} if "judge" in told else {}
        found = answer(claim, record(claim, 0, FAST, **same) + record(claim, 1, SLOW[:4], **fields))
        assert (found.verdict, found.is_mixed) == (ClaimVerdict.UNSURE, True)
        assert told in found.reason
        assert not is_complete(claim, found, 5)

    @pytest.mark.parametrize("other", [{"device": "cpu"}, judged_by("a", name="restoration_gan", encoder=None)])
    def test_one_judge_or_none_makes_no_difference(self, make_claim, record, other):
        """Neither does a network that started one side, nor a task that knows no such setting."""
        judged = judged_by("a", name="restoration", encoder={"sha256": "b" * 16})
        claim = make_claim()
        found = answer(claim, record(claim, 0, FAST, config=judged) + record(claim, 1, SLOW, config=other))
        assert found.verdict is ClaimVerdict.CONFIRMED

    def test_the_most_complete_of_several_groups_is_taken(self, make_claim, record):
        claim, old = make_claim(), {"code": {"sources_sha256": "old"}}
        runs = record(claim, 0, SLOW, **old) + record(claim, 1, FAST, **old) + record(claim, 0, FAST)
        found = answer(claim, runs)
        assert found.setting.sources == "old"
        assert found.verdict is ClaimVerdict.REFUTED
        newer = answer(claim, runs + record(claim, 1, SLOW))
        assert (newer.setting.sources, newer.verdict) == ("c", ClaimVerdict.CONFIRMED)

    def test_cells_that_it_does_not_compare_make_no_group_better(self, make_claim, record):
        """A sweep of the whole matrix was broken off elsewhere; here the two compared cells are complete."""
        claim, old = make_claim(matrix=MATRIX.replace("[8, 16]", "[8, 16, 32, 64]")), {"machine": {"id": "old"}}
        elsewhere = [run for position in (0, 2, 3) for run in record(claim, position, FAST, **old)]
        found = answer(claim, elsewhere + record(claim, 0, FAST) + record(claim, 1, SLOW))
        assert (found.setting.machine, found.verdict) == ("m", ClaimVerdict.CONFIRMED)

    def test_runs_on_another_card_than_the_claims_do_not_count(self, make_claim, record):
        claim = make_claim({"minutes: 1\n": "minutes: 1\nneeds: {card: k80}\n"})
        for name, measured in (("Tesla K80", True), ("Tesla V100", False)):
            machine = {"machine": {"id": "m", "gpus": [{"name": name, "count": 1}]}}
            found = answer(claim, record(claim, 0, FAST, **machine) + record(claim, 1, SLOW, **machine))
            assert found.is_unmeasured is not measured

    def test_a_cell_without_runs_leaves_it_unsure(self, make_claim, record):
        claim = make_claim()
        found = answer(claim, record(claim, 0, FAST))
        assert (found.verdict, found.seeds_needed, found.is_mixed) == (ClaimVerdict.UNSURE, 5, False)
        assert "no run yet of 1 of its cells, such as model.width=16" in found.reason

    def test_the_newest_run_of_a_seed_counts(self, make_claim, record):
        claim = make_claim()
        runs = record(claim, 0, SLOW) + record(claim, 1, SLOW) + record(claim, 0, FAST)
        assert answer(claim, runs).verdict is ClaimVerdict.CONFIRMED


class TestTimesToATarget:
    @pytest.mark.parametrize(("arm", "verdict"), [(1, ClaimVerdict.CONFIRMED), (0, ClaimVerdict.UNSURE)])
    def test_a_run_that_never_arrived_bounds_from_one_side(self, make_claim, record, arm, verdict):
        """The wide net never arrives, and is slower for sure; or the narrow one does not, and may be slower."""
        claim = make_claim({"metric: train_s": "metric: time_to_target_s"})
        fields = {"status": "not_reached", "metrics": {"time_to_target_s": None, "train_s": 9.0, "total_s": 9.0}}
        there = record(claim, 1 - arm, FAST, "time_to_target_s")
        if arm == 0:
            there = record(claim, 1, [20.0, 21.0, 19.0, 20.5, 19.5], "time_to_target_s")
        found = answer(claim, there + record(claim, arm, [0] * 5, **fields))
        assert found.verdict is verdict
        remark = found.findings[0].effect.remark
        assert remark.startswith(f"some runs of model.width={(8, 16)[arm]} never reached the target")

    def test_a_run_without_any_time_leaves_it_unsure(self, make_claim, record):
        claim = make_claim({"metric: train_s": "metric: time_to_target_s"})
        lost = record(claim, 1, [None], "time_to_target_s", status="diverged")
        there = record(claim, 0, FAST, "time_to_target_s") + record(claim, 1, SLOW, "time_to_target_s")[1:]
        found = answer(claim, there + lost)
        (finding,) = found.findings
        assert (finding.verdict, finding.reason) == (ClaimVerdict.UNSURE, "1 of 5 runs of model.width=16 diverged")


def test_what_a_run_had_measured_until_it_diverged_is_no_result(make_claim, record):
    """It trained for a short time only, and would seem fast."""
    claim = make_claim()
    found = answer(claim, record(claim, 0, FAST, status="diverged") + record(claim, 1, SLOW))
    (finding,) = found.findings
    assert (found.verdict, finding.effect) == (ClaimVerdict.UNSURE, None)
    assert finding.reason == "5 of 5 runs of model.width=8 diverged"
    counted = make_claim({"    negligible: 0.02\n": "    counted: true\n"})
    runs = record(counted, 0, [10.0], status="diverged") + record(counted, 1, [20.0])
    assert answer(counted, runs).verdict is ClaimVerdict.CONFIRMED


def test_counted_figures_need_one_run_and_must_agree(make_claim, record):
    claim = make_claim({"    negligible: 0.02\n": "    counted: true\n"})
    found = answer(claim, record(claim, 0, [10.0]) + record(claim, 1, [20.0]))
    assert (found.verdict, found.findings[0].effect.low) == (ClaimVerdict.CONFIRMED, 0.5)
    found = answer(claim, record(claim, 0, [10.0, 11.0]) + record(claim, 1, [20.0]))
    assert found.verdict is ClaimVerdict.UNSURE
    assert "differs between the runs" in found.findings[0].reason


def test_a_metric_that_runs_lack_is_refused_with_file_line_and_the_nearest(make_claim, record):
    claim = make_claim({"metric: train_s": "metric: trian_s"})
    with pytest.raises(UsageError, match=r"claim.yaml:9: .*no metric 'trian_s' \(did you mean 'train_s'\?\)"):
        answer(claim, record(claim, 0, FAST) + record(claim, 1, SLOW))


def test_a_rank_correlation_over_cells(make_claim, record):
    matrix = (
        "recipe: digits\nset: {target_accuracy: null}\naxes: {model.width: [4, 8, 12, 16, 20, 24, 28, 32]}\nseeds: 1\n"
    )
    text = {
        "quantity: ratio": "quantity: rank_correlation\n    with: step_s",
        "    of: {model.width: 8}\n    to: {model.width: 16}\n": "",
        "    negligible: 0.02\n": "",
        "below: 1": "below: 0.95",
    }
    claim = make_claim(text, matrix)
    for order, verdict in (
        ([5, 2, 7, 1, 8, 3, 6, 4], ClaimVerdict.CONFIRMED),
        ([1, 2, 3, 4, 5, 6, 7, 8], ClaimVerdict.REFUTED),
    ):
        runs = [
            run
            for position, rank in enumerate(order)
            for run in record(claim, position, [0], metrics={"train_s": position, "step_s": rank, "total_s": 1.0})
        ]
        found = answer(claim, runs)
        assert (found.verdict, found.findings[0].effect.n) == (verdict, 8)
    runs[3:5] = record(claim, 3, [None], status="diverged") + record(claim, 4, [None], status="diverged")
    assert answer(claim, runs).findings[0].reason == "1 of 1 run of model.width=16 diverged"


def test_runs_come_back_from_a_file_with_the_same_verdict(make_claim, record, tmp_path):
    claim, store = make_claim(), Store(tmp_path / "runs.jsonl")
    runs: list[Run] = record(claim, 0, FAST) + record(claim, 1, SLOW)
    for run in runs:
        store.append(run)
    assert answer(claim, store.read()).findings == answer(claim, runs).findings


def test_a_value_that_is_the_same_with_every_seed_has_no_width(make_claim, record):
    text = {
        "quantity: ratio": "quantity: value",
        "    to: {model.width: 16}\n": "",
        "    negligible: 0.02\n": "",
    }
    claim = make_claim(text)
    found = answer(claim, record(claim, 0, [0.0] * 3))
    assert (found.verdict, found.findings[0].effect.low) == (ClaimVerdict.CONFIRMED, 0.0)
