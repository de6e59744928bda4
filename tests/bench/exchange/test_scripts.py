"""Scripts in the formats of others: written where they tell enough, else refused with what is missing."""

import json

import pytest

from bench.errors import UsageError
from bench.exchange.entry import TrainEntry, Unfit
from bench.exchange.from_runs import Submitter, entry_of
from bench.exchange.mllog import log_lines


@pytest.fixture
def make(make_run):
    """A script on CIFAR-10 that reports these spans, a second each, and an epoch at the target."""

    def run(names, reported):
        spans = [{"name": name, "start_s": float(at), "end_s": at + 1.0} for at, name in enumerate(names)]
        config = {"command": ["python", "train.py"], "data": {"name": "cifar10"}, "device": "cpu"}
        return make_run(
            recipe="train.py",
            config=config | {"resolved": {"reported": reported}},
            machine={"cpu_model": "CPU", "usable_cores": 2},
            epochs=[{"epoch": 1, "accuracy": 0.95}],
            metrics={"accuracy": 0.95, "target_accuracy": 0.94, "epochs": 1},
            spans=spans,
        )

    return run


TELLS_ALL = ["data", "train", "eval", "rest"], ["data", "eval", "train", "epochs"]


def test_an_entry_has_the_epochs_that_the_script_told(make):
    entry = entry_of(make(*TELLS_ALL), Submitter("me", "me@example.org", framework="JAX"))
    assert isinstance(entry, TrainEntry)
    assert (entry.model, entry.framework) == ("train.py", "JAX")
    assert [(row.epoch, row.hours) for row in entry.rows] == [(1.0, pytest.approx(2 / 3600))]


def test_an_entry_needs_the_framework_and_when_epochs_ended(make):
    with pytest.raises(UsageError, match="give --framework"):
        entry_of(make(*TELLS_ALL), Submitter("me", "me@example.org"))
    with pytest.raises(Unfit, match="does not report when its epochs ended"):
        entry_of(make(["rest"], []), Submitter("me", "me@example.org", framework="JAX"))


def test_a_log_begins_at_the_data(make):
    events = [json.loads(line.removeprefix(":::MLLOG ")) for line in log_lines(make(*TELLS_ALL))]
    assert [event["key"] for event in events][-4:] == ["eval_start", "eval_accuracy", "eval_stop", "run_stop"]
    # Spans of a script may begin at the very moment at which the ones before end.
    goes_on = log_lines(make(["data", "train", "eval", "train", "eval"], TELLS_ALL[1]))
    assert sum("epoch_start" in line for line in goes_on) == 1
    with pytest.raises(Unfit, match="send events of the span data"):
        log_lines(make(["train", "eval"], ["train", "eval", "epochs"]))
