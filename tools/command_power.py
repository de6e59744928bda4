"""What the gate finds of a command, how often it cries wolf, and what the history finds, by recorded runs.

    .venv/bin/python tools/command_power.py docs/command_runs.jsonl --minutes 12 --page docs/command_power.md --check

A small Python script is measured as `bench regress --base` measures a user's: each run is a fresh process, started and
timed from outside, in blocks A B B A. B is the same script again, or takes as many more steps that it runs 3, 5 or 10 %
longer; how many these are is found by timing first. Every run is one line of the file, written when its block is whole;
a later call goes on from there, and `--minutes 0` only judges. Comparisons are then drawn from the blocks, and judged
by the gate as it is, the second checkout included. `--check` ends with exit code 1 unless there is no false alarm in
100 comparisons of equal code, 3 % are found in 80 % and 5 % in 95 % of them, and all changes of the history are found.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from rich.console import Console

from bench.cli.commands.regress import sigterm_interrupts
from bench.errors import BenchError, UsageError
from bench.execution.script import run_script
from bench.gate import confirmation, history_study
from bench.gate.history_study import WALL, ChangeScore
from bench.gate.lock import only_one
from bench.gate.report import GateFinding
from bench.gate.study import Times, append, draw, judged_by_looks, neighbours, whole_blocks
from bench.gate.verdict import Verdict
from bench.host.fingerprint import fingerprint
from bench.spec.command import Command
from bench.text.console import say

SCRIPT = """
import numpy

a = numpy.ones((96, 96), numpy.float32)
for _ in range({steps}):
    a = (a @ a) / 96
"""
PLANTED = (0.03, 0.05, 0.10)
# About how long a run takes; much of it is Python's start and NumPy's import, as of any script.
RUN_S = 0.8
AGAIN_BLOCKS = 2
ROUNDS = 30
COMPARISONS = 100
LINES = 10
LEAST_FOUND = {0.03: 0.80, 0.05: 0.95}


@dataclass(frozen=True)
class RecordedCommand:
    """One run, its block, and by how much its script was meant to take longer; None of A."""

    session: int
    block: int
    slow_down: float | None
    wall_s: float
    peak_host_bytes: float


@dataclass(frozen=True)
class PowerFound:
    """Of `n` comparisons with a slow-down: how many were called slower or faster, and the rounds that they took."""

    slow_down: float
    n: int
    slower: int
    faster: int
    rounds: float


class CommandRecorder:
    """Copies of the script in folders whose paths are equally long."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._roots: dict[str, Path] = {}

    def add(self, name: str, steps: int) -> None:
        root = self._folder / f"{len(self._roots):04d}"
        root.mkdir()
        (root / "train.py").write_text(SCRIPT.format(steps=steps))
        self._roots[name] = root

    def run(self, name: str) -> tuple[float, float]:
        """Seconds and bytes of one run."""
        command = Command(argv=[sys.executable, "train.py"], env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        measured = run_script(command, 0, self._roots[name], self._folder / "log")
        if measured.status == "interrupted":
            raise KeyboardInterrupt
        if measured.status != "ok":
            raise BenchError(f"the script ended as {measured.status}: {measured.reason}")
        return float(measured.metrics["wall_s"]), float(measured.metrics["peak_host_bytes"])

    def calibrate(self) -> dict[str, int]:
        """The steps of A, and of each slow-down of B."""
        for steps in (0, 2000):
            self.add(f"calibration {steps}", steps)
        start_s, more_s = (
            min(self.run(f"calibration {steps}")[0] for _ in range(5)) for steps in (0, 2000)
        )  # fmt: skip
        step_s = (more_s - start_s) / 2000
        if step_s <= 0:
            raise BenchError("the machine is too noisy to time a step by; quiet it and try again")
        steps = max(int((RUN_S - start_s) / step_s), 1)
        wall_s = start_s + steps * step_s
        return {"A": steps} | {f"{share:.0%}": steps + round(share * wall_s / step_s) for share in PLANTED}


def record(file: Path, deadline_s: float, console: Console) -> None:
    """Go on with the file until the deadline. Raises UsageError for a file of another machine."""
    with only_one("tools/command_power.py", lambda line: say(console, line)), ExitStack() as held:
        recorder = CommandRecorder(Path(held.enter_context(tempfile.TemporaryDirectory(prefix="bench-command-"))))
        machine = fingerprint()["id"]
        if file.exists():
            plan, runs = read(file)
            if plan["machine"] != machine:
                raise UsageError(f"{file} is of machine {plan['machine']}; name another file")
            steps = plan["steps"]
        else:
            steps, runs = recorder.calibrate(), []
            file.parent.mkdir(parents=True, exist_ok=True)
            append(file, [{"machine": machine, "steps": steps}])
        for name, count in {**steps, "A again": steps["A"]}.items():
            recorder.add(name, count)
        session = block = 1 + max((run.block for run in runs), default=-1)
        cycle = [("A again", 0.0)] * AGAIN_BLOCKS + [(f"{share:.0%}", share) for share in PLANTED]
        for name, share in itertools.cycle(cycle):
            if time.monotonic() > deadline_s:
                return
            arms = [("A", None), (name, share), (name, share), ("A", None)]
            made = [RecordedCommand(session, block, planted, *recorder.run(arm)) for arm, planted in arms]
            append(file, [asdict(run) for run in made])
            block += 1


def read(file: Path) -> tuple[dict[str, Any], list[RecordedCommand]]:
    """Raises UsageError for a file of something else."""
    try:
        plan, *others = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return {"machine": plan["machine"], "steps": plan["steps"]}, [RecordedCommand(**other) for other in others]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{file}: this is no record of this tool ({error}); name another file") from None


def blocks_of(runs: Sequence[RecordedCommand]) -> dict[float, list[Times]]:
    """Blocks A B B A of wall times by slow-down. Of equal code any four neighbours are one."""
    found: dict[float, list[Times]] = {slow_down: [] for slow_down in (0.0, *PLANTED)}
    stretch: list[float] = []
    for block in whole_blocks(runs):
        slow_down = block[1].slow_down or 0.0
        times = [run.wall_s for run in block]
        if slow_down:
            found[slow_down].append(times)
            found[0.0] += neighbours(stretch)
            stretch = []
        else:
            stretch += times
    found[0.0] += neighbours(stretch)
    return {slow_down: blocks for slow_down, blocks in found.items() if blocks}


def compare(blocks: Sequence[Times], slow_down: float) -> PowerFound:
    """COMPARISONS drawn and judged as the gate does: look by look, and a slow-down again in a second checkout."""
    words, taken = [], []
    for number in range(COMPARISONS):
        rng = np.random.default_rng([int(1000 * slow_down), number])
        first, _ = judged_by_looks(*draw(blocks, ROUNDS, rng), WALL, ROUNDS)
        rounds = first.n
        if first.verdict is Verdict.WORSE:
            suspect = GateFinding("", "command", first)
            more = confirmation.rounds_for([suspect])
            second, _ = judged_by_looks(*draw(blocks, more, rng), WALL, more)
            rounds += second.n
            (finding,) = confirmation.confirmed([suspect], [GateFinding("", "command", second)])
            words.append(finding.verdict)
        else:
            words.append(first.verdict)
        taken.append(rounds)
    return PowerFound(slow_down, COMPARISONS, words.count(Verdict.WORSE), words.count(Verdict.BETTER), fmean(taken))


def page(
    runs: Sequence[RecordedCommand],
    found: Sequence[PowerFound],
    lines: Sequence[tuple[ChangeScore, ChangeScore]],
    file: Path,
) -> str:
    """The result as Markdown."""
    machine = fingerprint()
    where = f"{machine.get('cpu_model')}, {machine.get('usable_cores')} cores"
    plain_s = median(run.wall_s for run in runs if not run.slow_down)
    told = [
        "# What the gate finds of a command",
        "",
        f"Written by `tools/command_power.py` from {len(runs)} runs of a script of about {plain_s:.2f} s on {where} "
        f"([the runs]({file.name}); `--minutes 0` judges them again): {COMPARISONS} comparisons of {ROUNDS} pairs at "
        "most, drawn as blocks A B B A, each `slower` confirmed by a second one.",
        "",
        "| Really slower by | Called slower | Called faster | Rounds, mean | Time, mean |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        minutes = 2 * one.rounds * plain_s / 60
        told.append(
            f"| {one.slow_down:.0%} | {one.slower} of {one.n} | {one.faster} of {one.n} | {one.rounds:.0f} | "
            f"{minutes:.1f} min |"
        )
    study = history_study
    told += [
        "",
        "## History",
        "",
        f"{study.COMMITS} commits, {study.PLANTED} of which are {study.SLOW_DOWN:.0%} slower, measured on "
        f"{len(study.MACHINES)} machines of other speeds, each against the one before it with {study.ROUNDS} pairs of "
        f"the runs above; {len(lines)} such lines.",
        "",
        "| Line | Found by the chain of ratios | False | Found in the raw times | False |",
        "|---|---|---|---|---|",
    ]
    for number, (chain, raw) in enumerate(lines):
        told.append(f"| {number} | {chain.found} of {chain.planted} | {chain.false} | {raw.found} | {raw.false} |")
    return "\n".join(told) + "\n"


def failures(found: Sequence[PowerFound], lines: Sequence[tuple[ChangeScore, ChangeScore]]) -> list[str]:
    """What falls short of what the gate promises."""
    told = []
    for one in found:
        if not one.slow_down and one.slower + one.faster:
            told.append(f"{one.slower + one.faster} false alarms in {one.n} comparisons of equal code")
        least = LEAST_FOUND.get(one.slow_down, 0.0)
        if one.slower < least * one.n:
            told.append(
                f"{one.slow_down:.0%} was found in {one.slower} of {one.n} comparisons, {least:.0%} are promised"
            )
    missed = [chain for chain, _ in lines if chain.found < chain.planted or chain.false]
    return told + (
        [f"{len(missed)} of {len(lines)} lines have a change that was not found, or a false one"] * bool(missed)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    console = Console()
    try:
        if options.minutes:
            with sigterm_interrupts():
                record(options.file, time.monotonic() + 60 * options.minutes, console)
        _, runs = read(options.file)
        blocks = blocks_of(runs)
        if 0.0 not in blocks:
            raise UsageError(f"{options.file}: no block of equal code is recorded yet; give it more --minutes")
    except KeyboardInterrupt:
        say(console, "Stopped; the same command goes on from there")
        return 130
    except BenchError as error:
        say(Console(stderr=True), str(error))
        return error.exit_code
    found = [compare(drawn_from, slow_down) for slow_down, drawn_from in blocks.items()]
    lines = history_study.scores(blocks[0.0], range(LINES))
    content = page(runs, found, lines, options.file)
    if options.page:
        options.page.write_text(content, encoding="utf-8")
    print(content)
    short = failures(found, lines)
    for line in short:
        say(Console(stderr=True), line)
    return 1 if options.check and short else 0


if __name__ == "__main__":
    sys.exit(main())
