from pathlib import Path

import numpy as np
import pytest

from bench.documents.document import Document
from bench.report.terminal.arms import compare_arms, ratio_of_medians
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan
from bench.text import units

HEADLINE = ("samples/s", "samples_per_s", units.rate)


def compared(make_run, values, **axes):
    """The lines for runs with these values of each arm."""
    spec = {"recipe": "digits", "measure": "throughput", "axes": {"arm": list(values), **axes}}
    cells = expand(Matrix(Document(Path("mine.yaml"), spec)), "cpu")
    seeds = max(map(len, values.values()))
    runs = [
        make_run(cell=cell.id, seed=seed, machine={"id": "here"}, metrics={"samples_per_s": value})
        for cell in cells
        for seed, value in enumerate(values[cell.values["arm"]])
    ]
    pairs = schedule(cells, range(seeds), "interleaved")
    return compare_arms(plan(pairs, runs, machine_ids={"here"}, sources_sha256=""), HEADLINE)


def test_the_arms_of_each_other_value_are_compared(make_run):
    values = {"a": [100.0, 101.0, 102.0, 103.0, 104.0, 105.0], "b": [200.0, 202.0, 204.0, 206.0, 208.0, 210.0]}
    lines = compared(make_run, values, **{"model.width": [8, 16]})
    assert len(lines) == 6
    assert lines[0] == "model.width=8: arm a: samples/s, median 102/s [100/s, 105/s], n = 6"
    assert lines[2].startswith("model.width=8: a / b: ratio of the medians 0.5000 [0.4")
    assert lines[2].endswith("95 %: they differ")


def test_equal_arms_do_not_differ(make_run):
    noise = np.random.default_rng(0).normal(1000, 20, (2, 20))
    lines = compared(make_run, {"a": list(noise[0]), "b": list(noise[1])})
    assert lines[2].endswith("95 %: no difference is seen")


def test_too_few_runs_are_not_compared(make_run):
    assert compared(make_run, {"a": [1.0] * 4, "b": [1.0] * 4}) == []


def test_the_ratio_is_repeatable_and_has_an_interval_only_where_something_varies():
    a, b = [10.0, 11.0, 12.0, 13.0, 14.0], [5.0, 5.5, 6.0, 6.5, 7.0]
    assert ratio_of_medians(a, b) == ratio_of_medians(a, b)
    assert ratio_of_medians([2.0] * 5, [1.0] * 5) == (2.0, 2.0, 2.0)


def test_ties_at_both_medians_have_an_interval_all_the_same(make_run):
    # Accuracies on 360 images: no single run moves either median, which leaves BCa without an acceleration.
    a, b = [0.90] * 12 + [0.91] * 8, [0.90] * 10 + [0.88] * 5 + [0.92] * 5
    ratio, low, high = ratio_of_medians(a, b)
    assert low <= ratio == 1 <= high
    assert compared(make_run, {"a": a, "b": b})[2].endswith("no difference is seen")


@pytest.mark.parametrize("b", [[0.0] * 5, [0.0, 0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0, 1.0]])
def test_zeros_leave_no_ratio_rather_than_a_difference(make_run, b):
    # As of the mean average precision of networks that have not learned anything yet.
    lines = compared(make_run, {"a": [0.0, 0.0, 1.0, 1.0, 1.0], "b": b})
    assert lines[2] == "a / b: no ratio of the medians with an interval, because values of b are 0"


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        _, low, high = ratio_of_medians(rng.normal(100, 5, 20), rng.normal(100, 5, 20))
        covered += low <= 1 <= high
    assert covered > 180
