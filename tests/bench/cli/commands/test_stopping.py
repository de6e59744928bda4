"""`bench run` with several seeds, stopped at any moment of it."""

import io
import os
import signal

import pytest
from rich.console import Console

from bench.cli.commands import run as command
from bench.cli.commands.run import RunOptions
from bench.execution.measured import Measured
from bench.runs.store import Store


@pytest.mark.parametrize(
    ("statuses", "code", "said"),
    [
        (["ok"], 130, "Stopped: 1 of 3 seeds done"),
        (["ok", "interrupted"], 130, "Stopped: 1 of 3 seeds done"),
        (["interrupted"], 130, "Stopped: 0 of 3 seeds done"),
        (["ok", "not_reached", "ok"], 1, None),
        (["ok", "ok", "ok"], 0, None),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_exit_code_tells_whether_every_seed_had_its_run(tmp_path, monkeypatch, statuses, code, said, number):
    left = list(statuses)

    def execute(job, follow, **options):
        status = left.pop(0)
        if not left:
            os.kill(os.getpid(), number)  # between this seed and the next
        return Measured(status)

    monkeypatch.setattr(command, "execute", execute)
    out = io.StringIO()
    options = RunOptions("digits", seeds=3, device="cpu", results=tmp_path)
    assert command.run(options, Console(file=out, width=200)) == code
    assert [run.status for run in Store(tmp_path / "runs" / "runs.jsonl").read()] == statuses
    assert (said in out.getvalue()) if said else ("Stopped" not in out.getvalue())
