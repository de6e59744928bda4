"""Two recipes at the same accuracy or cross-entropy, from recorded runs of a few lengths, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from bench.gate.equal_quality import Terms, compare_at
from bench.gate.length_unit import FLOP, SECONDS
from bench.gate.quality_metric import ACCURACY, CROSS_ENTROPY
from bench.gate.source import of_run
from bench.gate.verdict import Verdict
from bench.report.terminal.equal_quality import remarks

NAMES = ("before", "after")


@pytest.fixture
def runs(make_run):
    """Recorded runs of one recipe at these epochs, each of `epoch_s` and `epoch_flop`; ten reach 94 % and .39 nats."""
    draws = np.random.default_rng(0)

    def make(lengths, seeds=3, epoch_s=40.0, scatter=0.001, epoch_flop=1e13, machine="m", **config):
        return [
            make_run(
                seed=seed,
                config={"recipe": "r", "epochs": epochs, "optimizer": {"groups": {"b": {"epochs": epochs / 2}}}}
                | config,
                machine={"id": machine, "host": machine},
                metrics={
                    "accuracy": 1 - 0.06 * (epochs / 10) ** -0.4 + scatter * (chance := float(draws.standard_normal())),
                    "cross_entropy": 0.39 * (epochs / 10) ** -0.15 - 2 * scatter * chance,
                    "train_s": epoch_s * epochs,
                    "train_flops": epoch_flop * epochs,
                    "epochs": float(epochs),
                },
            )
            for epochs in lengths
            for seed in range(seeds)
        ]

    return make


def compared(base, head, target=0.94, metric=ACCURACY, unit=SECONDS, share_rate=False, **options):
    terms = Terms(target, metric, unit, share_rate)
    return compare_at(terms, [*map(of_run, base)], [*map(of_run, head)], NAMES, **options)


def at_cross_entropy(base, head, target=0.39, **options):
    return compared(base, head, target, CROSS_ENTROPY, FLOP, **options)


def test_a_shorter_training_of_the_same_recipe_is_as_fast_at_the_same_accuracy(runs):
    found = compared(runs([9, 10, 11], 5, scatter=0.0003), runs([8.5, 9.5, 10.5], 5, scatter=0.0003))
    assert found.verdict is Verdict.SAME
    assert found.ratio.value == pytest.approx(1, abs=0.02)
    assert found.base.length.value == pytest.approx(400, rel=0.02)
    assert found.head.epochs == (8.5, 9.5, 10.5)
    # 1 - .06 (e/10)^-.4 rises by .24 points an epoch there, and by that over forty in a second.
    assert 100 * found.base.per_epoch.value == pytest.approx(0.24, rel=0.1)
    assert 100 * found.base.per_length.value == pytest.approx(0.24 / 40, rel=0.1)
    assert not found.shares_rate
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("epoch_s", "verdict", "code"), [(50.0, Verdict.WORSE, 1), (30.0, Verdict.BETTER, 0)], ids=["slower", "faster"]
)
def test_a_slower_epoch_is_a_slower_recipe_whatever_its_length(runs, epoch_s, verdict, code):
    head = runs([9.5], 5, epoch_s, scatter=0.0003, batch_size=32)
    found = compared(runs([9, 10, 11], 5, scatter=0.0003), head)
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert found.ratio.value == pytest.approx(epoch_s / 40, rel=0.03)
    assert found.shares_rate


def test_what_is_not_decided_counts_as_asked(runs):
    sides = runs([9, 11], 2, scatter=0.003), runs([9, 11], 2, scatter=0.003)
    found = [compared(*sides, unsure=unsure) for unsure in ("say", "pass", "fail", "own-code")]
    assert {one.verdict for one in found} == {Verdict.UNSURE}
    assert [one.exit_code for one in found] == [0, 0, 1, 4]


@pytest.mark.parametrize(
    ("epoch_flop", "verdict"), [(1.25e13, Verdict.WORSE), (1e13, Verdict.SAME), (7.5e12, Verdict.BETTER)]
)
def test_flops_decide_across_machines_however_long_the_runs_take(runs, epoch_flop, verdict):
    base = runs([8, 12], 5, scatter=0.0001) + runs([10], 5, 90.0, scatter=0.0001, machine="n")
    head = runs([8, 10, 12], 5, 300.0, scatter=0.0001, epoch_flop=epoch_flop, machine="o", batch_size=32)
    found = compared(base, head, unit=FLOP)
    assert found.verdict is verdict
    assert found.ratio.value == pytest.approx(epoch_flop / 1e13, rel=0.02)
    assert found.base.length.value == pytest.approx(1e14, rel=0.02)
    assert found.base.length.unit == "flop"
    assert 100 * found.base.per_length.value == pytest.approx(0.24 / 1e13, rel=0.1)
    assert 100 * found.base.per_epoch.value == pytest.approx(0.24, rel=0.1)


def test_a_single_run_borrows_the_rate_and_two_pairs_of_runs_share_one(runs):
    base = runs([9, 10, 11], 2, scatter=0.0001)
    found = compared(base, runs([10], 1, scatter=0.0001, epoch_flop=8e12, machine="n"), unit=FLOP)
    assert found.verdict is Verdict.BETTER
    assert found.ratio.value == pytest.approx(0.8, rel=0.02)
    pairs = compared(runs([8, 12], 1, scatter=0.0001), runs([8, 12], 1, scatter=0.0001), unit=FLOP)
    assert pairs.shares_rate
    assert pairs.verdict is Verdict.UNSURE
    assert pairs.ratio.value == pytest.approx(1, rel=0.02)


def test_runs_that_count_no_flops_are_refused_with_what_to_do(runs, make_run):
    base = runs([9, 10, 11])
    old = runs([9, 10, 11])
    for run in old:
        del run.metrics["train_flops"]
    with pytest.raises(UsageError, match=r"no run of after has both train_flops and accuracy; .* run it again"):
        compared(base, old, unit=FLOP)
    some = compared(base, base + old, unit=FLOP)
    assert (some.head.n, some.head.left_out, some.base.left_out) == (9, 9, 0)
    assert "after: 9 runs left out, for lack of FLOPs or of a finite accuracy." in remarks(some)
    metrics = {"wall_s": 9.0, "accuracy": 0.9, "train_flops": 1e13}
    command = make_run(recipe="command", config={"command": "train"}, metrics=metrics, machine={"id": "m"})
    with pytest.raises(UsageError, match=r"^--at-accuracy: after has runs of a command, .* leave out --by flop"):
        compared(base, [command], unit=FLOP)


def test_a_target_that_no_length_comes_near_is_refused(runs):
    with pytest.raises(UsageError, match=r"0\.1 is too far from what the runs reach; choose a target"):
        compared(runs([9, 10, 11]), runs([9, 10, 11]), target=0.1)


def test_a_time_beyond_all_runs_is_told(runs):
    found = compared(runs([9, 10, 11]), runs([9, 10, 11]), target=0.97)
    assert found.base.is_extrapolated


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"batch_size": 32},
            "after has runs of several recipes, which differ in batch_size; they may differ in epochs",
        ),
        ({"stop_at_target": True}, "after has runs that stop at their target"),
    ],
)
def test_sides_that_are_no_recipe_are_refused(runs, fields, why):
    head = runs([9, 10]) + runs([11], **fields) if "batch_size" in fields else runs([9, 10], **fields)
    with pytest.raises(UsageError, match=why):
        compared(runs([9, 10, 11]), head)


def test_another_machine_and_one_length_are_refused(runs, make_run):
    with pytest.raises(UsageError, match="all runs are of one length; run at least one recipe at two or more"):
        compared(runs([10]), runs([10]))
    elsewhere = [make_run(config=run.config, metrics=run.metrics, machine={"id": "n"}) for run in runs([9, 10])]
    with pytest.raises(UsageError, match="measured on another machine"):
        compared(runs([9, 10]), elsewhere)
    assert compared(runs([9, 10]), elsewhere, any_machine=True).ratio.value > 0
    with pytest.raises(UsageError, match="after has throughput; give runs of trainings"):
        compared(runs([9, 10]), [make_run(measure="throughput", machine={"id": "m"})])


def test_a_crashed_run_takes_nothing_from_its_side(runs, make_run):
    base, head = runs([9, 10]), runs([11, 12])
    crashed = make_run(config=base[0].config, metrics={}, status="crashed", machine={"id": "m"})
    found = compared([*base, crashed], head).base
    assert found.per_epoch is not None
    assert found == compared(base, head).base


def fields_at(runs, key, value):
    """The same runs with another value of this part of their config."""
    part, name = key.split(".")
    for run in runs:
        run.config[part] = run.config.get(part, {}) | {name: value}
    return runs


@pytest.mark.parametrize(
    ("epoch_flop", "verdict", "code"),
    [(1.25e13, Verdict.WORSE, 1), (1e13, Verdict.SAME, 0), (7.5e12, Verdict.BETTER, 0)],
)
def test_at_a_cross_entropy_less_is_better(runs, epoch_flop, verdict, code):
    base = runs([8, 10, 12], 5, scatter=0.0001)
    found = at_cross_entropy(base, runs([8, 10, 12], 5, scatter=0.0001, epoch_flop=epoch_flop, batch_size=32))
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert found.ratio.value == pytest.approx(epoch_flop / 1e13, rel=0.02)
    assert found.base.length.value == pytest.approx(1e14, rel=0.02)
    # .39 (e/10)^-.15 falls by .00585 nats an epoch there.
    assert found.base.per_epoch.value == pytest.approx(-0.00585, rel=0.1)
    assert found.base.per_length.value == pytest.approx(-0.00585 / 1e13, rel=0.1)
    assert (found.base.per_epoch.unit, found.base.per_length.unit) == ("nats/epoch", "nats/flop")
    assert found.base.per_epoch.low < found.base.per_epoch.value < found.base.per_epoch.high < 0
    assert found.notes == ()
    assert not found.base.is_extrapolated
    assert at_cross_entropy(base, base, target=0.30).base.is_extrapolated


def test_runs_without_a_cross_entropy_are_left_out_or_refused_with_what_to_do(runs, make_run):
    base, old = runs([9, 10, 11]), runs([9, 10, 11])
    for run in old:
        del run.metrics["cross_entropy"]
    with pytest.raises(UsageError, match=r"^--at-cross-entropy: no run of after has both .* cross_entropy; .* run it"):
        at_cross_entropy(base, old)
    some = at_cross_entropy(base, base + old)
    assert (some.head.n, some.head.left_out, some.base.left_out) == (9, 9, 0)
    assert "after: 9 runs left out, for lack of FLOPs or of a finite cross-entropy." in remarks(some)
    command = make_run(config={"command": "train"}, metrics={"wall_s": 9.0, "accuracy": 0.9}, machine={"id": "m"})
    with pytest.raises(UsageError, match="no run of after has both wall_s and cross_entropy; let the command report"):
        compared(base, [command], 0.39, CROSS_ENTROPY)


def test_a_cross_entropy_that_does_not_fall_is_refused_by_the_name_of_its_side(runs):
    worse = runs([9, 10, 11], scatter=0.0001)
    for run in worse:
        run.metrics["cross_entropy"] = 0.78 - run.metrics["cross_entropy"]
    with pytest.raises(UsageError, match="the cross-entropy of after does not fall with the length; take lengths that"):
        at_cross_entropy(runs([9, 10, 11], scatter=0.0001), worse)
    assert compared(worse, worse).ratio.value == 1  # their accuracy rises
    with pytest.raises(UsageError, match="the accuracy of before and after does not rise"):
        compared([*map(_halved, runs([9, 11], 1))], [*map(_halved, runs([10, 12], 1))])


def _halved(run):
    """The run with half its accuracy for each epoch."""
    run.metrics["accuracy"] /= run.config["epochs"]
    return run


@pytest.mark.parametrize(
    ("key", "values", "said", "of_accuracy"),
    [
        ("loss.label_smoothing", (0.2, 0.09), "different labels (loss.label_smoothing: 0.2 and 0.09)", False),
        ("cutmix.alpha", (None, 1.0), "different labels (cutmix.alpha: none and 1)", False),
        ("distillation.share", (None, 0.5), "different labels (distillation.share: none and 0.5)", False),
        ("evaluation.tta", (2, 0), "evaluated differently (evaluation.tta: 2 and 0)", True),
        ("evaluation.tta_below", (None, 0.7), "evaluated differently (evaluation.tta_below: none and 0.7)", True),
        ("data.held_out", (5000, 1000), "on different data (data.held_out: 5000 and 1000)", True),
        ("data.train_count", (5000, 1000), None, False),
        ("evaluation.batch_size", (500, 1000), None, False),
        ("loss.reduction", ("sum", "mean"), None, False),
    ],
)
def test_sides_that_were_not_asked_the_same_are_told_apart(runs, key, values, said, of_accuracy):
    sides = [fields_at(runs([9, 10, 11], scatter=0.0003), key, value) for value in values]
    found, by_accuracy = at_cross_entropy(*sides), compared(*sides)
    assert len(found.notes) == (said is not None)
    assert len(by_accuracy.notes) == of_accuracy
    if said is not None:
        assert said in remarks(found)[1]


def test_data_of_equal_name_and_other_fingerprint_are_told_apart(runs, make_run):
    sides = [runs([9, 10, 11]), runs([9, 10, 11])]
    for side, fingerprint in zip(sides, ("0df7017f94c3fe", "a7f69ab4dc754a"), strict=True):
        for run in side:
            run.data["fingerprint"] = fingerprint
    (note,) = at_cross_entropy(*sides).notes
    assert "different data (fingerprint: 0df7017f94c3 and a7f69ab4dc75)" in note
    fields_at(sides[1], "data.train_count", 1000)
    assert at_cross_entropy(*sides).notes == ()


def test_other_seeds_are_told(runs):
    base = runs([9, 10, 11], 6)
    assert compared(base, runs([8, 12], 6)).notes == ()
    (note,) = compared(base, runs([8, 12], 5)).notes
    assert "different seeds (one side alone has 5), and a seed may be good or bad at every length" in note
    (note,) = compared(base, runs([8, 12], 1)).notes
    assert "one side alone has 1, 2, 3, 4, …)" in note


def test_a_shared_rate_is_taken_only_as_asked_and_said_to_fail_where_rates_differ(runs):
    base, head = runs([8, 12], 4, scatter=0.0005), runs([8, 12], 4, scatter=0.0005, epoch_flop=9e12)
    own, shared = at_cross_entropy(base, head), at_cross_entropy(base, head, share_rate=True)
    assert (own.shares_rate, shared.shares_rate) == (False, True)
    assert shared.ratio.high - shared.ratio.low < own.ratio.high - own.ratio.low
    assert shared.rates_p_value == own.rates_p_value > 0.05
    assert any("the ratio is the same at every target" in line for line in remarks(shared))
    for run in head:
        run.metrics["cross_entropy"] = 0.39 + 3 * (run.metrics["cross_entropy"] - 0.39)
    steeper = at_cross_entropy(base, head, share_rate=True)
    assert steeper.rates_p_value < 0.01
    assert any("theirs differ beyond chance (p = " in line for line in remarks(steeper))
