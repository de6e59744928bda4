"""The loop of a sweep with workers that have ended when they begin; real ones are in the tests of the commands."""

from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.documents.document import Document
from bench.execution import sweep
from bench.execution.device_pool import Allotment
from bench.execution.executors import local
from bench.execution.executors.executor import Place
from bench.execution.executors.local import Local
from bench.execution.measured import Lost, Measured, Refused
from bench.execution.recording import Attempt
from bench.execution.sweep import MOST_LOSSES, Sweep
from bench.host.share import Share
from bench.runs.store import StoreError
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """These workers have nothing to wait for."""
    monkeypatch.setattr(sweep, "TICK_S", 0.0)


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
    monkeypatch.setattr(local, "Follower", Ended)
    monkeypatch.setattr(local, "warm_up_fork_server", lambda: None)
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits"})), "cpu")
    made = plan(schedule(cells, range(4), "grouped"), [], machine_ids={"here"}, sources_sha256="")
    recorder = FullDisk()
    with pytest.raises(StoreError, match="no room"):
        Sweep(made, recorder, NoView(), "cpu", "time_to_accuracy", Local(Allotment(3, cores=range(3)))).run()
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

    monkeypatch.setattr(local, "Follower", Takes)
    monkeypatch.setattr(local, "warm_up_fork_server", start)
    monkeypatch.setattr(local, "renew_fork_server", start)
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: now_s[0]))  # no one else's clock
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits", "axes": {"epochs": [1, 2, 3, 4]}})), "cpu")
    made = plan(schedule(cells, range(3), order), [], machine_ids={"here"}, sources_sha256="")
    Sweep(made, recorder, NoView(), "cpu", "time_to_accuracy", Local(Allotment(at_once, cores=range(3)))).run()
    assert len(recorder.given) == 12
    assert renewed == [0, *renewals]


class Says(Ended):
    """A follower whose run ended as it is told."""

    def __init__(self, how):
        self._how = how

    def result(self):
        if isinstance(self._how, Exception):
            raise self._how
        return self._how


class FitsNowhere(Refused):
    """No host can ever have the run."""


class Scripted:
    """An executor with one place, whose runs end one after the other as is written down."""

    slots = 1

    def __init__(self, *ends):
        self.ends, self.is_free = deque(ends), True

    def take(self, entry):
        if self.ends and isinstance(self.ends[0], FitsNowhere):
            raise self.ends.popleft()
        taken, self.is_free = self.is_free, False
        return Place(Share()) if taken else None

    def give_back(self, place):
        self.is_free = True

    def start(self, task, on_event, interrupts):
        return Says(self.ends.popleft())

    def wait(self, followers, timeout_s):
        pass


class Rows(FullDisk):
    """A recorder of statuses and reasons."""

    def __init__(self):
        self.rows, self.measured, self.dropped = [], [], 0

    def drop(self, attempt):
        self.dropped += 1

    def record(self, attempt, measured, *, cell, seed, **_):
        self.rows.append((seed, measured.status, measured.reason))
        self.measured.append((attempt.run_id, measured))
        return SimpleNamespace(status=measured.status, metrics={}, cell=cell, seed=seed)


def swept(*ends, seeds=1):
    """The rows of a sweep whose runs end so, whether it was finished, and its plan."""
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits"})), "cpu")
    made = plan(schedule(cells, range(seeds), "grouped"), [], machine_ids={"here"}, sources_sha256="")
    recorder = Rows()
    finished = Sweep(made, recorder, NoView(), "cpu", "time_to_accuracy", Scripted(*ends)).run()
    made.recorder = recorder
    return recorder.rows, finished, made


def test_a_run_whose_host_is_lost_begins_again_and_the_loss_is_a_row():
    rows, finished, made = swept(Measured("ok"), Lost("node ab was lost"), Measured("ok"), seeds=2)
    assert rows == [(0, "ok", None), (1, "interrupted", "node ab was lost; it runs again"), (1, "ok", None)]
    assert finished
    assert [entry.action for entry in made.entries] == ["done", "done"]


def test_a_crash_is_not_repeated():
    rows, _, _ = swept(Measured("crashed", "killed"), Measured("ok"), seeds=2)
    assert [status for _, status, _ in rows] == ["crashed", "ok"]


def test_a_run_that_loses_every_host_ends_as_a_crash():
    rows, finished, _ = swept(*[Lost("gone")] * (MOST_LOSSES + 1))
    assert [status for _, status, _ in rows] == ["interrupted"] * MOST_LOSSES + ["crashed"]
    assert rows[-1][2] == "gone; it was lost 4 times, so it does not run again by itself"
    assert finished


def test_what_a_run_measured_before_it_was_preempted_is_a_row_before_its_end():
    cut = Measured("interrupted", "preempted", facts={"attempt": {"run_id": "it.0"}})
    rows, _, _ = swept(Measured("ok", facts={"cut_short": [cut], "attempt": {"run_id": "it"}}))
    assert rows == [(0, "interrupted", "preempted"), (0, "ok", None)]


def test_what_was_seen_of_a_lost_run_is_in_its_row_with_its_host_and_what_was_cut_short_before():
    cut = Measured("interrupted", "preempted", facts={"attempt": {"run_id": "it.0"}})
    facts = {"node": {"host": "there"}, "cut_short": [cut], "attempt": {"run_id": "it"}}
    seen = Measured("ok", epochs=[{"epoch": 1}], facts=facts)
    rows, _, made = swept(Lost("gone", seen), Measured("ok"))
    assert rows == [(0, "interrupted", "preempted"), (0, "interrupted", "gone; it runs again"), (0, "ok", None)]
    run_id, row = made.recorder.measured[1]
    assert (run_id, row.epochs, row.facts) == ("it", [{"epoch": 1}], {"node": {"host": "there"}})


def test_a_run_that_no_host_can_have_is_skipped_and_the_others_go_on():
    rows, finished, _ = swept(FitsNowhere("needs 2 nodes", 3), Measured("ok"), seeds=2)
    assert rows == [(0, "skipped", "needs 2 nodes"), (1, "ok", None)]
    assert finished


def test_a_row_of_a_refused_run_names_the_host_that_refused_it():
    _, _, made = swept(Refused("other data", 3, {"node": {"host": "there"}}))
    assert made.recorder.measured[0][1].facts == {"node": {"host": "there"}}
