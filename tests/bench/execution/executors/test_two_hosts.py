"""A cell on two hosts, here two workers with a rank each: the same training as in one process.

The hosts meet at a port that is free when it is chosen, so this is no test for every day: BENCH_LONG_TESTS=1 runs it.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from multiprocessing.connection import wait

import pytest
import torch

from bench.execution.executors.several import meeting_of
from bench.execution.interrupts import Interrupts
from bench.execution.runner import TICK_S, Follower, execute
from bench.spec import recipes
from bench.spec.job import Job

pytestmark = [
    pytest.mark.skipif(not os.environ.get("BENCH_LONG_TESTS"), reason="needs a free port; set BENCH_LONG_TESTS=1"),
    pytest.mark.slow,
]
# Without batch norm, of which each rank computes its own part.
NET = """
from torch import nn


def Net(in_channels, classes, image_size):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(in_channels * image_size**2, 32), nn.ReLU(), nn.Linear(32, classes)
    )
"""


def job_of(folder, *settings):
    (folder / "net.py").write_text(NET)
    common = (f"model={folder / 'net.py'}:Net", "epochs=3", "target_accuracy=null", "precision=fp32", "threads=1")
    recipe = recipes.load("digits", "cpu", (*common, *settings))
    name = "-".join(settings) or "one"
    log, kept = folder / f"{name}.log", folder / f"{name}.pt"
    return Job(recipe, 0, "cpu", None, folder / "cache", log, time.monotonic(), keep_weights=kept)


def on_two_hosts(job, folder):
    """What each host says in the end."""
    said = {}
    interrupts = Interrupts()
    followers = []
    for index in range(2):
        meeting = meeting_of(index, "127.0.0.1", lambda endpoint=None: said.setdefault("it", endpoint))
        part = replace(job, log=folder / f"host{index}.log", meeting=meeting)
        followers.append(Follower(part, lambda event: None, "spawn", None, interrupts))
    while not all(one.over for one in followers):
        wait([source for one in followers for source in one.sources], TICK_S)
        for one in followers:
            one.advance()
    return [one.result() for one in followers]


def test_weights_after_training_are_those_of_one_process(tmp_path):
    alone = execute(job_of(tmp_path), lambda event: None)
    job = job_of(tmp_path, "devices=2", "nodes=2")
    first, second = on_two_hosts(job, tmp_path)
    assert (alone.status, first.status, second.status) == ("ok", "ok", "ok")
    assert first.metrics["examples"] == alone.metrics["examples"]
    for together, one in zip(first.epochs, alone.epochs, strict=True):
        assert together["loss"] == pytest.approx(one["loss"], rel=1e-4)
    ours, theirs = (torch.load(folder, weights_only=True) for folder in (job.keep_weights, tmp_path / "one.pt"))
    flat = _tensors(ours)
    for mine, other in zip(flat, _tensors(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert len(flat) >= 4


def test_a_host_whose_rank_dies_ends_the_run_on_both(tmp_path):
    job = job_of(tmp_path, "devices=2", "nodes=2")
    broken = replace(job, recipe=job.recipe.model_copy(update={"epochs": 100000.0}))
    import psutil

    said, interrupts, followers = {}, Interrupts(), []
    for index in range(2):
        meeting = meeting_of(index, "127.0.0.1", lambda endpoint=None: said.setdefault("it", endpoint))
        part = replace(broken, log=tmp_path / f"host{index}.log", meeting=meeting)
        events = []
        followers.append((Follower(part, events.append, "spawn", None, interrupts), events))
    killed = False
    while not all(one.over for one, _ in followers):
        wait([source for one, _ in followers for source in one.sources], TICK_S)
        for one, _ in followers:
            one.advance()
        if not killed and any(event["kind"] == "epoch" for event in followers[0][1]):
            worker = psutil.Process(followers[1][0]._process.pid)
            rank = next(
                below
                for below in worker.children(recursive=True)
                if any("multiprocessing.forkserver" in word for word in below.parent().cmdline())
            )
            rank.kill()
            killed = True
    first, second = (one.result() for one, _ in followers)
    assert (second.status, second.reason) == ("crashed", "rank 1 was killed by SIGKILL")
    assert first.status == "failed"


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [tensor for item in items for tensor in _tensors(item)]
