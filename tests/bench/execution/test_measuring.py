"""What happens to a job before it is measured."""

import gc
import time

from bench.errors import UsageError
from bench.execution import measuring
from bench.host.clock import Clock
from bench.spec import recipes
from bench.spec.job import Job


def test_the_collector_is_paused_while_the_measure_is_imported(tmp_path, monkeypatch):
    enabled, told = [], []

    def refused(name):
        enabled.append(gc.isenabled())
        raise UsageError(f"no {name}")

    monkeypatch.setattr(measuring, "measure_class", refused)
    job = Job(recipes.load("digits", "cpu"), 0, "cpu", None, tmp_path, tmp_path / "run.log", time.monotonic())
    assert measuring.measure(job, Clock(), lambda kind, **values: told.append(kind)) is False
    assert enabled == [False]
    assert told == ["refused"]
    assert gc.isenabled()
