"""The loop of a sweep with workers that have ended when they begin; real ones are in the tests of the commands."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import sweep
from bench.allotment import Allotment
from bench.document import Document
from bench.matrix import Matrix, expand, schedule
from bench.plan import plan
from bench.recording import Attempt
from bench.runner import Measured
from bench.store import StoreError
from bench.sweep import Sweep


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

    def begin(self):
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
