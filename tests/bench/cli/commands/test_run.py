import io
import re

import pytest
from rich.console import Console

from bench.cli.commands import run as command
from bench.cli.commands.run import Campaign, RunOptions, run
from bench.execution.device_pool import Gpus
from bench.execution.duration_estimate import Expectation
from bench.host.fingerprint import fingerprint
from tests.command import records


@pytest.mark.parametrize(("total_s", "seeds", "waits"), [(None, 5, False), (11.0, 5, False), (13.0, 5, True)])
def test_a_busy_machine_is_told_before_a_long_training(tmp_path, monkeypatch, total_s, seeds, waits):
    asked = []

    class BusyLook:
        def warning(self, device, wait):
            asked.append((device, wait))
            return "other processes use 1.0 of this machine's 2 cores"

    monkeypatch.setattr(command, "LoadCheck", BusyLook)
    monkeypatch.setattr(command.duration_estimate, "expect", lambda *_: Expectation(total_s, "so long"))
    monkeypatch.setattr(Campaign, "run_all", lambda self: None)
    console = Console(file=io.StringIO(), width=200)
    run(RunOptions("digits", results=tmp_path, seeds=seeds, device="cpu"), console)
    assert asked == [("cpu", waits)]
    assert "Warning: other processes use 1.0 of this machine's 2 cores" in console.file.getvalue()


@pytest.mark.parametrize(("device", "told"), [("auto", True), ("cpu", False)])
def test_a_gpu_that_is_not_used_is_told_where_the_device_was_chosen(tmp_path, monkeypatch, device, told):
    facts = fingerprint() | {"device": "cpu", "gpus": [], "gpu_unused": "the driver does not answer"}
    monkeypatch.setattr("bench.execution.recording.fingerprint", lambda: facts)
    monkeypatch.setattr("bench.host.fingerprint.default_device", lambda: "cpu")
    monkeypatch.setattr(Campaign, "run_all", lambda self: None)
    console = Console(file=io.StringIO(), width=200)
    run(RunOptions("digits", results=tmp_path, device=device), console)
    assert ("Warning: runs on the CPU: the driver does not answer" in console.file.getvalue()) == told


def test_others_on_the_gpus_are_told_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "find_gpus", lambda: Gpus(busy=(("GPU-a", "GPU 0 (process 5)"),)))
    monkeypatch.setattr(Campaign, "run_all", lambda self: None)
    console = Console(file=io.StringIO(), width=200)
    run(RunOptions("digits", results=tmp_path, device="cuda"), console)
    assert "Warning: others compute on GPU 0 (process 5), and disturb the clock" in console.file.getvalue()


def test_a_target_out_of_reach_is_recorded_and_exits_1(here, tmp_path):
    answer = here(tmp_path, "run", "digits", "--set", "epochs=0.2", "--set", "target_accuracy=0.999")
    assert answer.code == 1
    (record,) = records(tmp_path)
    assert record["status"] == "not_reached"
    assert "below the target of 99.90%" in record["reason"]


def test_a_loss_that_explodes_is_recorded_as_diverged(here, tmp_path):
    answer = here(tmp_path, "run", "digits", "--set", "optimizer.lr=1e30")
    assert answer.code == 1
    (record,) = records(tmp_path)
    assert record["status"] == "diverged"
    assert "the loss is" in record["reason"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.widht=3", r"no option 'widht' \(did you mean 'width'\?\)"),
        ("precision=tf32", "tf32 is a format of CUDA"),
        ("model.blocks=[1,1,1,1,1]", "needs 16 pixels, not 8"),
    ],
)
def test_a_mistake_that_the_worker_tells_is_one_message_and_exit_code_2(here, tmp_path, setting, words):
    answer = here(tmp_path, "run", "digits", "--set", setting)
    assert answer.code == 2, answer.out + answer.err
    assert re.search(words, answer.err), answer.err
    assert "Traceback" not in answer.out + answer.err
    assert records(tmp_path) == []
