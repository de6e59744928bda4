"""Energy through a whole run of a measure, with a counter that is made up: a joule for each reading."""

import itertools
from types import SimpleNamespace

from bench.host.clock import Clock
from bench.measures import base
from bench.measures.time_to_accuracy import TimeToAccuracy


class OneMoreEachTime:
    name = "made up"
    coarse_below_s = 1.0

    def __init__(self):
        self._readings = itertools.count()

    def joules(self):
        return float(next(self._readings))


def test_training_has_its_part_of_the_whole(monkeypatch, make_job, run_here):
    asked = []

    def open_counter(is_cuda, count):
        asked.append((is_cuda, count))
        return OneMoreEachTime()

    monkeypatch.setattr(base, "open_counter", open_counter)
    told = run_here(make_job("time_to_accuracy", "epochs=2", "target_accuracy=null"))
    metrics = told[-1]["metrics"]
    # A reading at the beginning of each span: each of the two epochs lasted for one joule.
    assert metrics["train_energy_j"] == 2.0
    assert metrics["energy_j"] > 5.0
    assert metrics["train_energy_coarse"] == (metrics["train_s"] < 1)
    assert asked == [(False, 1)]
    facts = next(event for event in told if event["kind"] == "facts" and "resolved" in event)
    assert facts["resolved"]["energy_counter"] == "made up"


def test_a_host_counts_the_devices_that_it_has(monkeypatch, make_job):
    asked = []
    monkeypatch.setattr(base, "open_counter", lambda is_cuda, count: asked.append((is_cuda, count)))
    job = make_job("time_to_accuracy", "devices=4", "nodes=2")
    measured = TimeToAccuracy(job, Clock(), lambda *_, **__: None)
    measured.device = SimpleNamespace(is_cuda=True)
    assert measured._energy_meter().source is None
    assert asked == [(True, 2)]


def test_progress_within_a_phase_looks_at_the_counter(monkeypatch, make_job):
    looks = []
    measured = TimeToAccuracy(make_job("time_to_accuracy"), Clock(), lambda *_, **__: None)
    monkeypatch.setattr(measured.energy, "look", lambda: looks.append("look"))
    measured._report({"kind": "step"})
    measured.tell_step(1, 64)
    assert looks == ["look"] * 2


def test_without_a_counter_it_is_null(monkeypatch, make_job, run_here):
    monkeypatch.setattr(base, "open_counter", lambda is_cuda, count: None)
    metrics = run_here(make_job("inference"))[-1]["metrics"]
    assert metrics["energy_j"] is None
    assert "train_energy_j" not in metrics
