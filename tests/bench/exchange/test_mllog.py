import json

import pytest

from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.mllog import log_lines
from bench.exchange.to_runs import run_of
from bench.scores.rules import RunTimeline, rule


def events(run):
    lines = log_lines(run)
    assert all(line.startswith(":::MLLOG {") for line in lines)
    return [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]


def by_key(run):
    found = {}
    for event in events(run):
        found.setdefault(event["key"], []).append(event)
    return found


def test_the_phases_come_in_order(cifar_run):
    keys = [event["key"] for event in events(cifar_run()) if event["event_type"] != "POINT_IN_TIME"]
    epoch = ["epoch_start", "epoch_stop", "eval_start", "eval_stop"]
    final = ["eval_start", "eval_stop"]
    assert keys == ["init_start", "init_stop", "run_start", *epoch, *epoch, *final, "run_stop"]
    times = [event["time_ms"] for event in events(cifar_run())]
    assert times == sorted(times)


def test_the_clock_starts_before_the_data_and_stops_at_the_target(cifar_run):
    found = by_key(cifar_run())
    start_ms = found["init_start"][0]["time_ms"]
    assert found["run_start"][0]["time_ms"] - start_ms == 5_000
    (stop,) = found["run_stop"]
    assert stop["time_ms"] - start_ms == 150_000
    assert stop["metadata"]["status"] == "success"


def test_initialisation_of_more_than_half_an_hour_counts_as_in_our_rule(cifar_run):
    late_s = 2_000.0
    spans = [
        span | {"start_s": span["start_s"] + late_s, "end_s": span["end_s"] + late_s} for span in cifar_run().spans[1:]
    ]
    run = cifar_run(spans=spans)
    found = by_key(run)
    (start,), (stop,) = found["run_start"], found["run_stop"]
    assert start["time_ms"] - found["init_start"][0]["time_ms"] == 1_800_000
    assert stop["time_ms"] - start["time_ms"] == 1000 * rule("mlperf").timing(RunTimeline(run), 0.94).time_s


def test_nothing_follows_the_moment_of_the_target(cifar_run):
    epochs = [{"epoch": 1, "steps": 10, "accuracy": 0.941}, {"epoch": 2, "steps": 19, "accuracy": 0.935}]
    logged = events(cifar_run(epochs=epochs))
    assert [event["metadata"]["epoch_num"] for event in logged if event["key"] == "eval_accuracy"] == [1]
    assert logged[-1]["key"] == "run_stop"
    assert logged[-1]["time_ms"] - logged[0]["time_ms"] == 82_000


def test_a_run_that_did_not_reach_it_is_aborted(cifar_run):
    run = cifar_run({"reached": False, "time_to_target_s": None, "accuracy": 0.9}, status="not_reached")
    assert by_key(run)["run_stop"][0]["metadata"]["status"] == "aborted"


def test_accuracies_and_facts(cifar_run):
    found = by_key(cifar_run(seed=7))
    accuracies = [(event["value"], event["metadata"]["epoch_num"]) for event in found["eval_accuracy"]]
    assert accuracies == [(0.5, 1), (0.935, 2), (0.945, 2)]
    values = {key: event[0]["value"] for key, event in found.items()}
    assert values["seed"] == 7
    assert values["global_batch_size"] == 2000
    assert (values["train_samples"], values["eval_samples"]) == (50000, 10000)
    assert (values["opt_name"], values["opt_base_learning_rate"]) == ("muon", 0.24)
    # Each line names its place in a source and its namespace, as the format wants.
    assert all(
        {"file", "lineno"} <= set(event["metadata"]) and event["namespace"] == "" for event in events(cifar_run())
    )


def test_a_batch_is_that_of_all_devices_and_goes_through_in_so_many_parts(cifar_run):
    for config, expected in (({}, (2000, 1)), ({"devices": 2, "batch_per": "device", "accumulate": 4}, (4000, 4))):
        values = {key: event[0]["value"] for key, event in by_key(cifar_run(config=config)).items()}
        assert (values["global_batch_size"], values["gradient_accumulation_steps"]) == expected


def test_what_makes_no_log(cifar_run, put_train):
    for run, reason in (
        (cifar_run(measure="loading"), "no target"),
        (cifar_run({"target_accuracy": None}), "no target"),
        (cifar_run(status="crashed"), "ended as crashed"),
        (run_of(dawnbench.load(put_train()), "theirs"), "imported"),
    ):
        with pytest.raises(UsageError, match=reason):
            log_lines(run)


def test_a_seed_that_found_its_data_loaded_has_no_log(cifar_run):
    with pytest.raises(
        UsageError, match="shared its process with other seeds, and its clock starts at the first touch"
    ):
        log_lines(cifar_run(config={"resolved": {"shared_process": True}}))


def test_a_run_whose_code_changed_meanwhile_has_no_log(cifar_run):
    with pytest.raises(UsageError, match=r"models/a\.py"):
        log_lines(cifar_run(code={"changed_during_run": ["models/a.py"]}))
