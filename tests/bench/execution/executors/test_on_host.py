"""What a host does for a driver elsewhere, here in this process: real workers, and the answers that come back."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.execution.executors.executor import Assignment, Place
from bench.execution.executors.on_host import Driver, carry_out, describe
from bench.execution.measured import Refused
from bench.execution.recording import Attempt
from bench.execution.runner import end_fork_server
from bench.host.fingerprint import fingerprint
from bench.host.share import Share
from bench.pipelines.datasets import load_dataset
from bench.spec import recipes
from bench.spec.job import Job
from bench.spec.matrix import Cell
from bench.spec.sweep_plan import PlannedRun

SETTINGS = ("epochs=0.2", "target_accuracy=null", "threads=1")


@pytest.fixture(scope="module")
def workers():
    """Ends the fork server that this module's runs share."""
    yield
    from bench.execution.executors import on_host

    on_host._starts.cache_clear()
    end_fork_server()


def task_of(folder, *settings, own=None, **of_job):
    recipe = recipes.load("digits", "cpu", (*SETTINGS, *settings))
    job = Job(recipe, 0, "cpu", None, folder / "cache", folder / "run.log", time.monotonic(), **of_job)
    found = recipe.own_things() if own is None else own
    attempt = Attempt("its-id", datetime.now(UTC), job.log, recipe, own=found)
    cell = Cell({}, "0" * 16, recipe.config(), recipe)
    return Assignment(PlannedRun(cell, 0, None, "run"), attempt, Place(Share()), job)


def carried_out(task, count=lambda: 0):
    told = []
    report = carry_out(task, Driver.here(), told.append, count)
    return report, told


@pytest.mark.usefixtures("workers")
class TestARun:
    def test_comes_back_with_its_log_and_when_it_began(self, tmp_path):
        before = datetime.now(UTC)
        report, told = carried_out(task_of(tmp_path, data_fingerprint=load_dataset("digits").fingerprint))
        measured = report.result(tmp_path / "logs" / "its-id.log")
        assert (measured.status, measured.facts["data"]["name"]) == ("ok", "digits")
        assert before <= measured.facts["attempt"]["started_at"] <= datetime.now(UTC)
        assert (tmp_path / "logs" / "its-id.log").read_bytes() == report.log
        assert {"phase", "facts", "end"} <= {event["kind"] for event in told}
        # Its times count from when this host began it.
        assert measured.spans[0]["start_s"] == 0.0
        assert not list(tmp_path.glob("run.log"))

    def test_on_other_data_is_refused_with_both_fingerprints(self, tmp_path):
        report, _ = carried_out(task_of(tmp_path, data_fingerprint="5" * 64))
        here = load_dataset("digits").fingerprint[:12]
        with pytest.raises(
            Refused, match=rf"this host has other data: digits has the fingerprint {here} here, and 5{{12}} "
        ):
            report.result(tmp_path / "run.log")

    def test_ends_early_when_the_user_says_so_elsewhere(self, tmp_path):
        report, _ = carried_out(task_of(tmp_path, "epochs=100000"), count=lambda: 2)
        assert (report.measured.status, report.measured.reason) == ("interrupted", "stopped by the user")


def test_code_of_the_user_that_differs_here_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef Net(in_channels, classes, image_size):\n    return nn.Identity()\n"
    )
    task = task_of(tmp_path, f"model={tmp_path / 'net.py'}:Net")
    (tmp_path / "net.py").write_text("# changed\n" + (tmp_path / "net.py").read_text())
    report, told = carried_out(task)
    with pytest.raises(Refused, match=r"on this host .*net\.py is not what it is where the sweep was started"):
        report.result(tmp_path / "run.log")
    assert told == []


def test_a_host_is_what_its_fingerprint_says_under_the_drivers_settings(monkeypatch):
    driver = Driver.here()
    # As Ray sets them for a task that asks for one core and no GPU.
    monkeypatch.setenv("OMP_NUM_THREADS", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    facts = describe(driver)
    monkeypatch.undo()
    assert facts.machine["id"] == fingerprint()["id"]
    assert facts.unfit is None
    assert facts.cores


def test_a_host_with_another_version_is_unfit(monkeypatch):
    facts = describe(replace(Driver.here(), sources_sha256="0" * 64))
    assert facts.unfit == "it has another version of bench; install there what is installed here"


def test_the_drivers_folder_is_no_place_for_modules(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    describe(replace(Driver.here(), folder=tmp_path))
    import sys

    assert str(tmp_path) not in sys.path
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_data_is_taken_from_the_first_folder_that_this_host_sees(tmp_path, monkeypatch):
    from bench.execution.executors.on_host import _data_dir

    (tmp_path / "shared").mkdir()
    driver = Driver("", tmp_path / "elsewhere", {"BENCH_DATA": str(tmp_path / "shared")}, tmp_path / "not here")
    assert _data_dir(driver) == tmp_path / "shared"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    alone = replace(driver, environment={})
    assert _data_dir(alone) == Path(tmp_path / "cache" / "bench-to-accuracy" / "data")
