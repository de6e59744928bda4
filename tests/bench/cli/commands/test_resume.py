"""`bench run --resume` as a user meets it: stopped, killed, the command killed, and then as if never stopped."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from rich.console import Console

from bench.cli.commands import run as command
from bench.cli.commands.run import RunOptions
from bench.errors import UsageError
from bench.execution.measured import Measured
from bench.host.clock import Clock
from bench.measures.lookup import measure_class
from bench.runs import weights, weights_file
from bench.runs.checkpoint_lock import CheckpointLock
from bench.runs.store import Store
from bench.spec import recipes
from bench.spec.job import Job
from tests.command import TIMEOUT_S, bench, records, start

BATCH, STEPS = 64, 22
# It stands still at the step that the file `hold` names, so that whatever happens to it happens there.
NET = f"""
import time
from pathlib import Path
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.2), nn.Linear(16, classes))
        self.steps = 0

    def forward(self, images):
        if self.training and len(images) == {BATCH}:
            self.steps += 1
            while Path("hold").exists() and Path("hold").read_text() == str(self.steps):
                Path("held").touch()
                time.sleep(0.01)
        return self.body(images)
"""
ARGUMENTS = (
    "run", "digits", "--set", "model=net.py:Net", "--set", "epochs=5", "--set", "target_accuracy=null", "--set",
    "checkpoint={every_epochs: 1}", "--set", "threads=1", "--set", "ema={decay: 0.9}", "--keep-weights",
)  # fmt: skip


def hold_at(folder: Path, step: int) -> None:
    (folder / "held").unlink(missing_ok=True)
    (folder / "hold").write_text(str(step))


def wait_until_held(folder: Path) -> None:
    until_s = time.monotonic() + TIMEOUT_S
    while not (folder / "held").exists():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The child that has opened a log."""
    for child in psutil.Process(process.pid).children():
        with suppress(OSError):
            if os.readlink(f"/proc/{child.pid}/fd/1").endswith(".log"):
                return child
    raise AssertionError("there is no worker")


def let_go(folder: Path) -> None:
    (folder / "hold").unlink()


def results_of(folder: Path, run_id: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a run without seconds, and its kept weights."""
    (record,) = [one for one in records(folder) if one["run_id"] == run_id]
    rows = [{key: value for key, value in row.items() if key != "train_s"} for row in record["epochs"]]
    return rows, weights_file.load(weights.find(run_id, folder / "results")).state


# Four commands, each of which imports torch.
@pytest.mark.slow
def test_it_ends_as_if_it_had_never_been_stopped_or_killed(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    # Ctrl-C in the second epoch.
    hold_at(tmp_path, STEPS + 5)
    process = start(*ARGUMENTS, cwd=tmp_path)
    wait_until_held(tmp_path)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, said
    assert "The same command with --resume goes on after epoch 1 of 5" in said
    # The worker is killed in the third.
    hold_at(tmp_path, 2 * STEPS + 5)
    process = start(*ARGUMENTS, "--resume", cwd=tmp_path)
    wait_until_held(tmp_path)
    worker_of(process).kill()
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, said
    first, second = records(tmp_path)
    assert f"Seed 0 goes on after epoch 1 of 5, of run {first['run_id']}" in said
    assert "goes on after epoch 2 of 5" in said
    # The command is killed in the fourth, so that nobody records anything.
    hold_at(tmp_path, 3 * STEPS + 5)
    process = start(*ARGUMENTS, "--resume", cwd=tmp_path)
    wait_until_held(tmp_path)
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    let_go(tmp_path)
    # And at last all is well.
    done = bench(*ARGUMENTS, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = records(tmp_path)
    assert rows[:2] == [first, second]
    assert [row["status"] for row in rows] == ["interrupted", "crashed", "ok"]
    parts = rows[-1]["config"]["resolved"]["resumed"]
    assert [(part["epoch"], part["lost_s"] is None) for part in parts] == [(1, False), (2, False), (3, True)]
    assert [part["run_id"] for part in parts[:2]] == [first["run_id"], second["run_id"]]
    assert list((tmp_path / "results" / "runs" / "checkpoints").iterdir()) == []
    names = [span["name"] for span in rows[-1]["spans"]]
    assert (names.count("train"), names.count("eval") + names.count("final_eval"), names.count("lost")) == (5, 5, 2)
    of_parts, weights_of_parts = results_of(tmp_path, rows[-1]["run_id"])
    of_whole, weights_of_whole = in_one_piece(tmp_path)
    assert of_parts == of_whole
    assert weights_of_parts.keys() == weights_of_whole.keys()
    assert all(value.equal(weights_of_whole[name]) for name, value in weights_of_parts.items())


def in_one_piece(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and kept weights of the run that nothing interrupts, in this process."""
    settings = [given.replace("net.py", str(folder / "net.py")) for given in ARGUMENTS[3:-1:2]]
    recipe = recipes.load("digits", "cpu", settings)
    kept = folder / "whole.pt"
    told: list[dict[str, Any]] = []
    job = Job(recipe, 0, "cpu", None, folder, folder / "log", time.monotonic(), keep_weights=kept)
    threads = torch.get_num_threads()
    try:
        measure_class(job.measure)(job, Clock(), lambda kind, **values: told.append({"kind": kind, **values})).run()
    finally:
        torch.set_num_threads(threads)
    rows = [
        {key: value for key, value in one.items() if key not in ("kind", "train_s")}
        for one in told
        if one["kind"] == "epoch"
    ]
    return rows, weights_file.load(weights.find(str(kept), folder)).state


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Calls the command, whose workers only say with which seeds they were started; returns what it said."""
    seeds: list[int] = []
    statuses: list[str] = []

    def execute(job, *_, **__):
        seeds.append(job.seed)
        return Measured(statuses.pop(0) if statuses else "ok", metrics={"total_s": 1.0, "accuracy": 0.97})

    monkeypatch.setattr(command, "execute", execute)

    def call(*settings: str, ends: tuple[str, ...] = (), **options: Any) -> tuple[list[int], str]:
        seeds.clear()
        statuses[:] = ends
        out = io.StringIO()
        options = {"recipe": "digits", "settings": list(settings), "device": "cpu", "results": tmp_path} | options
        command.run(RunOptions(**options), Console(file=out, width=200))
        return list(seeds), out.getvalue()

    return call


def test_seeds_that_are_done_are_not_run_again_unless_asked(runs, tmp_path):
    assert runs(seeds=2, ends=("ok", "crashed"))[0] == [0, 1]
    seeds, said = runs(seeds=4)
    assert seeds == [1, 2, 3]
    assert "Done before, by this code on this machine: 1 seed of 4; --again runs them again" in said
    # The table is of all that were asked for.
    assert "n = 4" in said
    assert runs(seeds=4)[0] == []
    assert runs(seeds=2, again=True)[0] == [0, 1]
    assert len(Store(tmp_path / "runs" / "runs.jsonl").read()) == 7
    # One seed that is not counted is asked for anew, and so is another cell, or another way to run it.
    assert runs()[0] == [0]
    assert runs("epochs=3", seeds=1)[0] == [0]
    assert runs(seeds=1, keep_compiled=True)[0] == [0]


def test_a_seed_that_kept_no_weights_is_run_again_to_keep_them(runs, tmp_path):
    runs(seeds=1)
    assert runs(seeds=1, keep_weights=True)[0] == [0]
    kept = weights.place_of(Store(tmp_path / "runs" / "runs.jsonl").read()[-1].run_id, tmp_path)
    kept.touch()
    assert runs(seeds=1, keep_weights=True)[0] == []
    kept.unlink()
    assert runs(seeds=1, keep_weights=True)[0] == [0]


def test_runs_of_other_code_are_not_done(runs, monkeypatch):
    runs(seeds=1)
    monkeypatch.setattr("bench.host.provenance.Sources.sha256", "0" * 64)
    assert runs(seeds=1)[0] == [0]


def test_what_cannot_be_resumed_is_refused_with_what_to_do(runs):
    with pytest.raises(
        UsageError, match=r"writes no checkpoints, .*add --set 'checkpoint={every_epochs: 1}' to the run"
    ):
        runs(resume=True)
    asked = "checkpoint={every_epochs: 1}"
    for options, said in (
        ({"measure": "throughput"}, "throughput writes no checkpoints"),
        ({"again": True}, "one goes on, the other begins anew"),
        ({"shared_process": True}, "needs a process of its own"),
    ):
        with pytest.raises(UsageError, match=said):
            runs(asked, resume=True, **options)
    with pytest.raises(UsageError, match="the first checkpoint would come after epoch 99, and the training has"):
        runs("checkpoint={every_epochs: 99}")
    assert "Seed 0 has no checkpoint and begins anew" in runs(asked, resume=True)[1]


def test_a_seed_that_another_command_works_on_does_not_go_on(runs, monkeypatch):
    asked = "checkpoint={every_epochs: 1}"
    monkeypatch.setattr(CheckpointLock, "hold", lambda self, cell, seed: seed != 1)
    with pytest.raises(UsageError, match="another command works on seed 1 of this cell; wait"):
        runs(asked, seeds=3, resume=True)
    assert runs(asked, seeds=3)[0] == [0, 1, 2]
