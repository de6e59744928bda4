"""What a host does for a driver elsewhere, here in this process: real workers, and the answers that come back."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.execution.executors import on_host
from bench.execution.executors.on_host import Driver, carry_out, describe, time_host
from bench.execution.measured import Refused
from bench.host.fingerprint import fingerprint
from bench.host.share import Share
from bench.pipelines.datasets import load_dataset
from bench.runs.weights import WeightsFile
from tests.bench.execution.executors.tasks import task_of

# A task that draws, on noise.
DRAWS = (
    "data={name: random, shape: [3, 16, 16], train_count: 32, test_count: 8, targets: classes}",
    "model={name: unet, widths: [8, 8]}",
    "augment.shift_pixels=0",
    "batch_size=16",
    "epochs=1",
    "precision=fp32",
    "threads=1",
)


def half_a_second(_device):
    return {"matrix_product_s": 0.5}


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

    def test_brings_its_pictures_to_where_its_record_says(self, tmp_path):
        task = task_of(tmp_path, *DRAWS, name="unet", common=())
        log = tmp_path / "logs" / ".running" / "its-id.log"
        report, _ = carried_out(replace(task, attempt=replace(task.attempt, log=log)))
        measured = report.result(log)
        assert measured.status == "ok"
        (kept,) = measured.facts["resolved"]["pictures"]
        assert kept["file"] == "logs/its-id/before_after_001.png"
        assert (tmp_path / kept["file"]).read_bytes().startswith(b"\x89PNG")

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


def test_a_host_without_room_for_temporary_files_is_unfit(monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(on_host.scratch, "for_one_run", full)
    unfit = describe(Driver.here()).unfit
    assert unfit.startswith("it has no room for temporary files: [Errno 28] No space left on device")


def test_networks_trained_before_are_named_for_all_hosts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = task_of(tmp_path, nets={"features": WeightsFile(Path("results/it.pt"), "5" * 64)})
    assert task.for_host(Share()).job.nets["features"].path == tmp_path / "results" / "it.pt"


def test_reference_kernels_of_a_host_are_timed_or_have_no_times(monkeypatch):
    monkeypatch.setattr(on_host, "reference_kernels", half_a_second)
    assert time_host(Driver.here(), "cpu") == {"matrix_product_s": 0.5}
    monkeypatch.setattr("bench.execution.host_check.LIMIT_S", 0.0)
    assert time_host(Driver.here(), "cpu") == {}


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
