"""Sweeps by submitit's stand-in for Slurm on this machine: real jobs and files. BENCH_LONG_TESTS=1 runs them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter

import psutil
import pytest

from bench.runs.run import new_run_id
from tests.command import bench, read_until, records, start

pytest.importorskip("submitit", reason="needs the extra [slurm]")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("BENCH_LONG_TESTS"), reason="takes a minute; set BENCH_LONG_TESTS=1"),
    pytest.mark.slow,
]
HERE = ("--executor", "slurm", "--slurm", "cluster=local")
MIXED = """
recipe: digits
set: {target_accuracy: null, epochs: 0.2, threads: 1}
include:
  - {arm: explodes, optimizer.lr: 1.0e+30}
  - {arm: endless, epochs: 1000000}
  - {arm: fine}
timeout_s: 6
"""
LONG = """
recipe: digits
set: {target_accuracy: null, epochs: 60, threads: 1}
"""


def job_of(folder):
    """The process of the only job, once its run has begun."""
    end_s = time.monotonic() + 90
    while time.monotonic() < end_s:
        for events in (folder / "results" / "slurm").glob("*/events.jsonl"):
            if '"train"' in events.read_text():
                controller = psutil.Process(int((events.parent / "job").read_text()))
                return next(child for child in controller.children() if "submitit.core._submit" in child.cmdline())
        time.sleep(0.1)
    raise AssertionError("the run never began")


def worker_of(job):
    return next(
        below for below in job.children(recursive=True) if os.readlink(f"/proc/{below.pid}/fd/1").endswith("/run.log")
    )


def test_each_end_is_its_status_and_nothing_is_left(tmp_path):
    (tmp_path / "mine.yaml").write_text(MIXED)
    result = bench("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    rows = {row["config"]["arm"]: row for row in records(tmp_path)}
    assert {arm: row["status"] for arm, row in rows.items()} == {
        "explodes": "diverged", "endless": "timeout", "fine": "ok",
    }  # fmt: skip
    assert all((tmp_path / "results" / row["log"]).exists() for row in rows.values())
    assert list((tmp_path / "results" / "slurm").glob("*/")) == []
    again = bench("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    assert "3 done, 0 to run" in again.stdout


def test_a_crash_is_a_status_and_is_not_repeated(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG)
    process = start("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    worker_of(job_of(tmp_path)).kill()
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 1, said
    (row,) = records(tmp_path)
    assert (row["status"], row["reason"]) == ("crashed", "the worker was killed by SIGKILL")


def test_a_preempted_run_runs_again_in_the_same_job_and_both_are_rows(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG)
    process = start("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    job_of(tmp_path).send_signal(signal.SIGUSR2)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    cut, whole = records(tmp_path)
    assert (cut["status"], cut["reason"]) == ("interrupted", "Slurm took its host away; the same job runs it again")
    assert (whole["status"], whole["cell"]) == ("ok", cut["cell"])
    assert cut["run_id"] == f"{whole['run_id']}.0"
    assert cut["machine"]["id"] == whole["machine"]["id"]


def test_a_job_whose_processes_are_all_asked_to_end_is_preempted_and_not_stopped_by_the_user(tmp_path):
    """As Slurm does: SIGTERM to all of them, and then its notice, or the end."""
    (tmp_path / "mine.yaml").write_text(LONG)
    process = start("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    job = job_of(tmp_path)
    worker = worker_of(job)
    job.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGTERM)
    psutil.wait_procs([worker], timeout=60)
    time.sleep(1)
    assert records(tmp_path) == []
    job.send_signal(signal.SIGUSR2)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert [row["status"] for row in records(tmp_path)] == ["interrupted", "ok"]


def test_the_end_of_the_time_asked_of_slurm_is_a_time_out(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG.replace("epochs: 60", "epochs: 1000000"))
    # The stand-in gives its signal half a minute before the end of the time, and bench takes it for that from then on.
    process = start("sweep", "mine.yaml", *HERE, "--slurm", "timeout_min=1", cwd=tmp_path)
    job_of(tmp_path).send_signal(signal.SIGUSR2)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    (row,) = records(tmp_path)
    assert row["status"] == "timeout"
    assert row["reason"] == "not done at the end of the 1 min asked of Slurm; its last phase was train"


def test_a_driver_that_is_killed_finds_what_its_job_has_done(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG)
    process = start("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    job = job_of(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    result = bench("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert Counter(row["status"] for row in records(tmp_path)) == {"ok": 1}
    assert psutil.wait_procs([job], timeout=60)[1] == []


def test_ctrl_c_twice_ends_the_job(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG.replace("epochs: 60", "epochs: 1000000"))
    process = start("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    job = job_of(tmp_path)
    for words in ("stopping after", "stopping now"):
        process.send_signal(signal.SIGINT)
        read_until(process, words)
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 130, said
    assert [row["status"] for row in records(tmp_path)] == ["interrupted"]
    assert psutil.wait_procs([job], timeout=60)[1] == []


def test_two_hosts_train_one_cell(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "recipe: digits\nset: {target_accuracy: null, epochs: 2, threads: 1, devices: 2, nodes: 2}\n"
    )
    result = bench("sweep", "mine.yaml", *HERE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    (row,) = records(tmp_path)
    assert (row["status"], row["metrics"]["examples"]) == ("ok", 2 * 22 * 64)


def test_a_wrong_option_is_said(tmp_path):
    (tmp_path / "mine.yaml").write_text(LONG)
    for setting, words in (
        ("cluster=pbs", "--slurm cluster=pbs: it is slurm or local"),
        ("nodes=4", "--slurm nodes: bench sets this itself, by the cells and --jobs"),
        ("partitoin=gpu", "--slurm"),
        ("time=30", "--slurm time: bench has to know it; give timeout_min=MINUTES"),
        ("timeout_min=abc", "--slurm timeout_min=abc: give a number of minutes, more than 0"),
        ("timeout_min=0", "--slurm timeout_min=0: give a number of minutes, more than 0"),
    ):
        given = ("--executor", "slurm", "--slurm", setting, *(HERE[2:] if "cluster" not in setting else ()))
        result = bench("sweep", "mine.yaml", *given, cwd=tmp_path)
        assert result.returncode == 2, result.stdout + result.stderr
        assert words in result.stderr
        assert "Traceback" not in result.stderr


def test_seeds_that_a_job_has_done_are_not_run_again(tmp_path):
    options = ("--set", "epochs=0.2", "--set", "target_accuracy=null", *HERE)
    for count in (1, 2):
        result = bench("run", "digits", *options, "--seeds", count, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
    assert [row["seed"] for row in records(tmp_path)] == [0, 1]


def test_a_slow_host_is_marked_by_its_jobs(tmp_path):
    """Its kernels are timed once for both seeds; a host with the same fingerprint is planted, which needs no time."""
    options = ("--set", "epochs=0.2", "--set", "target_accuracy=null", *HERE, "--slow-host", "mark")
    result = bench("run", "digits", *options, "--seeds", 2, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = records(tmp_path)
    assert rows[0]["machine"]["reference"] == rows[1]["machine"]["reference"]
    with open(tmp_path / "results" / "runs" / "runs.jsonl", "a") as file:
        machine = rows[0]["machine"] | {"host": "b" * 12, "reference": {"matrix_product_s": 1e-4}}
        file.write(json.dumps(rows[0] | {"run_id": new_run_id(), "machine": machine}) + "\n")
    bench("run", "digits", *options, "--seeds", 3, cwd=tmp_path)
    assert "longer than on 1 other host of its kind" in records(tmp_path)[-1]["machine"]["off"]
    assert list((tmp_path / "results" / "slurm").glob("reference-*")) == []
