"""What all rule books ask and say, and what they make of real runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.runs.run import Run
from bench.runs.store import Store
from bench.scores import rules
from bench.scores.rules import RULES, RunTimeline, groups, position, rule, rules_for, use
from bench.scores.rules.task import task
from bench.spec.measures import MEASURES

Codes = Callable[..., list[str]]
PUBLISHED = Path(__file__).parents[4] / "results" / "published" / "cifar94.jsonl"


@pytest.fixture(params=RULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def good(trained: Callable[..., Run]) -> list[Run]:
    return [trained([0.9, 0.95], 0.95 + seed / 1000, seed=seed, price_per_hour=1.0) for seed in range(5)]


def test_good_runs_qualify_and_have_every_figure(trained: Callable[..., Run], name: str) -> None:
    score = rule(name).score(good(trained))
    assert score.verdict == "qualifies", score.reasons
    assert (score.rule, score.task, score.target_accuracy, score.n) == (name, "cifar10/train", 0.94, 5)
    assert score.time_s is not None
    assert (score.time_s.unit, score.time_s.n) == ("s", 5)
    assert score.cost_usd is not None
    assert score.cost_usd.value == pytest.approx(score.time_s.value / 3600)
    assert score.accuracy is not None
    assert score.accuracy.value == pytest.approx(0.952)
    assert score.reached is not None
    assert score.reached.value == 1


def test_timelines_are_as_good_as_runs(trained: Callable[..., Run], name: str) -> None:
    runs = good(trained)
    assert rule(name).score([RunTimeline(run) for run in runs]) == rule(name).score(runs)


@given(accuracies=st.lists(st.floats(0.9, 1), min_size=1, max_size=6), final=st.none() | st.floats(0.9, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_clock_is_longer_than_what_a_person_waits_for(
    trained: Callable[..., Run], accuracies: list[float], final: float | None
) -> None:
    run = trained(accuracies, final)
    timings = {name: rule(name).score([run]).timings[0] for name in RULES}
    whole_s = timings["coldstart"].time_s
    assert whole_s is not None
    for timing in timings.values():
        assert math.fsum([*timing.counted.values(), *timing.uncounted.values()]) == pytest.approx(whole_s)
        assert timing.time_s is None or timing.time_s <= whole_s
    dawn, mlperf = timings["dawnbench"], timings["mlperf"]
    if dawn.time_s is not None and dawn.reached_by == mlperf.reached_by:
        assert mlperf.time_s is not None
        assert mlperf.time_s > dawn.time_s - 1  # the device span, which is before the data


def test_the_order_of_runs_does_not_matter(trained: Callable[..., Run], name: str) -> None:
    runs = good(trained)
    assert rule(name).score(runs[::-1]) == rule(name).score(runs)


def test_contended_runs_are_marked_by_the_clocks_that_count_the_disturbed_spans(
    trained: Callable[..., Run], codes: Codes, name: str
) -> None:
    host = {"wall_s": 10.0, "cores": 2, "threads": 2, "own_cpu_s": 12.0, "others_cpu_s": 7.0, "steal_s": 0.0}
    for span_name in ("train", "import"):
        runs = good(trained)
        assert "contended" not in codes(rule(name).score(runs).footnotes)
        next(span for span in runs[0].spans if span["name"] == span_name)["host"] = host
        score = rule(name).score(runs)
        told = [finding.text for finding in score.footnotes if finding.code == "contended"]
        if span_name == "train" or name == "coldstart":
            assert len(told) == 1
            assert f"1 of 5 runs: seed 0: other processes took 37% of the CPU time in {span_name}" in told[0]
        assert score.qualifies


def test_a_run_that_was_paused_is_marked(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = good(trained)
    assert "paused" not in codes(rule(name).score(runs).footnotes)
    runs[1].metrics["paused_s"] = 4.25
    score = rule(name).score(runs)
    assert [one.text for one in score.footnotes if one.code == "paused"] == [
        "1 run was stopped from outside and continued, for 4.2 s, which the times hold"
    ]
    assert score.qualifies


def test_code_that_changed_while_it_ran_disqualifies(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = good(trained)
    runs[0].code["changed_during_run"] = []
    assert rule(name).score(runs).qualifies
    runs[1].code["changed_during_run"] = ["models/a.py", "models/b.py", "models/c.py", "models/d.py"]
    score = rule(name).score(runs)
    assert codes(score.reasons) == ["code_changed_during_run"]
    assert "models/a.py, models/b.py, models/c.py and 1 more" in score.reasons[0].text
    runs = good(trained)
    runs[1].code["bytecode_not_of_source"] = ["models/a.py"]
    assert codes(rule(name).score(runs).reasons) == ["bytecode_not_of_source"]


def test_other_code_beside_the_sources_is_told(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = good(trained)
    runs[0].code.update({"loaded": {"winograd.cpp": "a"}, "commit_unknown": "detected dubious ownership"})
    told = codes(rule(name).score(runs).footnotes)
    assert {"code_changed", "commit_unknown"} <= set(told)


def test_other_packages_are_told(trained: Callable[..., Run], name: str) -> None:
    runs = good(trained)
    runs[0].versions.update({"torch": "2.9.0", "numpy": "2.1"})
    runs[1].versions.update({"torch": "2.13.0", "numpy": "2.1"})
    texts = [finding.text for finding in rule(name).score(runs).footnotes]
    assert "the packages changed between these runs: torch 2.13.0 and 2.9.0" in texts


def test_unofficial_data(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = [trained([0.95], seed=seed, data={"name": "cifar10", "official": False}) for seed in range(5)]
    score = rule(name).score(runs)
    told = score.footnotes if name == "coldstart" else score.reasons
    assert "data_not_official" in codes(told)
    assert score.qualifies == (name == "coldstart")


def test_runs_on_different_data_do_not_qualify(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    data = [{"name": "cifar10", "official": True, "fingerprint": mark} for mark in "aabaa"]
    score = rule(name).score([trained([0.95], seed=seed, data=facts) for seed, facts in enumerate(data)])
    assert codes(score.reasons) == ["data_differ"]


def test_a_run_that_ended_before_its_data_used_no_other(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    early = trained([], seed=9, status="crashed", data={}, spans=[], metrics={})
    score = rule(name).score([early, *good(trained)])
    assert score.n == 6
    assert not {"data_differ", "data_not_official"} & {*codes(score.reasons), *codes(score.footnotes)}


def test_what_a_reader_must_know(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = good(trained)
    runs.append(trained([0.95], seed=8, code={"sources_sha256": "b", "dirty": True}, price_per_hour=2.0))
    runs.append(trained([0.95], seed=9, status="interrupted"))
    score = rule(name).score(runs)
    assert score.n == 6
    assert {"code_changed", "code_dirty", "left_out", "price_unknown"} <= set(codes(score.footnotes))
    assert score.cost_usd is None
    assert rule(name).score(runs, price_per_hour=2.0).cost_usd is not None


def test_nothing_that_was_tried(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    score = rule(name).score([trained([0.95], status="interrupted"), trained([], status="skipped", seed=1)])
    assert "too_few_runs" in codes(score.reasons)
    assert (score.n, score.time_s, score.accuracy, score.reached) == (0, None, None, None)


def test_a_run_that_crashed_at_once(make_run: Callable[..., Run], codes: Codes, name: str) -> None:
    score = rule(name).score([make_run(status="crashed", config={"data": {"name": "cifar10"}})])
    assert "not_reached" in codes(score.reasons)
    assert "ended_early" in codes(score.footnotes)
    assert score.time_s is None


def test_no_target_no_verdict(make_run: Callable[..., Run], codes: Codes, name: str) -> None:
    assert "no_target" in codes(rule(name).score([make_run()]).reasons)


def test_a_task_without_accuracy_is_given_no_remedy_that_its_recipe_refuses(
    make_run: Callable[..., Run], name: str
) -> None:
    score = rule(name).score([make_run(config={"task": {"name": "wgan"}})])
    (reason,) = [one for one in score.reasons if one.code == "no_target"]
    assert reason.text.endswith("judged by something other than accuracy, which no rule book scores")


def test_only_repeats_of_one_another_are_scored(trained: Callable[..., Run], name: str) -> None:
    here, there = trained([0.95]), trained([0.95], machine={"id": "other"})
    with pytest.raises(ValueError, match="2 cells or machines"):
        rule(name).score([here, there])
    with pytest.raises(ValueError, match="no run"):
        rule(name).score([])
    assert [len(group) for group in groups([here, there, here])] == [2, 1]


def test_who_takes_seeds_that_shared_a_process(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    runs = good(trained)
    shared = [replaced(run, {"shared_process": True}) for run in runs]
    score = rule(name).score(shared)
    assert score.qualifies == (name == "speedrun"), score.reasons
    told = score.footnotes if score.qualifies else score.reasons
    assert "shared_process" in codes(told)
    assert "loaded, built and compiled once" in told[0].text
    with pytest.raises(ValueError, match="a score is of one kind"):
        rule(name).score([*runs, shared[0]])
    assert sorted(len(group) for group in groups([*runs, *shared[:2]])) == [2, 5]


def test_cold_is_not_what_takes_kept_programs(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    score = rule(name).score([replaced(run, {"compiled_cache": "kept"}) for run in good(trained)])
    assert score.qualifies == (name != "coldstart")
    assert "kept_programs" in codes(score.footnotes if score.qualifies else score.reasons)
    fresh = rule(name).score([replaced(run, {"compiled_cache": "fresh"}) for run in good(trained)])
    assert fresh.qualifies
    assert "kept_programs" not in codes(fresh.footnotes)


def replaced(run: Run, resolved: dict[str, object]) -> Run:
    """The run with these facts of how it was carried out."""
    return msgspec.structs.replace(run, config=run.config | {"resolved": resolved})


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"unknown rule book 'dawnbnech' \(did you mean 'dawnbench'"):
        rule("dawnbnech")
    with pytest.raises(UsageError, match="mlperf does not score the measure 'inference'; who does: dawnbench"):
        rule("mlperf", "inference")


def test_every_measure_knows_its_rules() -> None:
    scored = {measure: [book.name for book in rules_for(measure)] for measure in MEASURES}
    assert scored["time_to_accuracy"] == list(RULES)
    assert scored["inference"] == ["dawnbench"]
    assert scored["throughput"] == scored["loading"] == scored["memory"] == []


def test_a_real_run_under_every_rule() -> None:
    """94.40 % on two CPU cores; the record is of an earlier version, which counted a span's epochs from 0."""
    runs = Store(PUBLISHED).read()[:1]
    scores = {name: rule(name).score(runs) for name in RULES}
    times = {name: score.time_s.value for name, score in scores.items() if score.time_s is not None}
    assert times == pytest.approx(
        {"dawnbench": 898.22, "mlperf": 984.92, "speedrun": 928.40, "coldstart": 987.30}, abs=0.01
    )
    for score in scores.values():
        (timing,) = score.timings
        whole = math.fsum([*timing.counted.values(), *timing.uncounted.values()])
        assert whole == pytest.approx(float(runs[0].metrics["total_s"] or 0))
        assert score.time_s is not None
        assert score.cost_usd is not None
        assert score.cost_usd.value == pytest.approx(score.time_s.value * 0.10 / 3600)


def _spans(run: Run, name: str, **times: float) -> None:
    for span in run.spans:
        if span["name"] == name:
            span.update(times)


IMPOSSIBLE = {
    "a span that ends before it begins": lambda run: _spans(run, "train", end_s=1.0),
    "a span without an end": lambda run: _spans(run, "train", end_s=math.inf),
    "a span that is no number": lambda run: _spans(run, "init", start_s=math.nan),
    "a span from minus infinity": lambda run: _spans(run, "import", start_s=-math.inf),
    "a span before the command": lambda run: _spans(run, "start", start_s=-1000.0),
    "no time at all": lambda run: [span.update(start_s=0.0, end_s=0.0) for span in run.spans],
    "200 %": lambda run: run.metrics.update(accuracy=2.0),
    "200 % after an epoch": lambda run: run.epochs[0].update(accuracy=2.0),
    "a negative accuracy": lambda run: run.metrics.update(accuracy=-0.5),
    "an accuracy that is no number": lambda run: run.metrics.update(accuracy=math.nan),
    "ok at 10 %": lambda run: run.metrics.update(accuracy=0.1),
    "negative energy": lambda run: run.metrics.update(train_energy_j=-5.0),
    "a negative time to the target": lambda run: run.metrics.update(time_to_target_s=-1.0),
}


@pytest.mark.parametrize("spoil", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_qualifies_nowhere_and_is_said(
    trained: Callable[..., Run], codes: Codes, name: str, spoil: Callable[[Run], object]
) -> None:
    runs = [trained([0.9, 0.95], 0.95 + seed / 1000, seed=seed, price_per_hour=1.0) for seed in range(6)]
    assert rule(name).score(runs).qualifies
    spoil(runs[3])
    score = rule(name).score(runs)
    assert "impossible" in codes(score.reasons)
    assert any(runs[3].run_id in finding.text for finding in score.reasons)


@pytest.mark.parametrize("price", [-1.0, math.inf, math.nan])
def test_a_price_that_cannot_be_qualifies_nowhere(
    trained: Callable[..., Run], codes: Codes, name: str, price: float
) -> None:
    runs = [trained([0.9, 0.95], 0.95, seed=seed, price_per_hour=price) for seed in range(5)]
    assert "impossible" in codes(rule(name).score(runs).reasons)


def test_a_training_that_diverged_is_possible(trained: Callable[..., Run], codes: Codes, name: str) -> None:
    lost = trained([math.nan], math.nan, status="diverged", seed=9)
    assert "impossible" not in codes(rule(name).score([*good(trained), lost]).reasons)


def test_a_set_of_another_size_is_another_task(make_run):
    def of(**data):
        return task(make_run(config={"data": {"name": "cifar10"}}, data=data))

    assert of() == of(name="cifar10") == of(name="cifar10", train_count=50_000, test_count=10_000) == "cifar10/train"
    assert of(name="cifar10", train_count=10_000, test_count=10_000) == "cifar10-10000-10000/train"
    assert of(name="cifar10", train_count=50_000, test_count=1_000) == "cifar10-50000-1000/train"
    assert of(name="mine", train_count=5, test_count=5) == "mine/train"


def test_a_book_of_a_users_own_scores_beside_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rules, "_USED", [])
    source = "from bench.scores.rules.coldstart import ColdStart\nclass {}(ColdStart):\n    name = '{}'\n"
    (tmp_path / "mine.py").write_text(source.format("Patient", "patient") + source.format("Same", "mlperf"))
    assert use(f"{tmp_path}/mine.py:Patient") == "patient"
    assert rule("patient").name == "patient"
    assert "patient" in [book.name for book in rules_for("time_to_accuracy")]
    assert position("patient") == len(RULES)
    with pytest.raises(UsageError, match=r"mine.py:Same is called 'mlperf', as another rule book is"):
        use(f"{tmp_path}/mine.py:Same")
    with pytest.raises(UsageError, match=r"mine.py:ColdStart is called 'coldstart'"):
        use(f"{tmp_path}/mine.py:ColdStart")
