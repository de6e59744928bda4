"""Two recipes at the same accuracy, from recorded runs of a few lengths, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from bench.gate.equal_accuracy import compare_at
from bench.gate.length_unit import FLOP
from bench.gate.source import of_run
from bench.gate.verdict import Verdict
from bench.report.terminal.equal_accuracy import remarks

NAMES = ("before", "after")


@pytest.fixture
def runs(make_run):
    """Recorded runs of one recipe at these epochs, each of `epoch_s` and `epoch_flop`; ten reach 94 %."""
    draws = np.random.default_rng(0)

    def make(lengths, seeds=3, epoch_s=40.0, scatter=0.001, epoch_flop=1e13, machine="m", **config):
        return [
            make_run(
                seed=seed,
                config={"recipe": "r", "epochs": epochs, "optimizer": {"groups": {"b": {"epochs": epochs / 2}}}}
                | config,
                machine={"id": machine, "host": machine},
                metrics={
                    "accuracy": 1 - 0.06 * (epochs / 10) ** -0.4 + scatter * float(draws.standard_normal()),
                    "train_s": epoch_s * epochs,
                    "train_flops": epoch_flop * epochs,
                    "epochs": float(epochs),
                },
            )
            for epochs in lengths
            for seed in range(seeds)
        ]

    return make


def compared(base, head, target=0.94, **options):
    return compare_at(target, [*map(of_run, base)], [*map(of_run, head)], NAMES, **options)


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
    with pytest.raises(UsageError, match=r"no run of after has both train_flops and an accuracy; .* run it again"):
        compared(base, old, unit=FLOP)
    some = compared(base, base + old, unit=FLOP)
    assert (some.head.n, some.head.left_out, some.base.left_out) == (9, 9, 0)
    assert "after: 9 runs left out, for lack of FLOPs or of a finite accuracy." in remarks(some)
    metrics = {"wall_s": 9.0, "accuracy": 0.9, "train_flops": 1e13}
    command = make_run(recipe="command", config={"command": "train"}, metrics=metrics, machine={"id": "m"})
    with pytest.raises(UsageError, match=r"--by flop: after has runs of a command, .* leave out --by"):
        compared(base, [command], unit=FLOP)


def test_a_target_that_no_length_comes_near_is_refused(runs):
    with pytest.raises(UsageError, match=r"an accuracy of 0\.1 is too far from the runs'; choose one"):
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
