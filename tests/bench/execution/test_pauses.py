"""Workers that somebody stops and continues, alone or together with the command."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.execution import pauses, runner
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured
from bench.execution.pauses import Pauses
from bench.spec import recipes
from bench.spec.job import Job

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="there is no /proc to look at")


class Clock:
    s = 100.0

    def monotonic(self):
        return self.s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pauses, "time", made)
    return made


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def stop(process):
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def go_on(process):
    process.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOWAIT)


def test_a_stopped_worker_is_seen_and_its_pauses_are_added_up(clock, sleeper):
    with Interrupts() as interrupts:
        seen = Pauses(sleeper.pid, interrupts)
        for _ in range(2):
            clock.s += 0.2
            seen.look()
            stop(sleeper)
            for _ in range(10):
                clock.s += 0.2
                seen.look()
            go_on(sleeper)
            clock.s += 0.2
            seen.look()
        clock.s += 50
        seen.look()  # a parent that is late is no pause
    assert (seen.count, seen.paused_s) == (2, pytest.approx(4.4))


def test_a_worker_that_is_stopped_with_the_command_is_seen_afterwards(clock, sleeper):
    with Interrupts() as interrupts:
        seen = Pauses(sleeper.pid, interrupts)
        clock.s += 30.0
        os.kill(os.getpid(), signal.SIGCONT)  # what a process hears of it
        seen.look()
    assert (seen.count, seen.paused_s) == (1, pytest.approx(30.0))


def test_a_command_that_is_stopped_alone_pauses_no_worker(clock, sleeper, monkeypatch):
    with Interrupts() as interrupts:
        seen = Pauses(sleeper.pid, interrupts)
        monkeypatch.setattr(seen, "_read", lambda: ("R", 29.0))
        clock.s += 30.0
        os.kill(os.getpid(), signal.SIGCONT)
        seen.look()
    assert seen.count == 0


@pytest.mark.parametrize("reason", [None, "below the target"])
def test_what_was_paused_is_recorded(clock, sleeper, reason):
    with Interrupts() as interrupts:
        seen = Pauses(sleeper.pid, interrupts)
        measured = Measured("ok", reason)
        seen.add_to(measured)
        assert (measured.metrics, measured.reason) == ({}, reason)
        seen.count, seen.paused_s = 2, 4.4
        seen.add_to(measured)
    assert measured.metrics == {"paused_s": 4.4}
    assert measured.reason.endswith("it was stopped 2 times from outside, for 4.4 s in all, which its times hold")


def test_a_run_that_was_stopped_and_continued_says_so(tmp_path, monkeypatch):
    def work(job, pipe):
        pipe.send({"kind": "phase", "name": "train", "spans": []})
        os.kill(os.getpid(), signal.SIGSTOP)
        pipe.send({"kind": "end", "status": "ok", "reason": None, "metrics": {"accuracy": 0.5}, "spans": []})

    ticks = []

    def on_event(event):
        ticks.append(event["kind"])
        if ticks.count("tick") == 5:
            os.kill(worker[0], signal.SIGCONT)

    worker = []
    monkeypatch.setattr(runner, "work", work)
    start = Interrupts.start
    monkeypatch.setattr(Interrupts, "start", lambda self, process: (start(self, process), worker.append(process.pid)))
    job = Job(recipes.load("digits", "cpu"), 0, "cpu", None, tmp_path, tmp_path / "run.log", time.monotonic())
    measured = runner.execute(job, on_event, "fork")
    assert (measured.status, measured.metrics["accuracy"]) == ("ok", 0.5)
    assert 0 < measured.metrics["paused_s"] < 600
    assert "stopped once from outside" in measured.reason
