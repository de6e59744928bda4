"""The runner with workers that do one thing each; real ones are in the tests of the commands."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.execution import runner
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Refused
from bench.execution.runner import Follower, execute
from bench.runs.store import StoreError
from bench.spec import recipes
from bench.spec.job import Job
from tests.processes import left_after


@pytest.fixture
def job(tmp_path):
    return Job(
        recipes.load("digits", "cpu"), 0, "cpu", None, tmp_path / "cache", tmp_path / "run.log", time.monotonic()
    )


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """The runner looks at its worker often, so that no test waits for its clock."""
    monkeypatch.setattr(runner, "TICK_S", 0.02)


@pytest.fixture
def run(job, monkeypatch):
    """Executes a function of the pipe's `send` in the worker's place; forked, so that it needs no name."""

    def run(work, on_event=lambda event: None, **options):
        monkeypatch.setattr(runner, "work", lambda job, pipe: work(pipe.send))
        return execute(job, on_event, "fork", **options)

    return run


@pytest.fixture
def clock(monkeypatch):
    """The seconds on the clock of time limits, in a list. A test says when they pass, however busy the machine is."""
    seconds = [0.0]
    monkeypatch.setattr("bench.execution.time_limit.time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


@pytest.fixture
def hurry(clock):
    """Takes events: each takes a second, from the first phase on."""

    def on_event(event):
        if clock[0] or event["kind"] == "phase":
            clock[0] += 1.0

    return on_event


@pytest.fixture
def late(clock):
    """Takes events: the first phase takes a second. Then the clock stands still, and a worker has time to end."""

    def on_event(event):
        if event["kind"] == "phase":
            clock[0] = 1.0

    return on_event


def end(send, status="ok", reason=None):
    send({"kind": "end", "status": status, "reason": reason, "metrics": {"accuracy": 0.5}, "spans": []})


def sleep(send):
    send({"kind": "phase", "name": "train", "spans": [{"name": "data"}]})
    time.sleep(600)


def sleep_whatever_happens(send):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep(send)


def end_when_told(send):
    """As `bench.execution.worker` does."""

    def stop(*_):
        end(send, "interrupted", "stopped by the user")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    sleep(send)


def test_what_was_told_is_what_was_measured(run):
    def work(send):
        send({"kind": "facts", "machine": {"id": "m"}})
        send({"kind": "epoch", "epoch": 1})
        end(send)

    events = []
    measured = run(work, events.append)
    assert (measured.status, measured.metrics, measured.epochs) == ("ok", {"accuracy": 0.5}, [{"epoch": 1}])
    assert measured.facts == {"machine": {"id": "m"}}
    assert [event["kind"] for event in events if event["kind"] != "tick"] == ["facts", "epoch", "end"]


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda send: os.kill(os.getpid(), signal.SIGUSR1), "the worker was killed by SIGUSR1"),
        (lambda send: os._exit(3), "the worker ended with exit code 3 and no word"),
    ],
)
def test_a_worker_that_dies_is_crashed_with_its_reason(run, work, reason):
    measured = run(work)
    assert (measured.status, measured.reason) == ("crashed", reason)


def test_the_log_of_a_crash_is_quoted(run, job):
    job.log.write_text("".join(f"line {n}\n" for n in range(100)))
    assert run(lambda send: os._exit(1)).log_tail == [f"line {n}" for n in range(80, 100)]


def test_a_worker_that_the_kernel_killed_for_memory(run, monkeypatch):
    kills = iter([7, 8])
    monkeypatch.setattr(runner, "oom_kills", lambda: next(kills))
    measured = run(lambda send: os.kill(os.getpid(), signal.SIGKILL))
    assert (measured.status, "out of memory" in measured.reason) == ("oom", True)


def test_a_refusal_is_raised(run):
    with pytest.raises(Refused, match="no such model") as caught:
        run(lambda send: send({"kind": "refused", "message": "no such model", "exit_code": 2}))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("work", [sleep, sleep_whatever_happens, end_when_told])
def test_a_worker_that_takes_too_long_is_ended(run, work, hurry, late):
    measured = run(work, late if work is end_when_told else hurry, timeout_s=0.5)
    assert measured.status == "timeout"
    assert measured.reason == "not done after timeout_s = 0.5 seconds; its last phase was train"
    assert measured.metrics == ({"accuracy": 0.5} if work is end_when_told else {})
    assert measured.spans == ([] if work is end_when_told else [{"name": "data"}])


def test_a_worker_that_is_in_time_is_left_alone(run):
    assert run(end, timeout_s=60).status == "ok"


def interrupting(*numbers):
    """Sends one signal to this process at each of the first ticks, and keeps the other events."""
    left, kinds = list(numbers), []

    def on_event(event):
        if event["kind"] != "tick":
            kinds.append(event["kind"])
        elif left and "phase" in kinds:
            os.kill(os.getpid(), left.pop(0))

    return on_event, kinds


def test_ctrl_c_ends_the_worker(run):
    on_event, kinds = interrupting(signal.SIGINT)
    measured = run(end_when_told, on_event)
    assert (measured.status, measured.metrics) == ("interrupted", {"accuracy": 0.5})
    assert "stopping" in kinds


def fail_when_told(send):
    signal.signal(signal.SIGTERM, lambda *_: (end(send, "failed", "RuntimeError: lost"), os._exit(1)))
    sleep(send)


def test_what_breaks_because_it_was_asked_to_end_was_interrupted_or_too_long(run, late):
    on_event, _ = interrupting(signal.SIGINT)
    assert run(fail_when_told, on_event).status == "interrupted"
    assert run(fail_when_told, late, timeout_s=0.5).status == "timeout"
    failed = run(lambda send: end(send, "failed", "RuntimeError: lost"))
    assert (failed.status, failed.reason) == ("failed", "RuntimeError: lost")


def test_ctrl_c_twice_kills_a_worker_that_does_not_listen(run):
    on_event, _ = interrupting(signal.SIGINT, signal.SIGINT)
    assert run(sleep_whatever_happens, on_event).status == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_a_worker_that_does_not_listen_after_the_grace_time(run, monkeypatch, number):
    monkeypatch.setattr("bench.execution.time_limit.GRACE_S", 0.3)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may be under nohup
    try:
        on_event, _ = interrupting(number)
        measured = run(sleep_whatever_happens, on_event)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (measured.status, measured.reason) == ("interrupted", "stopped by the user")
    assert measured.spans == [{"name": "data"}]


def test_a_worker_that_is_started_while_all_are_stopped_is_ended_too(job, monkeypatch):
    monkeypatch.setattr("bench.execution.time_limit.GRACE_S", 0.3)
    monkeypatch.setattr(runner, "work", lambda job, pipe: sleep_whatever_happens(pipe.send))
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        assert execute(job, lambda event: None, "fork", interrupts=interrupts).status == "interrupted"


def test_patience_lets_the_worker_finish(run, tmp_path):
    told = tmp_path / "told"

    def work(send):
        send({"kind": "phase", "name": "train", "spans": []})
        while not told.exists():
            time.sleep(0.01)
        end(send)

    interrupt, kinds = interrupting(signal.SIGINT)

    def on_event(event):
        interrupt(event)
        if event["kind"] == "finishing":
            told.touch()

    with Interrupts(patience=1) as interrupts:
        measured = run(work, on_event, interrupts=interrupts)
    assert (measured.status, interrupts.count, interrupts.stopping) == ("ok", 1, False)
    assert "finishing" in kinds
    assert "stopping" not in kinds


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_patience_ends_at_the_second_ctrl_c_and_at_sigterm(run, numbers):
    on_event, kinds = interrupting(*numbers)
    with Interrupts(patience=1) as interrupts:
        measured = run(end_when_told, on_event, interrupts=interrupts)
    assert (measured.status, measured.metrics) == ("interrupted", {"accuracy": 0.5})
    assert kinds[-2] == "stopping"


def test_one_that_lingers_after_its_last_word_holds_up_no_other_and_is_ended(job, monkeypatch):
    monkeypatch.setattr("bench.execution.time_limit.GRACE_S", 1.0)

    def told_then_stays(job, pipe):
        end(pipe.send)
        sleep_whatever_happens(lambda event: None)

    with Interrupts() as interrupts:
        followers = []
        for work in (told_then_stays, lambda job, pipe: end(pipe.send, "not_reached")):
            monkeypatch.setattr(runner, "work", work)
            followers.append(Follower(job, lambda event: None, "fork", None, interrupts))
        lingering, brief = followers
        while not lingering.over:
            wait([source for one in followers for source in one.sources], runner.TICK_S)
            for one in followers:
                one.advance()
            if lingering.over:
                assert brief.over
    assert (lingering.result().status, brief.result().status) == ("ok", "not_reached")


def test_a_second_ctrl_c_reaches_all_workers(job, monkeypatch):
    monkeypatch.setattr(runner, "work", lambda job, pipe: end_when_told(pipe.send))
    with Interrupts(patience=1) as interrupts:
        followers = [Follower(job, lambda event: None, "fork", None, interrupts) for _ in range(2)]
        end_s = time.monotonic() + 60
        signals = [signal.SIGINT, signal.SIGINT]
        while not all(one.over for one in followers) and time.monotonic() < end_s:
            wait([source for one in followers for source in one.sources], runner.TICK_S)
            for one in followers:
                one.advance()
            if signals and all(one.result().phase == "train" for one in followers):
                os.kill(os.getpid(), signals.pop())
    assert [one.result().status for one in followers] == ["interrupted"] * 2


def test_signals_are_what_they_were_afterwards(run):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCONT)
    before = [signal.getsignal(number) for number in numbers]
    run(end)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_hangup_ends_the_worker_unless_nohup_had_it_ignored(run):
    def work(send):
        send({"kind": "phase", "name": "train", "spans": []})
        time.sleep(0.5)
        end(send)

    # The tests themselves may be under nohup.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        on_event, _ = interrupting(signal.SIGHUP)
        assert run(end_when_told, on_event).status == "interrupted"
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        on_event, _ = interrupting(signal.SIGHUP)
        assert run(work, on_event).status == "ok"
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


ORPHAN = """
import os, sys, time
from pathlib import Path
from bench.execution import runner
from bench.spec import recipes
from bench.spec.job import Job
from tests.processes import left_after

def hang(job, pipe):
    print(os.getpid(), flush=True)
    time.sleep(600)

runner.work = hang
folder = Path(sys.argv[1])
job = Job(recipes.load("digits", "cpu"), 0, "cpu", None, folder, folder / "run.log", 0.0)
runner.execute(job, lambda event: None, "fork")
"""


def test_a_worker_that_hangs_does_not_outlive_a_killed_runner(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait(timeout=60)
    assert left_after(60, [worker]) == []


class InTurn:
    """Gives a worker that waits the jobs of these seeds, and keeps what was measured before each."""

    def __init__(self, job, *seeds):
        self._job, self._seeds, self.measured = job, list(seeds), []

    def __call__(self, measured):
        if not self._seeds:
            return None
        self.measured.append(measured)
        return replace(self._job, seed=self._seeds.pop(0))


@pytest.fixture
def run_shared(job, monkeypatch):
    """Executes a function of a seed and `send`, for this job and those of more seeds, in one forked process."""

    def run(work, *seeds, on_event=lambda event: None, **options):
        first = replace(job, shared_process=True)

        def work_in_turn(job, pipe):
            while job is not None:
                work(job.seed, pipe.send)
                job = pipe.recv()

        monkeypatch.setattr(runner, "work", work_in_turn)
        in_turn = InTurn(first, *seeds)
        last = execute(first, on_event, "fork", next_job=in_turn, **options)
        return [*in_turn.measured, last]

    return run


def end_and_wait(seed, send, status="ok"):
    metrics = {"accuracy": seed / 10}
    send({"kind": "end", "status": status, "reason": None, "metrics": metrics, "spans": [], "waits": True})


def test_jobs_follow_one_another_in_one_process(run_shared):
    def work(seed, send):
        send({"kind": "facts", "pid": os.getpid()})
        send({"kind": "epoch", "epoch": seed})
        end_and_wait(seed, send, "diverged" if seed == 3 else "ok")

    measured = run_shared(work, 3, 4)
    pids = {one.facts["pid"] for one in measured}
    assert len(pids) == 1
    assert pids != {os.getpid()}
    assert [(one.status, one.metrics["accuracy"], one.epochs) for one in measured] == [
        ("ok", 0.0, [{"epoch": 0}]),
        ("diverged", 0.3, [{"epoch": 3}]),
        ("ok", 0.4, [{"epoch": 4}]),
    ]


def test_a_worker_that_dies_in_the_second_of_three_leaves_the_third(run_shared):
    measured = run_shared(lambda seed, send: end_and_wait(seed, send) if seed == 0 else os._exit(3), 1, 2)
    assert [one.status for one in measured] == ["ok", "crashed"]
    assert measured[1].reason == "the worker ended with exit code 3 and no word"
    assert measured[1].metrics == {}


def test_each_of_several_jobs_has_the_time_that_one_has(run_shared, clock):
    def work(seed, send):
        if seed == 3:
            sleep(send)
        end_and_wait(seed, send)

    def on_event(event):
        is_asleep = clock[0] > 2  # the last one, which is asked to end, and then killed
        clock[0] += 1.0 if is_asleep else {"end": 0.4, "phase": 1.0}.get(event["kind"], 0.0)

    measured = run_shared(work, 1, 2, 3, on_event=on_event, timeout_s=0.7)
    assert [one.status for one in measured] == ["ok", "ok", "ok", "timeout"]


def test_ctrl_c_ends_the_one_of_several_that_runs(run_shared):
    def work(seed, send):
        if seed == 0:
            end_and_wait(seed, send)
        else:
            end_when_told(send)

    on_event, kinds = interrupting(signal.SIGINT)
    measured = run_shared(work, 1, 2, on_event=on_event)
    assert [one.status for one in measured] == ["ok", "interrupted"]
    assert "stopping" in kinds


def test_a_record_that_cannot_be_kept_ends_the_worker(job, monkeypatch):
    def full(measured):
        raise StoreError("no room")

    before = set(multiprocessing.active_children())  # of other tests, whose workers nobody asked to end
    monkeypatch.setattr(runner, "work", lambda job, pipe: (end_and_wait(0, pipe.send), pipe.recv()))
    with pytest.raises(StoreError, match="no room"):
        execute(replace(job, shared_process=True), lambda event: None, "fork", next_job=full)
    assert set(multiprocessing.active_children()) <= before
