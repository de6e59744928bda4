"""The loop of a sweep with workers that have ended when they begin; real ones are in the tests of the commands."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.documents.document import Document
from bench.execution import sweep
from bench.execution.device_pool import Allotment
from bench.execution.measured import Measured
from bench.execution.recording import Attempt
from bench.execution.sweep import Sweep
from bench.runs.store import StoreError
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan


class Ended:
    """A follower of a worker that is done."""

    over, sources = True, ()

    def __init__(self, *_):
        pass

    def advance(self):
        pass

    def result(self):
        return Measured("ok")

    def close(self):
        pass


class FullDisk:
    """A recorder that can keep nothing, and knows what it was given."""

    results = Path("results")

    def __init__(self):
        self.given = []

    def begin(self, *of):
        return Attempt("id", datetime.now(UTC), Path("id.log"))

    def record(self, attempt, measured, *, seed, **_):
        self.given.append(seed)
        raise StoreError("no room")


class NoView:
    def begin(self, entry):
        pass

    def take(self, entry, event):
        pass

    def end(self, entry):
        pass


def test_of_runs_that_end_in_one_moment_none_is_lost_where_the_first_cannot_be_recorded(monkeypatch):
    monkeypatch.setattr(sweep, "Follower", Ended)
    monkeypatch.setattr(sweep, "warm_up_fork_server", lambda: None)
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits"})), "cpu")
    made = plan(schedule(cells, range(4), "grouped"), [], machine_id="here", sources_sha256="")
    recorder = FullDisk()
    with pytest.raises(StoreError, match="no room"):
        Sweep(made, recorder, NoView(), "cpu", "time_to_accuracy", Allotment(3, cores=range(3))).run()
    assert recorder.given == [0, 1, 2]


class Kept(FullDisk):
    def record(self, attempt, measured, *, seed, **_):
        self.given.append(seed)
        return SimpleNamespace(status="ok", metrics={}, cell="", seed=seed)


@pytest.mark.parametrize(
    ("order", "run_s", "at_once", "renewals"),
    [("interleaved", 50, 1, [4, 8]), ("grouped", 50, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
     ("interleaved", 0.01, 1, []), ("interleaved", 50, 3, [])],
)  # fmt: skip
def test_repeats_with_another_seed_have_a_new_start_where_that_costs_little(
    monkeypatch, order, run_s, at_once, renewals
):
    """Four cells with three seeds; a start takes two seconds of this clock, and a run `run_s`."""
    now_s, renewed, recorder = [0.0], [], Kept()

    class Takes(Ended):
        def __init__(self, *_):
            now_s[0] += run_s

    def start():
        now_s[0] += 2
        renewed.append(len(recorder.given))

    monkeypatch.setattr(sweep, "Follower", Takes)
    monkeypatch.setattr(sweep, "warm_up_fork_server", start)
    monkeypatch.setattr(sweep, "renew_fork_server", start)
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: now_s[0]))  # no one else's clock
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits", "axes": {"epochs": [1, 2, 3, 4]}})), "cpu")
    made = plan(schedule(cells, range(3), order), [], machine_id="here", sources_sha256="")
    Sweep(made, recorder, NoView(), "cpu", "time_to_accuracy", Allotment(at_once, cores=range(3))).run()
    assert len(recorder.given) == 12
    assert renewed == [0, *renewals]
