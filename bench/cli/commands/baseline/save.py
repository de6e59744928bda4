"""Measure a baseline and keep it, with the noise between equal runs; it replaces one of the same machine and matrix."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.baselines import noise_of
from bench.cli.commands.regress import COMMAND, ROOT, gate_matrices, sigterm_interrupts
from bench.cli.gate_options import Matrices
from bench.cli.options import DataDir, Device, DeviceChoice, Results, whole
from bench.documents.limits import MOST_SEEDS
from bench.errors import BenchError
from bench.gate import baseline as baselines
from bench.gate.agent_process import AgentFailed
from bench.gate.checkout import refuse_elsewhere
from bench.gate.lock import only_one
from bench.gate.measurement import Measurement
from bench.gate.own_sources import open_agent
from bench.host.fingerprint import chosen_device, device_count, fingerprint
from bench.host.provenance import code_identity
from bench.report.terminal.gate import progress
from bench.text import streams
from bench.text.console import say

EPILOG = (
    "Exit codes: 0 saved; 1 a run failed, and nothing was saved of its matrix; 2 wrong usage or config; 3 hardware "
    "missing, or the baseline cannot be written; 130 stopped by Ctrl-C."
)
# As many A/A runs as tell the noise to a quarter of itself.
RUNS = 20


def save(
    console: Console,
    matrices: Matrices = None,
    runs: Annotated[
        int, typer.Option(metavar="N", parser=whole(6, MOST_SEEDS), help="Runs of each cell, 6 or more.")
    ] = RUNS,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Raises MissingError where a baseline cannot be measured or kept."""
    refuse_elsewhere(ROOT, Path.cwd(), "bench baseline save")
    streams.work_outlasts_output()
    paths = gate_matrices(matrices or ())
    on = chosen_device(device)
    machine, code = fingerprint(), code_identity()
    folder = results / "baselines"
    with sigterm_interrupts(), only_one(COMMAND, lambda line: say(console, line)), ExitStack() as open_agents:
        agent = open_agent(ROOT, results.resolve() / "gate" / "logs" / "head.log", open_agents)
        try:
            agent.await_ready()
        except AgentFailed as error:
            raise BenchError(f"these sources cannot be run: {error}") from None
        for path in paths:
            with progress(console) as view:
                measurement = Measurement(agent, on, data, results.resolve(), view.measuring)
                measured = measurement.measure(path, device_count(machine, on), runs, math.inf)
            failed = next((result for result in measured if result.metrics is None), None)
            if failed:
                raise BenchError(f"{failed.label}: {failed.reason}; nothing was saved of it")
            made = baselines.make(path.stem, measured, machine, code, measurement.reference())
            kept = baselines.save(made, folder)
            say(console, f"{kept}: {len(measured)} runs; {noise_of(made)}")
            for told in measurement.disturbed():
                say(console, f"Note: {told}, and save it again")
    if code.get("dirty"):
        say(console, "Note: the sources have changes that are not committed; the baseline is of these")
