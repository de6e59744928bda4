from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.gate.compare import Limits, alternate, compare, match
from bench.gate.quantity import ACCURACY, QUANTITIES
from bench.gate.source import Result, of_benchmarks, of_run, read
from bench.gate.verdict import Verdict
from bench.host.git import git
from bench.runs.store import Store


def results(times, config=None, first_minute=0, step=1, machine="m1", measure="throughput", **metrics):
    return [
        Result(
            config or {"model": "darknet"},
            "digits",
            measure,
            f"2026-11-20T10:{first_minute + step * position:02d}:00Z",
            None if time_s is None else {"step_min_s": time_s, **metrics},
            {"id": machine, "cpu_model": f"CPU of {machine}"},
            reason="failed: no step" if time_s is None else None,
        )
        for position, time_s in enumerate(times)
    ]


STEADY = [0.0100, 0.0101, 0.0099, 0.0102, 0.0098, 0.0100, 0.0101, 0.0099]
SLOWER = [time_s * 1.1 for time_s in STEADY[::-1]]


def test_equal_cells_are_judged_and_neighbours_are_pairs():
    base, head = results(STEADY, step=2), results(SLOWER, first_minute=1, step=2)
    findings, notes = compare(base, head, Limits())
    assert [(one.cell, one.word) for one in findings] == [("digits", "slower")]
    assert findings[0].judgement.change.method == "Hodges-Lehmann ratio of pairs"
    assert notes == []


def test_packages_and_data_that_the_sides_do_not_share_are_told():
    base, head = (
        [replace(one, versions={"numpy": version, "torch": "2.9"}, data_fingerprint=data * 64) for one in found]
        for found, version, data in ((results(STEADY), "1.26.4", "a"), (results(STEADY), "2.1.0", "b"))
    )
    _, notes = compare(base, head, Limits())
    assert notes == [
        "the two sides had other packages: numpy 1.26.4 → 2.1.0",
        "digits: the data differ (hashes aaaaaaaaaaaa → bbbbbbbbbbbb)",
    ]
    assert compare(base, results(STEADY), Limits())[1] == []  # an older record does not say


def test_sides_measured_one_after_the_other_are_no_pairs():
    base, head = results(STEADY), results(SLOWER, first_minute=20)
    assert not alternate(base, head)
    findings, _ = compare(base, head, Limits())
    assert findings[0].word == "slower"
    assert "two samples" in findings[0].judgement.change.method


def of_starts(found, starts):
    return [replace(result, start=start) for result, start in zip(found, starts, strict=True)]


def test_runs_of_one_start_are_one_value_of_times_and_memory():
    """A sweep's fork server fixes a level of memory, and perhaps of speed, for all its runs."""
    base = of_starts(results(STEADY, peak_host_bytes=320e6), ["a"] * 8)
    head = of_starts(results(SLOWER, first_minute=20, peak_host_bytes=330e6), ["b"] * 8)
    findings, (note,) = compare(base, head, Limits())
    assert [(one.verdict, one.judgement.n) for one in findings] == [(Verdict.UNSURE, 1)] * 2
    assert "the base's are 8 runs of 1, and head's 8 runs of 1 starts" in note
    # The same of starts of their own; and within one start for both sides, which favours neither.
    for starts in ([*"abcdefgh"], ["b"] * 8):
        again = of_starts(base, [*"ijklmnop"] if starts != ["b"] * 8 else starts)
        findings, notes = compare(again, of_starts(head, starts), Limits())
        assert ([one.word for one in findings], notes) == (["slower", "more memory"], [])
    # In turns, by two commands at the same time, each with a server of its own.
    head = of_starts(results(SLOWER, first_minute=1, step=2), ["b"] * 8)
    (finding,), _ = compare(of_starts(results(STEADY, step=2), ["a"] * 8), head, Limits())
    assert (finding.word, finding.judgement.n) == ("unsure", 1)


def test_what_each_side_has_throughout_is_what_is_compared():
    base = results(STEADY, {"precision": "fp32", "width": 16}) + results(STEADY, {"precision": "fp32", "width": 32})
    head = results(STEADY, {"precision": "bf16", "width": 32}) + results(STEADY, {"precision": "bf16", "width": 16})
    groups, notes = match(base, head)
    assert [group.label for group in groups] == ["digits (width=32)", "digits (width=16)"]
    assert all(group.base[0].config["width"] == group.head[0].config["width"] for group in groups)
    assert notes == ["the two sides differ in precision: fp32 → bf16"]


def test_a_cell_without_a_counterpart_has_no_baseline_and_a_lost_one_is_named():
    base = results(STEADY, {"width": 16}) + results(STEADY, {"width": 8})
    head = results(STEADY, {"width": 16}) + results(STEADY, {"width": 32})
    findings, notes = compare(base, head, Limits())
    assert [(one.cell, one.verdict) for one in findings] == [
        ("digits (width=16)", Verdict.SAME),
        ("digits (width=32)", Verdict.NO_BASELINE),
    ]
    assert notes == ["only the base has digits (width=8)"]


def test_another_machine_is_no_baseline_unless_asked_for():
    base, head = results(STEADY), results(STEADY, first_minute=20, machine="m2")
    (finding,), _ = compare(base, head, Limits())
    assert finding.verdict is Verdict.NO_BASELINE
    assert "CPU of m1 and CPU of m2" in finding.why
    (finding,), _ = compare(base, head, Limits(), any_machine=True)
    assert finding.verdict is Verdict.SAME


def test_a_cell_that_fails_now_is_broken_and_one_that_failed_then_has_no_baseline():
    good, bad = results(STEADY), results([None] * 3, first_minute=20)
    assert compare(good, bad, Limits())[0][0].verdict is Verdict.BROKEN
    assert compare(bad, good, Limits())[0][0].verdict is Verdict.NO_BASELINE


def test_figures_that_one_side_lacks_are_left_out():
    base = results(STEADY, peak_host_bytes=10**9)
    head = results(STEADY, first_minute=20, peak_host_bytes=None)
    findings, _ = compare(base, head, Limits())
    assert [one.judgement.quantity.metric for one in findings] == ["step_min_s"]


def test_a_head_that_misses_the_target_more_often_is_broken_though_its_other_times_are_good():
    def times(values, first_minute):
        return [
            Result({"model": "darknet"}, "digits", "time_to_accuracy", f"2026-11-20T10:{first_minute + i:02d}:00Z",
                   {"time_to_target_s": value}, {"id": "m1"})
            for i, value in enumerate(values)
        ]  # fmt: skip

    base = times([10.0] * 12, 0)
    (finding,), _ = compare(base, times([9.0] * 3 + [None] * 9, 30), Limits())
    assert finding.verdict is Verdict.BROKEN
    assert finding.why == "time to target: 12 of 12 runs of the base have it, and 3 of 12 of head's"
    (finding,), _ = compare(base, times([10.0] * 11 + [None], 30), Limits())
    assert finding.verdict is Verdict.UNSURE
    (finding,), _ = compare(base, times([10.0] * 12, 30), Limits())
    assert finding.verdict is Verdict.SAME


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, "x", True])
def test_a_cell_without_a_number_to_judge_is_said_and_not_lost(value):
    (finding,), _ = compare(results(STEADY), results([value] * 8, first_minute=20), Limits())
    assert finding.verdict is Verdict.NO_BASELINE
    assert finding.why == "there is no figure that all runs of both sides have"


def test_limits_are_for_what_they_are_meant_for():
    limits = Limits(margin=0.1, accuracy_margin=0.01, floor_s=1e-3)
    step, memory = QUANTITIES["throughput"][:2]
    latency = QUANTITIES["inference"][0]
    assert (limits.of(step).margin, limits.of(step).floor) == (0.1, 1e-3)
    assert limits.of(latency).floor == 1.0  # milliseconds
    assert limits.of(memory) == memory
    assert limits.of(ACCURACY).margin == 0.01


def test_runs_are_read_from_files_folders_conditions_and_revisions(make_run, tmp_path):
    store = Store(tmp_path / "runs" / "runs.jsonl")
    for commit, sweep in (("a" * 40, "one"), ("b" * 40, "two"), ("b" * 40, "two")):
        store.append(make_run(sweep=sweep, code={"commit": commit, "dirty": False}, metrics={"accuracy": 0.9}))
    store.append(make_run(sweep="two", code={"commit": "b" * 40, "dirty": True}))
    store.append(make_run(status="interrupted", sweep="one"))
    first = store.read()[0].run_id
    for reference, count in (
        (str(store.path), 4),
        (str(store.path.parent), 4),
        ("sweep=two", 3),
        ("sweep=two,code.dirty=false", 2),
        ("sweep~TW", 3),
        ("b" * 8, 2),
        ("a" * 40, 1),
        (first, 1),
        (first[:-2], 1),
    ):
        assert len(read(reference, tmp_path)) == count, reference


def test_a_revision_may_be_named_by_its_child(make_run, repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    first = git(repository, "rev-parse", "HEAD")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    git(repository, *identity, "commit", "--allow-empty", "--message", "A change")
    Store(tmp_path / "runs" / "runs.jsonl").append(make_run(code={"commit": first, "dirty": False}))
    assert len(read("HEAD~1", tmp_path)) == 1


def test_a_side_that_means_nothing_is_refused_with_what_there_is(make_run, tmp_path):
    Store(tmp_path / "runs" / "runs.jsonl").append(make_run(code={"commit": "c" * 40, "dirty": False}))
    with pytest.raises(UsageError, match=r"runs are recorded of ccccccc; give a \.jsonl file"):
        read("nothing", tmp_path)
    with pytest.raises(UsageError, match="there is nothing to compare in it"):
        read("recipe=resnet9", tmp_path)


def test_a_run_that_failed_has_no_numbers(make_run):
    failed = of_run(make_run(status="oom", reason="out of memory", metrics={"accuracy": 0.1}))
    assert failed.metrics is None
    assert failed.reason == "oom: out of memory"


def saved(path, minima, moment="2026-11-20T10:00:00", cpu=None):
    content = {
        "machine_info": {"python_version": "3.11.7", "cpu": cpu or {"brand_raw": "A CPU", "count": 2}},
        "commit_info": {"id": "a" * 40},
        "datetime": moment,
        "benchmarks": [{"fullname": name, "stats": {"min": value}} for name, value in minima.items()],
    }
    path.write_text(json.dumps(content))


def test_files_of_pytest_benchmark_are_judged_a_session_a_value(tmp_path):
    for hour, side, factor in ((10, "a", 1.0), (11, "b", 1.2)):
        (tmp_path / side).mkdir()
        for session, time_s in enumerate(STEADY):
            minima = {"tests/test_x.py::test_step": time_s * factor, "tests/test_x.py::test_load": time_s}
            saved(tmp_path / side / f"{session}.json", minima, f"2026-11-20T{hour}:{session:02d}:00")
    findings, _ = compare(read(str(tmp_path / "a"), tmp_path), read(str(tmp_path / "b"), tmp_path), Limits())
    assert {one.cell: one.word for one in findings} == {
        "tests/test_x.py::test_step": "slower",
        "tests/test_x.py::test_load": "same",
    }
    one = of_benchmarks(tmp_path / "a" / "0.json")
    findings, _ = compare(one, one, Limits())
    assert {finding.verdict for finding in findings} == {Verdict.UNSURE}


def sessions(folder, minima, cpu=None):
    """Six files of one side, each with the same benchmarks a trace apart."""
    folder.mkdir()
    for session in range(6):
        at_all = {name: least_s * STEADY[session] / 0.01 for name, least_s in minima.items()}
        saved(folder / f"{session}.json", at_all, f"2026-11-2{ord(folder.name) % 10}T10:{session:02d}:00", cpu)
    return read(str(folder), folder)


def test_benchmarks_of_other_names_are_not_compared_with_each_other(tmp_path):
    base = sessions(tmp_path / "a", {"test_fast": 1e-6})
    findings, notes = compare(base, sessions(tmp_path / "b", {"test_slow": 1e-3}), Limits())
    assert [(one.cell, one.verdict) for one in findings] == [("test_slow", Verdict.NO_BASELINE)]
    assert notes == ["only the base has test_fast"]
    findings, _ = compare(base, sessions(tmp_path / "c", {"test_fast": 1e-6, "test_slow": 1e-3}), Limits())
    assert {one.cell: one.word for one in findings} == {"test_fast": "same", "test_slow": "no_baseline"}


@pytest.mark.parametrize("least_s", [20e-9, 400e-9, 3e-6, 0.1])
def test_a_benchmark_of_any_size_is_slower_when_it_is(tmp_path, least_s):
    base, head = sessions(tmp_path / "a", {"test": least_s}), sessions(tmp_path / "b", {"test": 10 * least_s})
    (finding,), _ = compare(base, head, Limits())
    assert finding.word == "slower"
    (finding,), _ = compare(base, head, Limits(floor_s=20 * least_s))
    assert finding.word == "same"
    assert finding.why.startswith("below the floor: slower by ")
    assert finding.why.endswith("--floor names another")
    (finding,), _ = compare(base, base, Limits())
    assert (finding.word, finding.why) == ("same", None)


def test_it_is_the_least_time_of_a_session_that_counts(tmp_path):
    path = tmp_path / "x.json"
    saved(path, {"test": 0.01})
    content = json.loads(path.read_text())
    content["benchmarks"][0]["stats"] |= {"median": 0.5, "mean": 0.7}
    path.write_text(json.dumps(content))
    assert of_benchmarks(path)[0].metrics == {"min_s": 0.01}


@pytest.mark.parametrize(
    ("one", "other", "comparable"),
    [
        ({"brand_raw": "A CPU", "count": 2}, {"brand_raw": "A CPU", "count": 2}, True),
        ({"brand": "A CPU", "count": 2}, {"brand_raw": "A  CPU ", "count": 2}, True),
        ({"brand": "A CPU"}, {"brand": "Another CPU"}, False),
        ({"brand_raw": "A CPU", "count": 2}, {"brand_raw": "A CPU", "count": 8}, False),
        ({"arch": "X86_64"}, {"arch": "X86_64"}, False),
        ({"brand_raw": "A CPU"}, {"brand_raw": ""}, False),
    ],
)
def test_benchmarks_of_one_cpu_are_of_one_machine_and_an_unknown_one_is_none(tmp_path, one, other, comparable):
    base, head = sessions(tmp_path / "a", {"test": 0.01}, one), sessions(tmp_path / "b", {"test": 0.01}, other)
    (finding,), _ = compare(base, head, Limits())
    assert finding.word == ("same" if comparable else "no_baseline")
    (finding,), _ = compare(base, head, Limits(), any_machine=True)
    assert finding.word == "same"


def test_accuracies_are_pairs_of_equal_seeds_in_whatever_order_they_were_measured():
    def accuracies(values, first_minute, seeds):
        return [
            Result({"model": "darknet"}, "digits", "time_to_accuracy", f"2026-11-20T10:{first_minute + i:02d}:00Z",
                   {"accuracy": value}, {"id": "m1"}, seed=seed)
            for i, (value, seed) in enumerate(zip(values, seeds, strict=True))
        ]  # fmt: skip

    of_seeds = [0.90, 0.80, 0.85, 0.70, 0.95, 0.75, 0.88, 0.78]
    base = accuracies(of_seeds, 0, range(8))
    # Four points worse with every seed, where seeds differ by twenty; and four seeds that only head has.
    head = accuracies([0.99] * 4 + [value - 0.04 for value in of_seeds][::-1], 20, [8, 9, 10, 11, *range(7, -1, -1)])
    (finding,), _ = compare(base, head, Limits())
    assert finding.word == "less accurate"
    assert finding.judgement.change.method == "mean difference of pairs"
    assert (finding.judgement.n, finding.judgement.change.value) == (8, pytest.approx(-0.04))
    apart = accuracies([value - 0.04 for value in of_seeds], 20, range(100, 108))
    (finding,), _ = compare(base, apart, Limits())
    assert (finding.word, finding.judgement.change.method) == ("unsure", "difference of means")
    # A seed that was measured twice is one value.
    (finding,), _ = compare([*base, *base], [*head, *head], Limits())
    assert finding.judgement.n == 8


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"benchmarks": [{"fullname": "x"}]}', '{"benchmarks": 3}', "[" * 10_000,
     '{"machine_info": [1], "benchmarks": []}', '{"machine_info": {"cpu": "x"}, "benchmarks": []}',
     *('{"benchmarks": [{"fullname": NAME, "stats": {"min": MIN}}]}'.replace("NAME", name).replace("MIN", least_s)
       for name, least_s in
       [("1", "1"), ('"x"', '"1"'), ('"x"', "[1]"), ('"x"', "true"), ('"x"', "NaN"), ('"x"', "-1"), ('"x"', "1e999")])],
)  # fmt: skip
def test_a_json_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="this is no file of pytest-benchmark") as refusal:
        read(str(path), tmp_path)
    assert "Error" not in str(refusal.value)


def test_a_json_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"benchmarks": [{"fullname": "x", "stats": {"min": 1}}]}', encoding="utf-8-sig")
    assert len(read(str(path), tmp_path)) == 1


def test_the_loop_of_the_documentation_works_as_it_is_written(tmp_path):
    """With two sessions a side, for the sake of time."""
    page = (Path(__file__).parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")
    (loop,) = (block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "--benchmark-json" in block)
    assert loop.count("1 2 3 4 5 6") == 2
    (tmp_path / "tests" / "benchmarks").mkdir(parents=True)
    (tmp_path / "tests" / "benchmarks" / "test_sum.py").write_text(
        "def test_sum(benchmark):\n    benchmark.pedantic(sum, args=[range(1000)], rounds=5)\n"
    )
    # The loop's own sessions are no workers of this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", loop.replace("1 2 3 4 5 6", "1 2").rstrip() + " --any-machine -f json --out report.json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (finding,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert (finding["cell"], finding["n"]) == ("tests/benchmarks/test_sum.py::test_sum", 2)


def test_a_measure_of_a_later_version_has_nothing_to_compare():
    side = results([1.0] * 10, measure="later")
    assert [finding.word for finding in compare(side, side, Limits())[0]] in ([], ["no_baseline"])
