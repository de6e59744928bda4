"""Sweeps on a real Ray cluster of two node processes. They take a minute: BENCH_LONG_TESTS=1 runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from bench.runs.run import new_run_id
from tests.bench.execution.executors.two_nodes import two_nodes
from tests.command import ENVIRONMENT, bench, read_until, records, start

# However busy the machine is.
MOST_S = 400
pytest.importorskip("ray", reason="needs the extra [ray]")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("BENCH_LONG_TESTS"), reason="takes a minute; set BENCH_LONG_TESTS=1"),
    pytest.mark.slow,
    pytest.mark.timeout(3 * MOST_S),
]
MIXED = """
recipe: digits
set: {target_accuracy: null, epochs: 0.2, threads: 1}
include:
  - {arm: explodes, optimizer.lr: 1.0e+30}
  - {arm: impossible, model.blocks: [1, 1, 1, 1, 1]}
  - {arm: many, devices: 8}
  - {arm: endless, epochs: 1000000}
  - {arm: fine}
  - {arm: too, model.width: 4}
timeout_s: 6
"""
LONG = """
recipe: digits
set: {target_accuracy: null, epochs: 60, threads: 1}
axes: {model.width: [4, 5, 6, 8]}
"""


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as made:
        yield made


def answers(folder):
    """How often each cell and seed ended with a status that counts."""
    return Counter(
        (row["cell"], row["seed"], row["status"]) for row in records(folder) if row["status"] != "interrupted"
    )


def ray_sweep(folder, cluster, *more):
    return ("sweep", "mine.yaml", "--executor", "ray", "--address", cluster.address, *more)


def test_cells_seeds_and_statuses_are_those_of_this_machine_alone(cluster, tmp_path):
    found = {}
    for name in ("local", "ray"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.yaml").write_text(MIXED)
        options = ray_sweep(folder, cluster) if name == "ray" else ("sweep", "mine.yaml")
        result = bench(*options, cwd=folder, timeout_s=MOST_S)
        assert result.returncode == 1, result.stdout + result.stderr
        found[name] = answers(folder)
    assert found["ray"] == found["local"]
    rows = records(tmp_path / "ray")
    measured = [row for row in rows if row["status"] == "ok"]
    # Each has a core of its own, and one neighbour on this machine.
    assert {row["config"]["resolved"]["neighbours"] for row in measured} == {1}
    assert {row["machine"]["id"] for row in rows} == {row["machine"]["id"] for row in records(tmp_path / "local")}
    assert all((tmp_path / "ray" / "results" / row["log"]).exists() for row in measured)


def begun(folder, cluster, runs=2):
    (folder / "mine.yaml").write_text(LONG)
    process = start(*ray_sweep(folder, cluster), cwd=folder)
    said = read_until(process, f"run {runs} of 4")
    end_s = time.monotonic() + 60
    while len(workers()) < runs and time.monotonic() < end_s:
        time.sleep(0.05)
    return process, said


def workers():
    """The workers of bench that are at work on some node: their output is a run's log."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.readlink(f"/proc/{process.pid}/fd/1").endswith("/run.log"):
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def all_gone():
    return psutil.wait_procs(workers(), timeout=60)[1] == []


def test_a_worker_that_is_killed_is_a_crash_and_is_not_repeated(cluster, tmp_path):
    process, _ = begun(tmp_path, cluster)
    workers()[0].kill()
    said, _ = process.communicate(timeout=MOST_S)
    assert process.returncode == 1, said
    statuses = Counter(row["status"] for row in records(tmp_path))
    assert statuses == {"ok": 3, "crashed": 1}
    assert "the worker was killed by SIGKILL" in said


def test_what_a_node_that_is_lost_was_doing_runs_again_elsewhere(cluster, tmp_path):
    process, _ = begun(tmp_path, cluster)
    cluster.order("kill")
    said, _ = process.communicate(timeout=MOST_S)
    cluster.order("add")
    assert process.returncode == 0, said
    rows = records(tmp_path)
    assert answers(tmp_path) == {(row["cell"], 0, "ok"): 1 for row in rows}
    assert len({row["cell"] for row in rows}) == 4
    losses = [row for row in rows if row["status"] == "interrupted"]
    assert losses
    assert all("was lost" in row["reason"] and row["reason"].endswith("it runs again") for row in losses)
    assert all_gone()


def test_a_driver_that_is_killed_leaves_nothing_and_the_same_command_goes_on(cluster, tmp_path):
    process, _ = begun(tmp_path, cluster)
    process.kill()
    process.communicate(timeout=MOST_S)
    assert all_gone()
    result = bench(*ray_sweep(tmp_path, cluster), cwd=tmp_path, timeout_s=MOST_S)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(answers(tmp_path).values()) == [1, 1, 1, 1]


def test_ctrl_c_once_finishes_the_present_runs_and_twice_ends_them(cluster, tmp_path):
    for presses, statuses in ((1, {"ok": 2}), (2, {"interrupted": 2})):
        folder = tmp_path / str(presses)
        folder.mkdir()
        process, _ = begun(folder, cluster)
        for press in range(presses):
            process.send_signal(signal.SIGINT)
            read_until(process, "stopping after" if press == 0 else "stopping now")
        said, _ = process.communicate(timeout=MOST_S)
        assert process.returncode == 130, said
        assert Counter(row["status"] for row in records(folder)) == statuses
        assert all_gone()


def test_seeds_of_a_recipe_run_on_a_cluster_that_is_started_here(tmp_path):
    options = ("--set", "epochs=0.2", "--set", "target_accuracy=null", "--seeds", 3, "--executor", "ray")
    result = bench("run", "digits", *options, cwd=tmp_path, timeout_s=MOST_S)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(row["seed"] for row in records(tmp_path)) == [0, 1, 2]
    assert {row["sweep"] for row in records(tmp_path)} == {None}


def test_an_address_without_a_cluster_is_said(tmp_path):
    result = bench("run", "digits", "--executor", "ray", "--address", "127.0.0.1:1", cwd=tmp_path, timeout_s=MOST_S)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "--address 127.0.0.1:1: no Ray cluster can be reached there" in result.stderr
    assert "Traceback" not in result.stderr


def test_two_nodes_train_one_cell(cluster, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "recipe: digits\nset: {target_accuracy: null, epochs: 2, threads: 1}\n"
        "include: [{devices: 2, nodes: 2}, {devices: 3, nodes: 3, batch_size: 66}]\n"
    )
    result = bench(*ray_sweep(tmp_path, cluster), cwd=tmp_path, timeout_s=MOST_S)
    assert result.returncode == 0, result.stdout + result.stderr
    both, more = sorted(records(tmp_path), key=lambda row: row["config"]["devices"])
    assert (both["status"], both["metrics"]["examples"]) == ("ok", 2 * 22 * 64)
    assert both["metrics"]["train_s_rank1"] > 0
    assert (more["status"], more["reason"].partition(";")[0]) == ("skipped", "needs 3 hosts, found 2")


def test_hosts_are_timed_before_their_first_run_and_one_that_is_off_is_marked_or_gets_none(cluster, tmp_path):
    """The other hosts of this kind are planted: none needs a millisecond for what takes this one many."""
    options = (
        "--executor",
        "ray",
        "--address",
        cluster.address,
        "--set",
        "epochs=0.2",
        "--set",
        "target_accuracy=null",
    )
    first = bench("run", "digits", *options, "--slow-host", "mark", cwd=tmp_path, timeout_s=MOST_S)
    assert first.returncode == 0, first.stdout + first.stderr
    (row,) = records(tmp_path)
    assert row["machine"]["reference"]["matrix_product_s"] > 0
    assert "off" not in row["machine"]
    with open(tmp_path / "results" / "runs" / "runs.jsonl", "a") as file:
        for other in ("b", "c", "d"):
            reference = {"matrix_product_s": 1e-4, "memory_copy_s": 1e-4}
            machine = row["machine"] | {"host": other * 12, "reference": reference}
            file.write(json.dumps(row | {"run_id": new_run_id(), "machine": machine}) + "\n")
    marked = bench("run", "digits", *options, "--slow-host", "mark", cwd=tmp_path, timeout_s=MOST_S)
    assert "longer than on 3 other hosts" in records(tmp_path)[-1]["machine"]["off"], marked.stdout + marked.stderr
    refused = bench("run", "digits", *options, "--slow-host", "refuse", cwd=tmp_path, timeout_s=MOST_S)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "no node of the Ray cluster can carry out a run: its host," in " ".join(refused.stderr.split())
    assert len(records(tmp_path)) == 5


def test_seeds_that_the_cluster_has_done_are_not_run_again(cluster, tmp_path):
    options = (
        "--set",
        "epochs=0.2",
        "--set",
        "target_accuracy=null",
        "--executor",
        "ray",
        "--address",
        cluster.address,
    )
    for count in (1, 2):
        result = bench("run", "digits", *options, "--seeds", count, cwd=tmp_path, timeout_s=MOST_S)
        assert result.returncode == 0, result.stdout + result.stderr
    assert [row["seed"] for row in records(tmp_path)] == [0, 1]
    assert "Done before, by this code on machines like the cluster's: 1 seed of 2" in result.stdout


def test_a_run_does_not_depend_on_who_hears_its_messages(cluster, tmp_path):
    code = (
        "import ray, sys, time\n"
        "from bench.execution.executors.ray_node import Mailbox, Post\n"
        "ray.init(address=sys.argv[1], log_to_driver=False)\n"
        "mailbox = ray.remote(num_cpus=0)(Mailbox).remote()\n"
        "post = Post(mailbox, 'run')\n"
        "ray.get(mailbox.collect.remote(2))\n"
        "while post.count() != 2: time.sleep(0.1)\n"
        "ray.kill(mailbox)\n"
        "end_s = time.monotonic() + 5\n"
        "while time.monotonic() < end_s: post.tell({}); assert post.count() == 2; time.sleep(0.1)\n"
    )
    line = [sys.executable, "-c", code, cluster.address]
    done = subprocess.run(
        line, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=MOST_S, check=False
    )
    assert done.returncode == 0, done.stderr
