import io
from pathlib import Path

import pytest
from scipy import stats

from bench.report.terminal import summary
from bench.runs.run import Run, new_run_id
from bench.text import units
from bench.text.console import LastingConsole


def run(seed=0, accuracy=0.94, train_s=100.0, **changes):
    spans = [
        {"name": "import", "start_s": 0.0, "end_s": 2.0, "epoch": None, "device_s": None},
        {"name": "train", "start_s": 2.0, "end_s": 2.0 + train_s / 2, "epoch": 0, "device_s": None},
        {"name": "train", "start_s": 60.0, "end_s": 60.0 + train_s / 2, "epoch": 1, "device_s": None},
    ]
    standard = {
        "run_id": new_run_id(),
        "cell": "0123456789abcdef",
        "recipe": "digits",
        "seed": seed,
        "status": "ok",
        "started_at": "2026-11-20T10:00:00.000Z",
        "config": {"device": "cpu", "model": {"name": "darknet"}, "data": {"name": "digits"},
                   "precision": "bf16", "resolved": {"threads": 2}},
        "metrics": {"accuracy": accuracy, "target_accuracy": 0.96, "total_s": 1800.0, "samples_per_s": 12876.0},
        "spans": spans,
        "data": {"official": True, "fingerprint": "f" * 64},
    }  # fmt: skip
    return Run(**standard | changes)


def printed(*runs):
    out = io.StringIO()
    summary.print_summary(LastingConsole(file=out, width=140), runs, Path("results/runs/runs.jsonl"))
    return out.getvalue()


def row(output, label):
    (line,) = (line for line in output.splitlines() if f"│ {label} " in line)
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def test_one_run_is_one_column():
    output = printed(run(price_per_hour=3.6))
    assert row(output, "accuracy") == ["94.00 %"]
    assert row(output, "train time") == ["1 min 40 s"]
    assert row(output, "import time") == ["2.00 s"]
    assert row(output, "cost at $3.6/h") == ["$1.80"]
    assert "digits: darknet on digits, bf16, 2 CPU threads" in output


def test_several_runs_end_in_their_mean_and_interval():
    values = [0.93, 0.94, 0.96]
    output = printed(*(run(seed, value) for seed, value in enumerate(values)))
    low, high = stats.t.interval(0.95, 2, loc=0.9433333, scale=stats.sem(values))
    assert row(output, "accuracy")[-1] == f"94.33 % ± {100 * (high - low) / 2:.2f} %"
    assert "mean ± 95 % (n = 3)" in output


def test_what_was_not_measured_is_not_a_row():
    output = printed(run())
    assert "peak memory, device" not in output
    assert "cost" not in output
    assert "warm_up" not in output


def test_a_run_that_lacks_a_number_shows_a_dash():
    output = printed(run(), run(1, accuracy=None, status="crashed", reason="the worker was killed by SIGKILL"))
    assert row(output, "accuracy") == ["94.00 %", units.MISSING]
    assert row(output, "train time") == ["1 min 40 s"] * 2
    assert "seed 1: crashed: the worker was killed by SIGKILL" in output


def test_a_run_that_broke_off_is_not_averaged_in():
    complete = [run(0, 0.93), run(1, 0.94), run(2, 0.95)]
    output = printed(*complete, run(3, 0.10, train_s=1.0, status="interrupted"))
    assert row(output, "accuracy")[-1].startswith("94.00 % ±")
    assert row(output, "train time")[-1] == "1 min 40 s"
    assert "mean ± 95 % (n = 3)" in output


def test_two_runs_are_listed_and_have_no_interval():
    output = printed(run(0, 0.7917), run(1, 0.9499))
    assert row(output, "accuracy") == ["79.17 %", "94.99 %"]
    assert "±" not in output
    assert summary.summarise([0.7917, None, 0.9499], units.percent) == "79.17 %, 94.99 %"


def test_a_run_with_fewer_samples_than_its_criterion_asks_for_is_marked_in_its_row():
    output = printed(*(run(seed, metrics={"accuracy": 0.9, "latency_timed_out": seed == 0}) for seed in range(3)))
    assert row(output, "cut short") == ["by its time-out", "no", "no", "1 of 3"]
    assert "cut short" not in printed(run(metrics={"timed_out": False}))


def test_unofficial_data_is_a_footnote():
    assert "not the publisher's files" in printed(run(data={"official": False, "fingerprint": "a" * 64}))
    assert "not the publisher's files" not in printed(run())


def test_a_run_that_never_had_data_is_printed():
    assert "crashed" in printed(run(status="crashed", data={}, metrics={}, spans=[]))


def test_where_it_is_recorded_can_be_copied():
    one = run()
    assert f"Recorded in results/runs/runs.jsonl as {one.run_id}" in printed(one)


def test_the_margin_needs_two_values():
    assert summary.mean_and_margin([3.0]) == (3.0, None)
    mean, margin = summary.mean_and_margin([1.0, 3.0])
    assert mean == 2.0
    assert margin == pytest.approx(stats.t.ppf(0.975, 1) * 1.0)


def test_energy_stands_where_it_was_counted_and_is_called_coarse_where_it_is():
    counted = run(metrics={"energy_j": 2500.0, "train_energy_j": 85.2, "train_energy_coarse": True})
    assert row(printed(counted), "energy, training") == ["85.2 J"]
    assert row(printed(counted), "energy, whole run") == ["2.5 kJ"]
    assert "too short for the counter" in printed(counted)
    long = run(metrics={"energy_j": 2500.0, "train_energy_j": 2000.0, "train_energy_coarse": False})
    assert "too short for the counter" not in printed(long)
    assert "energy" not in printed(run(metrics={"energy_j": None, "train_energy_j": None}))


def test_a_price_of_the_table_is_shown_with_its_day():
    source = {"given_by": "--price", "name": "p2.xlarge", "date": "2017-10-11", "kind": "on_demand", "source": "…"}
    config = run().config | {"resolved": {"price_source": source}}
    assert "Price: p2.xlarge, on demand, as of 2017-10-11." in printed(run(config=config, price_per_hour=0.9))
    assert "Price:" not in printed(run(price_per_hour=0.9))


def test_equal_numbers_have_no_margin():
    # Their sum over three is not 0.994 to the last bit.
    assert summary.summarise([0.994, 0.994, 0.994], units.percent) == "99.40 %"


def test_many_runs_are_told_by_their_extremes():
    output = printed(*(run(seed, accuracy=0.90 + seed / 100) for seed in range(9)))
    least, most, mean = row(output, "accuracy")
    assert (least, most) == ("90.00 %", "98.00 %")
    assert mean.startswith("94.00 % ±")
    assert row(output, "status") == ["", "", "9 ok"]
    assert "seed 3" not in output
    assert output.endswith("as 9 runs\n")


def test_a_contended_run_is_marked():
    quiet = {"wall_s": 50.0, "cores": 2, "threads": 2, "own_cpu_s": 98.0, "others_cpu_s": 1.0, "steal_s": 0.0}
    metrics = run().metrics
    one, other = run(seed=0), run(seed=1)
    one.spans[1]["host"], other.spans[1]["host"] = quiet, quiet | {"own_cpu_s": 66.0, "others_cpu_s": 33.0}
    one = run(seed=0, spans=one.spans, metrics=metrics | {"contended": False, "others_cpu_s": 1.0})
    other = run(seed=1, spans=other.spans, metrics=metrics | {"contended": True, "others_cpu_s": 33.0})
    output = printed(one, other)
    assert row(output, "contended") == ["no", "yes"]
    assert row(output, "CPU time of others")[:2] == ["1.00 s", "33.0 s"]
    assert "Contended: 1 of 2 runs: seed 1: other processes took 33% of the CPU time in train." in output
    assert "contended" not in printed(one).lower()
    assert "contended" not in printed(run()).lower()


def test_what_others_had_done_is_a_footnote():
    config = run().config
    shared = printed(*(run(seed, config=config | {"resolved": {"shared_process": True}}) for seed in range(2)))
    assert "The seeds shared one process, which loaded, built and compiled once" in shared
    kept = printed(run(config=config | {"resolved": {"compiled_cache": "kept"}}))
    assert "Compiled programs were kept from earlier runs" in kept
    alone = printed(run())
    assert "shared" not in alone
    assert "kept" not in alone
