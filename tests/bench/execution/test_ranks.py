"""Runs on two ranks: how their end is judged, and that none of them outlives the run, whatever ends it."""

import itertools
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bench.execution.ranks import Cause, verdict
from bench.execution.runner import execute
from bench.spec import recipes
from bench.spec.job import Job
from bench.statistics.sampling import Bounds
from tests.processes import left_after


def end(told_s, status="ok", reason=None, **more):
    return {"kind": "end", "status": status, "reason": reason, "told_s": told_s} | more


def test_rank_0_says_how_it_went():
    said = verdict({0: end(1.0, metrics={"accuracy": 0.9}), 1: end(2.0)}, None, False)
    assert said == {"kind": "end", "status": "ok", "reason": None, "metrics": {"accuracy": 0.9}}


@pytest.mark.parametrize(
    ("last_words", "cause", "status", "reason"),
    [
        # Rank 0 lost its connection before anybody had noticed that rank 1 was gone.
        ({0: end(1.0, "failed", "connection closed")}, Cause(1, -9), "crashed", "rank 1 was killed by SIGKILL"),
        ({}, Cause(0, -11), "crashed", "rank 0 was killed by SIGSEGV"),
        ({}, Cause(1, -9, out_of_memory=True), "oom", "the kernel killed rank 1: the host is out of memory"),
        # The first to fail is the cause, whichever ended first.
        ({0: end(2.0, "failed", "lost"), 1: end(1.0, "oom", "full")}, Cause(0, 1), "oom", "rank 1: full"),
        ({0: end(1.5, "interrupted"), 1: end(1.0, "diverged", "nan")}, Cause(1, 1), "diverged", "rank 1: nan"),
        ({0: end(1.0, "interrupted")}, Cause(1, 3), "crashed", "rank 1 ended with exit code 3 and no word"),
    ],
)
def test_what_ended_one_rank_is_what_ended_the_run(last_words, cause, status, reason):
    said = verdict(last_words, cause, False)
    assert (said["status"], said["reason"]) == (status, reason)


def test_what_rank_0_measured_is_kept_when_another_rank_ends_the_run():
    own = end(2.0, "failed", "lost", metrics={"train_s": 3.0}, spans=[{"name": "train"}])
    said = verdict({0: own, 1: end(1.0, "oom", "full")}, Cause(1, 1), False)
    assert (said["metrics"], said["spans"]) == ({"train_s": 3.0}, [{"name": "train"}])


def test_a_refusal_stays_one():
    refusal = {"kind": "refused", "message": "no such option", "exit_code": 2}
    assert verdict({1: refusal | {"told_s": 1.0}, 0: refusal | {"told_s": 1.1}}, Cause(0, 1), False) == refusal


def test_an_interrupt_is_one_whatever_the_ranks_said_of_it():
    said = verdict({0: end(1.0, "failed", "connection closed")}, None, True)
    assert (said["status"], said["reason"]) == ("interrupted", "stopped by the user")


def job_of(folder, *settings, **options):
    recipe = recipes.load("digits", "cpu", ["devices=2", "epochs=100000", "target_accuracy=null", *settings])
    return Job(recipe, 0, "cpu", None, folder / "cache", folder / "run.log", time.monotonic(), **options)


def test_a_run_has_the_times_of_both_ranks_and_the_results_of_all(tmp_path):
    measured = execute(job_of(tmp_path, "epochs=2"), lambda event: None)
    metrics = measured.metrics
    assert (measured.status, measured.reason) == ("ok", None)
    assert metrics["examples"] == 2 * 22 * 64
    assert [row["examples"] for row in measured.epochs] == [22 * 64, 2 * 22 * 64]
    assert metrics["accuracy"] * 360 == pytest.approx(round(metrics["accuracy"] * 360))
    assert metrics["peak_host_bytes"] > 0
    training = [span for span in measured.spans if span["name"] == "train"]
    assert metrics["train_s_rank0"] == pytest.approx(sum(span["rank_s"][0] for span in training))
    assert metrics["train_s_rank1"] == pytest.approx(sum(span["rank_s"][1] for span in training))
    together = [span for span in measured.spans if "rank_s" in span]
    assert {"data", "build", "init", "train", "eval", "final_eval"} <= {span["name"] for span in together}
    for span in together:
        assert span["end_s"] - span["start_s"] == pytest.approx(max(span["rank_s"]))
    for before, after in itertools.pairwise(measured.spans):
        assert before["end_s"] <= after["start_s"]
    assert metrics["train_s"] == pytest.approx(sum(max(span["rank_s"]) for span in training))
    assert metrics["samples_per_s"] == pytest.approx(metrics["examples"] / metrics["train_s"])
    assert measured.facts["resolved"]["batch_size_per_device"] == 32
    assert measured.facts["resolved"]["threads"] == 1


def test_throughput_is_that_of_all_ranks(tmp_path):
    job = job_of(tmp_path, "batch_per=device", measure="throughput", sampling=Bounds(timeout_s=0.0))
    measured = execute(job, lambda event: None)
    assert (measured.status, measured.metrics["n"]) == ("ok", 1)
    # A step is 64 images on each of two ranks.
    assert measured.metrics["samples_per_s"] == pytest.approx(128 / measured.metrics["step_median_s"])


def ranks_below(process):
    """The ranks that run below a process that runs a job: the children of a fork server."""
    return [
        below
        for below in process.children(recursive=True)
        if any("multiprocessing.forkserver" in word for word in below.parent().cmdline())
    ]


class AtTheFirstEpoch:
    """Does something once the ranks are training, and remembers all processes below this one at that moment."""

    def __init__(self, act):
        self._act = act
        self.processes = []

    def __call__(self, event):
        if event["kind"] == "epoch" and not self.processes:
            (worker,) = [
                one for one in psutil.Process().children() if "multiprocessing.spawn" in " ".join(one.cmdline())
            ]
            self.processes = [worker, *worker.children(recursive=True)]
            assert len(ranks_below(worker)) == 2
            self._act(worker)

    def all_gone(self):
        return left_after(30, self.processes) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_others_and_crashes_the_run(tmp_path, rank):
    def kill_one(worker):
        sorted(ranks_below(worker), key=lambda one: one.pid)[rank].kill()

    at_first_epoch = AtTheFirstEpoch(kill_one)
    measured = execute(job_of(tmp_path), at_first_epoch)
    assert measured.status == "crashed"
    assert measured.reason in ("rank 0 was killed by SIGKILL", "rank 1 was killed by SIGKILL")
    assert measured.metrics["total_s"] > 0
    assert at_first_epoch.all_gone()


def test_an_interrupt_ends_all_ranks_and_keeps_what_was_measured(tmp_path):
    at_first_epoch = AtTheFirstEpoch(lambda worker: os.kill(os.getpid(), signal.SIGINT))
    measured = execute(job_of(tmp_path), at_first_epoch)
    assert (measured.status, measured.reason) == ("interrupted", "stopped by the user")
    assert measured.metrics["examples"] > 0
    assert any(span.get("rank_s") for span in measured.spans)
    assert at_first_epoch.all_gone()


RUNNER = """
import sys, time
from pathlib import Path
from bench.execution import runner
from bench.spec import recipes
from bench.spec.job import Job

folder = Path(sys.argv[1])
settings = ("devices=2", "epochs=100000", "target_accuracy=null")
job = Job(recipes.load("digits", "cpu", settings), 0, "cpu", None, folder, folder / "run.log", time.monotonic())
if __name__ == "__main__":
    runner.execute(job, lambda event: event["kind"] == "epoch" and print("epoch", flush=True))
"""


def test_no_rank_outlives_a_killed_runner(tmp_path):
    script = tmp_path / "runner_of_two_ranks.py"
    script.write_text(RUNNER)
    runner = psutil.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert runner.stdout.readline() == "epoch\n"
    below = runner.children(recursive=True)
    assert len(ranks_below(runner)) == 2
    runner.kill()
    runner.wait(timeout=60)
    assert left_after(60, below) == []
