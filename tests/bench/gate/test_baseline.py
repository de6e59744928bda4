from __future__ import annotations

import json
import time

import numpy as np
import pytest

from bench.errors import MissingError, UsageError
from bench.gate import baseline as baselines
from bench.gate import noise
from bench.gate.agent_process import AgentProcess
from bench.gate.baseline_comparison import BaselineComparison
from bench.gate.compare import Limits
from bench.gate.measurement import Measurement
from bench.gate.source import Result

MACHINE = {"id": "0123456789ab", "cpu_model": "A CPU", "usable_cores": 2, "python": "3.11.7"}


def make(times=(0.01,) * 20, machine=MACHINE, matrix="cells", config=None, label="cells"):
    results = [
        Result(config or {"cell.size": 1}, label, "throughput", "2026", {"step_min_s": time_s, "total_s": 1.0})
        for time_s in times
    ]
    code, reference = {"commit": "a" * 40, "dirty": False}, {"matrix_product_s": 0.01, "memory_copy_s": 0.01}
    return baselines.make(matrix, results, machine, code, reference)


def test_a_baseline_is_read_as_it_was_saved(tmp_path):
    made = make()
    path = baselines.save(made, tmp_path)
    assert path.name == "cells-0123456789ab.json"
    read = baselines.read(path)
    assert read.results[0].metrics == {"step_min_s": 0.01, "peak_host_bytes": None, "peak_device_bytes": None}
    for name in ("matrix", "saved_at", "machine", "code", "reference"):
        assert getattr(read, name) == getattr(made, name)
    assert "python" not in read.machine  # which the fingerprint's id leaves out too
    assert baselines.find(tmp_path, "cells", MACHINE) == read


def test_a_foreign_baseline_is_none_and_says_whose_it_is(tmp_path):
    baselines.save(make(machine=MACHINE | {"id": "ffffffffffff", "usable_cores": 64}), tmp_path)
    with pytest.raises(baselines.NoBaseline) as error:
        baselines.find(tmp_path, "cells", MACHINE)
    assert "of other machines (ffffffffffff; this is 0123456789ab: usable_cores: 64 and 2)" in str(error.value)
    assert "`bench baseline save cells`" in str(error.value)
    assert error.value.exit_code == 3
    with pytest.raises(baselines.NoBaseline, match="there is no baseline of others"):
        baselines.find(tmp_path, "others", MACHINE)


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2}', "[1]", '{"schema": 1, "results": []}'])
def test_damage_is_said(tmp_path, content):
    path = tmp_path / "cells-0123456789ab.json"
    path.write_text(content)
    with pytest.raises(MissingError, match="this is no baseline"):
        baselines.find(tmp_path, "cells", MACHINE)


def test_a_baseline_is_named_by_its_beginning(tmp_path):
    paths = [baselines.save(make(matrix=name), tmp_path) for name in ("cells", "cells_more", "other")]
    assert baselines.named(tmp_path, "oth") == paths[2]
    with pytest.raises(UsageError, match=r"several baselines .* cells_more-0123456789ab"):
        baselines.named(tmp_path, "cells")
    with pytest.raises(UsageError, match="no baselines"):
        baselines.named(tmp_path, "nothing")


def test_noise_is_that_of_neighbours_and_no_hiccup_or_drift_is_in_it():
    rng = np.random.default_rng(0)
    values = 0.01 * np.exp(rng.normal(0, 0.03, 400) + np.linspace(0, 0.5, 400))
    values[::50] *= 3
    assert noise.pair_noise(list(values)) == pytest.approx(0.03 * 2**0.5, rel=0.15)
    assert noise.pair_noise([0.01] * 5) is None


def test_the_floor_falls_with_the_rounds_and_is_about_what_power_needs():
    assert noise.floor(0.03, 30) < noise.floor(0.03, 12) < noise.floor(0.06, 12)
    assert 0.015 < noise.floor(0.03, 30) < 0.03


def test_a_margin_below_the_floor_is_refused_with_the_reason(tmp_path):
    rng = np.random.default_rng(0)
    noisy = make(times=list(0.01 * np.exp(rng.normal(0, 0.05, 20))))
    floors = noisy.floors(30)
    with pytest.raises(UsageError, match=r"--margin 1.00%: below the noise floor .* Of cells, 30 rounds can show"):
        baselines.check_margin(0.01, floors, 30)
    baselines.check_margin(0.2, floors, 30)


@pytest.fixture
def measurement(repository, tmp_path):
    agent = AgentProcess(repository, tmp_path / "log")
    yield Measurement(agent, "cpu", None, tmp_path / "results")
    agent.close()


def judged(measurement, repository, kept):
    findings, notes = BaselineComparison(measurement, [(repository / "cells.json", kept)], Limits()).judge(
        time.monotonic() + 60, 1
    )
    return findings, notes


def saved_of(measurement, repository, rounds=20):
    results = measurement.measure(repository / "cells.json", 1, rounds, time.monotonic() + 60)
    return baselines.make("cells", results, MACHINE, {}, measurement.reference())


@pytest.mark.usefixtures("cheap_starts")
def test_the_same_code_is_the_same_as_its_baseline_and_slower_code_is_slower(measurement, repository, change, tmp_path):
    kept = saved_of(measurement, repository)
    findings, notes = judged(measurement, repository, kept)
    assert [one.word for one in findings] == ["same", "same"]
    assert "a matrix product +0.0%" in notes[0]
    change(step_s=0.0112)
    other = AgentProcess(repository, tmp_path / "log2")
    try:
        findings, _ = judged(Measurement(other, "cpu", None, tmp_path), repository, kept)
    finally:
        other.close()
    assert [one.word for one in findings] == ["slower", "same"]


@pytest.mark.usefixtures("cheap_starts")
def test_a_slow_down_that_the_machine_shows_too_is_unsure(measurement, repository):
    kept = saved_of(measurement, repository)
    content = json.loads(baselines.save(kept, repository).read_text())
    for result in content["results"]:
        result["metrics"]["step_min_s"] /= 1.1
    content["reference"] = {name: time_s / 1.12 for name, time_s in content["reference"].items()}
    path = repository / "cells-0123456789ab.json"
    path.write_text(json.dumps(content))
    findings, _ = judged(measurement, repository, baselines.read(path))
    assert findings[0].word == "unsure"
    assert "slower, but so is the machine: a matrix product +12.0%" in findings[0].why


@pytest.mark.usefixtures("cheap_starts")
def test_a_recipe_that_changed_since_has_no_baseline(measurement, repository):
    kept = make(config={"cell.size": 2}, label="cells: size=1")
    findings, _ = judged(measurement, repository, kept)
    assert [one.word for one in findings] == ["no_baseline"]
    assert "the recipe says another thing" in findings[0].why


def test_each_run_of_a_baseline_and_beside_it_is_a_start_of_its_own(measurement, repository, starts):
    measurement.agent.close()
    measurement.agent.start()  # which knows the folder
    kept = saved_of(measurement, repository, 12)
    assert len(list(starts.iterdir())) == 12
    assert [result.seed for result in kept.results] == [*range(12)]
    findings, _ = judged(measurement, repository, kept)
    assert {one.word for one in findings} <= {"same", "unsure"}


@pytest.mark.usefixtures("cheap_starts")
def test_accuracies_are_held_against_those_of_equal_seeds(repository, tmp_path):
    """Seeds differ by far more than the code does; two seeds of head have no counterpart."""
    cells = {"recipe": "digits", "measure": "time_to_accuracy", "cells": [{"by_seed": 0.1}]}
    (repository / "cells.json").write_text(json.dumps(cells))
    agent = AgentProcess(repository, tmp_path / "log")
    try:
        kept = saved_of(Measurement(agent, "cpu", None, tmp_path), repository, 10)
    finally:
        agent.close()
    kept = baselines.read(baselines.save(kept, tmp_path))
    source = repository / "bench" / "step_s.py"
    source.write_text(source.read_text().replace("ACCURACY = 0.95", "ACCURACY = 0.94"))
    agent = AgentProcess(repository, tmp_path / "log")
    try:
        findings, _ = judged(Measurement(agent, "cpu", None, tmp_path), repository, kept)
    finally:
        agent.close()
    accuracy = findings[0].judgement
    assert (findings[0].word, accuracy.n, accuracy.change.method) == ("less accurate", 10, "mean difference of pairs")


def test_a_baseline_of_one_start_is_refused_and_the_remedy_named(tmp_path):
    path = baselines.save(make(), tmp_path)
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    with pytest.raises(MissingError, match=r"from one start for all runs.*`bench baseline save` makes one"):
        baselines.read(path)


def test_a_baseline_too_noisy_for_the_margin_is_told_before_anything_is_measured(tmp_path):
    rng = np.random.default_rng(0)
    noisy = make(times=list(0.01 * np.exp(rng.normal(0, 0.05, 20))))
    (told,) = BaselineComparison(None, [(tmp_path, noisy)], Limits()).noise_warnings()
    assert told.startswith("cells: by its baseline's noise 12 rounds can show ")
    assert "and not the margin of 3.0%" in told
    assert BaselineComparison(None, [(tmp_path, noisy)], Limits(margin=0.5)).noise_warnings() == []
    assert BaselineComparison(None, [(tmp_path, make())], Limits()).noise_warnings() == []


@pytest.mark.usefixtures("cheap_starts")
def test_runs_beside_something_busy_are_told(measurement, repository):
    runner = repository / "bench" / "execution" / "runner.py"
    runner.write_text(runner.read_text().replace('metrics={"step_min_s"', 'metrics={"contended": True, "step_min_s"'))
    agent = AgentProcess(repository, repository / "log")
    try:
        busy = Measurement(agent, "cpu", None, repository / "results")
        saved_of(busy, repository, 6)
    finally:
        agent.close()
    assert busy.disturbed() == ["contended: 6 of 6 runs (other processes were busy, for one); stop what else runs"]
    assert measurement.disturbed() == []


@pytest.mark.usefixtures("cheap_starts")
@pytest.mark.parametrize(
    ("conditions", "step_s", "word", "why"),
    [
        (
            {"NUMPY": "2.1.0"},
            0.0112,
            "unsure",
            "slower, but with other packages than the baseline's (numpy 1.26.4 → 2.1.0)",
        ),
        ({"NUMPY": "2.1.0"}, 0.0088, "unsure", "faster, but with other packages"),
        (
            {"DATA": "b" * 64},
            0.0112,
            "no_baseline",
            "the data differ (hashes aaaaaaaaaaaa → bbbbbbbbbbbb)",
        ),
        ({}, 0.0112, "slower", ""),
    ],
)
def test_other_packages_and_other_data_are_no_change_of_the_code(
    measurement, repository, change, tmp_path, monkeypatch, conditions, step_s, word, why
):
    kept = baselines.read(baselines.save(saved_of(measurement, repository), tmp_path))
    change(step_s=step_s)
    for name, value in conditions.items():
        monkeypatch.setenv(name, value)
    agent = AgentProcess(repository, tmp_path / "log2")
    try:
        findings, notes = judged(Measurement(agent, "cpu", None, tmp_path), repository, kept)
    finally:
        agent.close()
    assert findings[0].word == word
    assert findings[0].judgement is None or not findings[0].judgement.not_worse  # faster packages may hide slower code
    assert why in (findings[0].why or "")
    told = "the packages differ from the baseline's: numpy 1.26.4 → 2.1.0"
    assert (told in notes) is ("NUMPY" in conditions)


@pytest.mark.usefixtures("cheap_starts")
def test_a_baseline_that_does_not_know_its_packages_says_so(measurement, repository, tmp_path):
    path = baselines.save(saved_of(measurement, repository), tmp_path)
    content = json.loads(path.read_text())
    del content["versions"]
    for result in content["results"]:
        del result["data_fingerprint"]
    path.write_text(json.dumps(content))
    findings, notes = judged(measurement, repository, baselines.read(path))
    assert [one.word for one in findings] == ["same", "same"]
    assert "the baseline of cells does not say with which packages and data it was made" in " ".join(notes)
