"""A sweep that waits for another one takes what is free when its turn comes, not what was when it was called."""

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from bench.cli import executor_options
from bench.cli.commands import sweep as command
from bench.cli.sweep_options import SweepOptions


@pytest.mark.parametrize(("waited", "skipped"), [(False, "needs 2 CPU cores, found 1"), (True, None)])
def test_devices_are_looked_for_again_after_waiting(tmp_path, monkeypatch, waited, skipped):
    found, plans = iter([1, 2]), []
    monkeypatch.setattr(executor_options, "device_count", lambda facts, device: next(found))
    monkeypatch.setattr(command, "alone", lambda lock, console: nullcontext(waited))
    monkeypatch.setattr(command.Sweep, "run", lambda self: plans.append(self.plan) or True)
    (tmp_path / "mine.yaml").write_text("recipe: digits\naxes: {devices: [1, 2]}\n")
    options = SweepOptions(str(tmp_path / "mine.yaml"), device="cpu", results=tmp_path / "results")
    command.sweep(options, Console(file=io.StringIO()))
    assert [entry.cell.skip for entry in plans[0].entries] == [None, skipped]
