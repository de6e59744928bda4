"""What the speed gate finds on this machine of a training step that really does more, beside the rules of other tools.

    .venv/bin/python tools/gate_power.py results/gate/power.jsonl --minutes 12

Copies of HEAD are measured in blocks A B B A as `bench regress` measures, each run in a fresh process: the cell
gate_step, where B is the same code again, or does so many small matrix products more after each step that the step
takes 2, 3, 5, 10 or 20 % longer. How many these are is found by timing first; how much they really cost is told with
the result. Every run is appended to the file at once, and a later call goes on from there; `--minutes 0` only judges.
Then 200 comparisons of each slow-down are drawn from the blocks, and judged by the gate and by four other rules.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from bench.errors import BenchError, UsageError
from bench.gate import shift
from bench.gate.checkout import checked_out, resolve, top_of
from bench.gate.lock import only_one
from bench.gate.quantity import QUANTITIES
from bench.gate.study import BLOCK, COMPARISONS, SLOW_DOWNS, Times, neighbours, study
from bench.gate.tree import Tree, TreeFailed
from bench.machine import default_device, device_count, fingerprint
from bench.provenance import PACKAGES
from bench.report import text
from bench.report.fitting import print_table
from bench.report.gate import say, study_table

ROOT = Path(__file__).resolve().parent.parent
MATRIX = "bench/matrices/gate_step.yaml"
STEP = QUANTITIES["throughput"][0]
LOOP = "bench/training/loop.py"
END_OF_STEP = "        optimizers.zero_grad()\n        return loss\n"
MORE_WORK = """        optimizers.zero_grad()
        more = torch.ones(64, 64, device=images.device)
        for _ in range({products}):
            torch.mm(more, more)
        return loss
"""
# Twice as many blocks as of each slow-down, and side by side, so that A/A blocks may begin at any run of them.
AGAIN_BLOCKS = 2
CALIBRATION_PRODUCTS = 1000
CALIBRATION_BLOCKS = 3
ROUNDS = 30


@dataclass(frozen=True)
class Plan:
    """What is recorded: whose code, on which machine, and how many products make each slow-down (keys as `5%`)."""

    commit: str
    machine: str
    products: Mapping[str, int]


@dataclass(frozen=True)
class Measured:
    """One run: the seconds of its fastest step, and of all that one waits for; `slow_down` is None for A.

    Blocks of one call follow one another; `session` is the first of them.
    """

    session: int
    block: int
    slow_down: float | None
    step_s: float
    wall_s: float


class Recorder:
    """Trees of one commit with more and less work, measured by their own agents."""

    def __init__(self, commit: str, logs: Path, open_trees: ExitStack) -> None:
        self._checkout = open_trees.enter_context(checked_out(ROOT, commit))
        self._logs, self._open_trees = logs, open_trees
        self._device = default_device()
        self._trees: dict[int | None, Tree] = {}
        self._opened: dict[int | None, int] = {}
        self.session = 0

    def add(self, works: Sequence[int | None]) -> None:
        """Open a tree for each number of products, None for the other copy without any, all at the same time."""
        for work in works:
            # Names of one length; see bench.gate.checkout.Checkout.
            root = self._checkout.base.with_name(f"{len(self._trees):04d}")
            for package in PACKAGES:
                shutil.copytree(self._checkout.base / package, root / package)
            if work:
                source = (root / LOOP).read_text(encoding="utf-8")
                if source.count(END_OF_STEP) != 1:
                    raise BenchError(f"{LOOP}: the end of a step is no longer what END_OF_STEP says; mend this tool")
                changed = source.replace(END_OF_STEP, MORE_WORK.format(products=work))
                (root / LOOP).write_text(changed, encoding="utf-8")
            self._trees[work] = Tree(root, self._logs / f"{root.name}.log")
            self._open_trees.callback(self._trees[work].close)
        for work in works:
            tree = self._trees[work]
            found = device_count(fingerprint(), self._device)
            opened = tree.ask("open", path=str(tree.root / MATRIX), device=self._device, found=found)
            self._opened[work] = opened["matrix"]

    def block(self, number: int, work: int | None, slow_down: float) -> list[Measured]:
        """A B B A."""
        return [
            self._run(0, number, 2 * number, None),
            self._run(work, number, 2 * number, slow_down),
            self._run(work, number, 2 * number + 1, slow_down),
            self._run(0, number, 2 * number + 1, None),
        ]

    def _run(self, work: int | None, block: int, seed: int, slow_down: float | None) -> Measured:
        began_s = time.monotonic()
        log = self._logs / "run.log"
        reply = self._trees[work].ask(
            "run",
            matrix=self._opened[work],
            cell=0,
            seed=seed,
            device=self._device,
            data=None,
            cache=str(self._logs),
            log=str(log),
        )
        if reply["status"] != "ok":
            raise BenchError(f"a run ended as {reply['status']}: {reply['reason']}; see {log}")
        return Measured(self.session, block, slow_down, reply["metrics"][STEP.metric], time.monotonic() - began_s)


def calibrate(recorder: Recorder, console: Console) -> dict[str, int]:
    """How many products make each slow-down, by what many of them add to a step."""
    recorder.add([0, CALIBRATION_PRODUCTS])
    runs = [
        run for number in range(CALIBRATION_BLOCKS) for run in recorder.block(number, CALIBRATION_PRODUCTS, math.nan)
    ]
    plain_s, more_s = (min(run.step_s for run in runs if (run.slow_down is None) is plain) for plain in (True, False))
    product_s = (more_s - plain_s) / CALIBRATION_PRODUCTS
    if product_s <= 0:
        raise BenchError("the machine is too noisy to time a matrix product by; quiet it and try again")
    products = {_name(share): max(1, round(share * plain_s / product_s)) for share in SLOW_DOWNS if share}
    say(console, f"A step takes {text.duration(plain_s)}, a product {text.duration(product_s)}: {products}")
    return products


def record(file: Path, deadline_s: float, console: Console) -> None:
    """Go on with the file until the deadline. Raises UsageError for a file of other code or another machine."""
    commit, machine = resolve(top_of(ROOT), "HEAD"), fingerprint()["id"]
    file.parent.mkdir(parents=True, exist_ok=True)
    with only_one("tools/gate_power.py", lambda line: say(console, line)), ExitStack() as open_trees:
        recorder = Recorder(commit, file.parent.resolve() / "logs", open_trees)
        if file.exists():
            plan, runs = read(file)
            if (plan.commit, plan.machine) != (commit, machine):
                raise UsageError(f"{file} is of {plan.commit[:9]} on machine {plan.machine}; name another file")
            recorder.add([0])
        else:
            plan, runs = Plan(commit, machine, calibrate(recorder, console)), []
            _append(file, [asdict(plan)])
        recorder.add([None, *plan.products.values()])
        recorder.session = block = 1 + max((run.block for run in runs), default=-1)
        while True:
            for work, slow_down in _cycle(plan):
                if time.monotonic() > deadline_s:
                    return
                _append(file, [asdict(run) for run in recorder.block(block, work, slow_down)])
                block += 1


def _cycle(plan: Plan) -> Iterator[tuple[int | None, float]]:
    for _ in range(AGAIN_BLOCKS):
        yield None, 0.0
    for share in SLOW_DOWNS:
        if share:
            yield plan.products[_name(share)], share


def read(file: Path) -> tuple[Plan, list[Measured]]:
    """Raises UsageError for a file of something else."""
    try:
        first, *others = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return Plan(**first), [Measured(**other) for other in others]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file}: this is no record of this tool ({error}); name another file") from None


def _append(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """In one write, so that a block is there as a whole or not at all."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write("".join(json.dumps(line) + "\n" for line in lines))
        opened.flush()
        os.fsync(opened.fileno())


def blocks_of(runs: Sequence[Measured]) -> dict[float, list[Times]]:
    """Blocks A B B A by slow-down; without one they may begin at any run among others of the same code."""
    found: dict[float, list[Times]] = {slow_down: [] for slow_down in SLOW_DOWNS}
    stretch: list[Measured] = []
    for block in _whole_blocks(runs):
        slow_down = block[1].slow_down
        if stretch and stretch[-1].session != block[0].session:
            found[0.0] += neighbours([run.step_s for run in stretch])
            stretch = []
        if slow_down:
            found[slow_down].append([run.step_s for run in block])
            found[0.0] += neighbours([run.step_s for run in [*stretch, block[0]]])
            stretch = [block[-1]]
        else:
            stretch += block
    found[0.0] += neighbours([run.step_s for run in stretch])
    return {slow_down: blocks for slow_down, blocks in found.items() if blocks}


def _whole_blocks(runs: Sequence[Measured]) -> list[list[Measured]]:
    blocks = [list(block) for _, block in itertools.groupby(runs, lambda run: run.block)]
    return [block for block in blocks if len(block) == BLOCK]


def judge(plan: Plan, runs: Sequence[Measured], console: Console) -> None:
    """Print what each slow-down really was, and what every rule made of it."""
    pair_s = 2 * fmean(run.wall_s for run in runs)
    blocks = blocks_of(runs)
    for slow_down in blocks:
        really = _real(runs, slow_down)
        work = f"{plan.products[_name(slow_down)]} products more" if slow_down else "the same code again"
        say(console, f"{_name(slow_down)}, {work}: {really}")
    say(
        console,
        f"{COMPARISONS} comparisons of {ROUNDS} pairs at most, drawn as blocks A B B A from {len(runs)} runs, of "
        f"which {sum(not run.slow_down for run in runs)} of the same code; a pair takes {text.duration(pair_s)}",
    )
    print_table(console, study_table(study(blocks, STEP, ROUNDS), pair_s))


def _real(runs: Sequence[Measured], slow_down: float) -> str:
    """B over A, with its 95 % interval."""
    pairs = []
    for block in _whole_blocks(runs):
        if block[1].slow_down == slow_down:
            a, b, b_again, a_again = (math.log(run.step_s) for run in block)
            pairs += [(a, b), (a_again, b_again)]
    found = shift.of_pairs(*([pair[side] for pair in pairs] for side in (0, 1)))
    low, high = found.interval(0.025)
    shown = [f"{100 * math.expm1(end):+.1f} %" if math.isfinite(end) else "?" for end in (found.estimate, low, high)]
    return f"really {shown[0]} [{shown[1]}, {shown[2]}], n = {found.n} pairs"


def _name(share: float) -> str:
    return f"{share:.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the runs are kept")
    parser.add_argument("--minutes", type=float, default=12.0, help="record for so long, then judge")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.minutes > 0:
            record(arguments.file, time.monotonic() + 60 * arguments.minutes, console)
        plan, runs = read(arguments.file)
        if not runs:
            raise UsageError(f"{arguments.file}: no run is recorded yet; give it more --minutes")
        judge(plan, runs, console)
    except (BenchError, TreeFailed) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", None) or 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
