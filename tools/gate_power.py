"""What the speed gate finds on this machine, and how often it cries wolf, over fresh starts, in time and in memory.

    .venv/bin/python tools/gate_power.py docs/gate_starts.jsonl --minutes 18 --page docs/gate_power.md

Copies of HEAD are measured in blocks A B B A as `bench regress` measures: each run is of a new start of its copy. B is
the same code again, or does so many small matrix products more after each training step, and keeps so many bytes more,
that the step takes 3, 5 or 10 % longer, and the process as much more memory. How many products these are is found by
timing first; how much they really cost is told with the result. Every start is one line of the file, written when
its block is whole, and a later call goes on from there; `--minutes 0` only judges. Then 200 comparisons of each kind
are drawn from the blocks, and judged by the gate and by four other rules. `--page` writes the result as Markdown.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

from rich.console import Console

from bench.cli.commands.regress import sigterm_interrupts
from bench.errors import BenchError, UsageError
from bench.gate.agent_process import AgentFailed, AgentProcess
from bench.gate.checkout import checked_out, resolve, top_of
from bench.gate.lock import only_one
from bench.gate.quantity import QUANTITIES, Quantity
from bench.gate.study import COMPARISONS, Outcome, Times, append, neighbours, study, whole_blocks
from bench.gate.verdict import Case, threshold_of
from bench.host.fingerprint import default_device, device_count, fingerprint
from bench.host.git import SHORT_COMMIT
from bench.host.source_paths import PACKAGES
from bench.report.terminal.gate import say, study_table
from bench.statistics import shift
from bench.text import units
from bench.text.fitting import print_table

ROOT = Path(__file__).resolve().parent.parent
STEP, LOADING = "gate_step", "gate_loading"
# Both cells see the same code again; extra work is in the training step alone.
FIGURES = {
    STEP: (QUANTITIES["throughput"][0], QUANTITIES["throughput"][1]),
    LOADING: (QUANTITIES["loading"][0], QUANTITIES["loading"][1]),
}
PLANTED = (0.03, 0.05, 0.10)
STEP_FILE = "bench/training/step.py"
MORE = """

_plain_step = TrainingStep.__call__
_kept = []


def _step_with_more(self, batch, *others, **named):
    if not _kept:
        _kept.extend([torch.ones(64, 64, device=batch.images.device), torch.ones({num_bytes}, dtype=torch.uint8)])
    loss = _plain_step(self, batch, *others, **named)
    for _ in range({products}):
        torch.mm(_kept[0], _kept[0])
    return loss


TrainingStep.__call__ = _step_with_more
"""
# Of the same code twice as many blocks as of each slow-down.
AGAIN_BLOCKS = 2
CALIBRATION = {"products": 1000, "num_bytes": 1}
CALIBRATION_BLOCKS = 3
ROUNDS = 30


@dataclass(frozen=True)
class More:
    """What a changed copy does more: products after each step, and bytes that it keeps."""

    products: int
    num_bytes: int


@dataclass(frozen=True)
class StartsPlan:
    """What is recorded: whose code, on which machine, and what makes each slow-down (keys as `5%`)."""

    commit: str
    machine: str
    planted: Mapping[str, More]


@dataclass(frozen=True)
class Start:
    """One start of a copy and the least time and the peak memory of one run of each cell in it.

    Blocks of one call follow one another; `session` is the first of them. `slow_down` is None for A. `figures` has
    values by `cell.metric`; `wall_s` is the time from asking for the start to its end.
    """

    session: int
    block: int
    slow_down: float | None
    figures: Mapping[str, float]
    wall_s: float


class StartRecorder:
    """Copies of one commit with more and less work, each start of them measured once."""

    def __init__(self, commit: str, logs: Path, open_agents: ExitStack) -> None:
        self._checkout = open_agents.enter_context(checked_out(ROOT, commit))
        self._logs, self._open_agents = logs, open_agents
        self._device = default_device()
        self._found = device_count(fingerprint(), self._device)
        self._agents: dict[str, AgentProcess] = {}
        self.session = 0

    def add(self, name: str, more: More | None = None) -> None:
        """A copy of the commit, by its name here."""
        # Folders of one length; see bench.gate.checkout.Checkout.
        root = self._checkout.base.with_name(f"{len(self._agents):04d}")
        for package in PACKAGES:
            shutil.copytree(self._checkout.base / package, root / package)
        if more:
            with (root / STEP_FILE).open("a", encoding="utf-8") as file:
                file.write(MORE.format(products=more.products, num_bytes=more.num_bytes))
        agent = AgentProcess(root, self._logs / f"{root.name}.log")
        self._open_agents.callback(agent.close)
        agent.await_ready()
        for cell in FIGURES:
            path = root / "bench" / "matrices" / f"{cell}.yaml"
            agent.ask("open", path=str(path), device=self._device, found=self._found)
        agent.close()
        self._agents[name] = agent

    def block(self, number: int, b: str, slow_down: float, cells: Sequence[str]) -> list[Start]:
        """A B, then B A, each pair of two new starts."""
        first, second = (("A", None), (b, slow_down))
        runs = []
        for pair in ((first, second), (second, first)):
            began_s = time.monotonic()
            for name, _ in pair:
                self._agents[name].start()
            for name, _ in pair:
                self._agents[name].await_ready()
            start_s = (time.monotonic() - began_s) / 2
            figures: list[dict[str, float]] = [{}, {}]
            walls_s = [start_s, start_s]
            for cell in cells:  # each cell's two runs are neighbours
                for position, (name, _) in enumerate(pair):
                    began_s = time.monotonic()
                    figures[position] |= self._run(self._agents[name], cell, number)
                    walls_s[position] += time.monotonic() - began_s
            for name, _ in pair:
                self._agents[name].close()
            for position, (_, planted) in enumerate(pair):
                runs.append(Start(self.session, number, planted, figures[position], walls_s[position]))
        return runs

    def _run(self, agent: AgentProcess, cell: str, seed: int) -> dict[str, float]:
        log = self._logs / "run.log"
        reply = agent.ask(
            "run",
            matrix=list(FIGURES).index(cell),
            cell=0,
            seed=seed,
            device=self._device,
            data=None,
            cache=str(self._logs),
            log=str(log),
        )
        if reply["status"] != "ok":
            raise BenchError(f"a run ended as {reply['status']}: {reply['reason']}; see {log}")
        return {f"{cell}.{one.metric}": float(reply["metrics"][one.metric]) for one in FIGURES[cell]}


def calibrate(recorder: StartRecorder, console: Console) -> dict[str, More]:
    """What makes each slow-down, by what many products add to a step, and by the peak of memory."""
    recorder.add("many", More(**CALIBRATION))
    runs = [run for number in range(CALIBRATION_BLOCKS) for run in recorder.block(number, "many", math.nan, [STEP])]
    time_of, memory_of = (f"{STEP}.{one.metric}" for one in FIGURES[STEP])
    plain, many = ([run for run in runs if (run.slow_down is None) is is_plain] for is_plain in (True, False))
    plain_s, many_s = (min(run.figures[time_of] for run in side) for side in (plain, many))
    num_bytes = median(run.figures[memory_of] for run in plain)
    product_s = (many_s - plain_s) / CALIBRATION["products"]
    if product_s <= 0:
        raise BenchError("the machine is too noisy to time a matrix product by; quiet it and try again")
    planted = {
        _name(share): More(max(1, round(share * plain_s / product_s)), round(share * num_bytes)) for share in PLANTED
    }
    told = ", ".join(f"{name} is {more.products} and {units.size(more.num_bytes)}" for name, more in planted.items())
    say(console, f"A step takes {units.duration(plain_s)}, a product {units.duration(product_s)}: {told}")
    return planted


def record(file: Path, deadline_s: float, console: Console) -> None:
    """Go on with the file until the deadline. Raises UsageError for a file of other code or another machine."""
    commit, machine = resolve(top_of(ROOT), "HEAD"), fingerprint()["id"]
    file.parent.mkdir(parents=True, exist_ok=True)
    with only_one("tools/gate_power.py", lambda line: say(console, line)), ExitStack() as open_agents:
        recorder = StartRecorder(commit, ROOT / "results" / "gate" / "logs", open_agents)
        recorder.add("A")
        if file.exists():
            plan, runs = read(file)
            if (plan.commit, plan.machine) != (commit, machine):
                raise UsageError(
                    f"{file} is of {plan.commit[:SHORT_COMMIT]} on machine {plan.machine}; name another file"
                )
        else:
            plan, runs = StartsPlan(commit, machine, calibrate(recorder, console)), []
            append(file, [asdict(plan)])
        recorder.add("A again")
        for name, more in plan.planted.items():
            recorder.add(name, more)
        recorder.session = block = 1 + max((run.block for run in runs), default=-1)
        while True:
            for name, slow_down in _cycle():
                if time.monotonic() > deadline_s:
                    return
                cells = list(FIGURES) if not slow_down else [STEP]
                append(file, [asdict(run) for run in recorder.block(block, name, slow_down, cells)])
                block += 1


def _cycle() -> Iterator[tuple[str, float]]:
    for _ in range(AGAIN_BLOCKS):
        yield "A again", 0.0
    for share in PLANTED:
        yield _name(share), share


def read(file: Path) -> tuple[StartsPlan, list[Start]]:
    """Raises UsageError for a file of something else."""
    try:
        first, *others = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        planted = {name: More(**more) for name, more in first.pop("planted").items()}
        return StartsPlan(**first, planted=planted), [Start(**other) for other in others]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{file}: this is no record of this tool ({error}); name another file") from None


def blocks_of(runs: Sequence[Start], figure: str) -> dict[float, list[Times]]:
    """Blocks A B B A of a figure by slow-down; without one they may begin at any start among equal ones."""
    found: dict[float, list[Times]] = {slow_down: [] for slow_down in (0.0, *PLANTED)}
    stretch: list[Start] = []

    def end_stretch() -> None:
        found[0.0] += neighbours([run.figures[figure] for run in stretch])
        stretch.clear()

    for block in whole_blocks(runs):
        slow_down = block[1].slow_down or 0.0
        if stretch and stretch[-1].session != block[0].session:
            end_stretch()
        if not all(figure in run.figures for run in block):
            end_stretch()
        elif slow_down:
            found[slow_down].append([run.figures[figure] for run in block])
            stretch.append(block[0])
            end_stretch()
            stretch.append(block[-1])
        else:
            stretch += block
    end_stretch()
    return {slow_down: blocks for slow_down, blocks in found.items() if blocks}


@dataclass(frozen=True)
class Judged:
    """One figure: how often equal starts differ, what B really was, and what the rules made of the comparisons."""

    name: str
    pair_s: float
    starts: int
    really: Mapping[float, str]
    outcomes: Sequence[Outcome]


def judge(runs: Sequence[Start]) -> list[Judged]:
    """Each figure of each cell by itself."""
    found = []
    for cell, quantities in FIGURES.items():
        for quantity in quantities:
            figure = f"{cell}.{quantity.metric}"
            having = [run for run in runs if figure in run.figures]
            if not (blocks := blocks_of(having, figure)):
                continue
            # Of another cell's runs in the same start only a part is this one's; all of it is waited for.
            pair_s = 2 * fmean(run.wall_s for run in having)
            really = {slow_down: _real(having, figure, quantity, slow_down) for slow_down in blocks}
            plain = sum(not run.slow_down for run in having)
            outcomes = study(blocks, quantity, ROUNDS)
            found.append(Judged(f"{cell}, {quantity.name}", pair_s, plain, really, outcomes))
    return found


def tell(plan: StartsPlan, judged: Sequence[Judged], console: Console) -> None:
    """Print what each slow-down really was, and what every rule made of it."""
    for one in judged:
        say(console, "")
        told = "; ".join(f"{_planted(plan, slow_down)}: {really}" for slow_down, really in one.really.items())
        say(console, f"{one.name}: {told}")
        say(
            console,
            f"{COMPARISONS} comparisons of {ROUNDS} pairs at most, drawn as blocks A B B A of fresh starts, of which "
            f"{one.starts} are of the same code; a pair takes {units.duration(one.pair_s)}",
        )
        print_table(console, study_table(one.outcomes, one.pair_s))


def page(plan: StartsPlan, judged: Sequence[Judged], runs: Sequence[Start], file: Path) -> str:
    """The same as Markdown."""
    machine = fingerprint()
    lines = [
        "# What the gate finds, and how often it cries wolf",
        "",
        f"Written by `tools/gate_power.py` from {len(runs)} fresh starts of commit {plan.commit[:SHORT_COMMIT]} on "
        f"{machine.get('cpu_model')}, {machine.get('usable_cores')} cores ([the starts]({file.name}); `--minutes 0` "
        f"judges them again): {COMPARISONS} comparisons of {ROUNDS} pairs at most, drawn as blocks A B B A. All rules "
        "get the same values, one a start; the gate may stop early.",
    ]
    for one in judged:
        planted = [slow_down for slow_down in one.really if slow_down]
        lines += ["", f"## {one.name}", ""]
        heads = ["Rule", "False alarms", *(f"Finds {_name(slow_down)}" for slow_down in planted)]
        heads += [f"Time, {_name(slow_down)}" for slow_down in planted]
        lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        for rule in dict.fromkeys(outcome.rule for outcome in one.outcomes):
            of_rule = {outcome.slow_down: outcome for outcome in one.outcomes if outcome.rule == rule}
            alarms = of_rule[0.0].slower + of_rule[0.0].faster if 0.0 in of_rule else None
            cells = [rule, units.MISSING if alarms is None else f"{alarms} of {of_rule[0.0].n}"]
            cells += [f"{of_rule[slow_down].slower / of_rule[slow_down].n:.0%}" for slow_down in planted]
            cells += [units.duration(of_rule[slow_down].rounds * one.pair_s) for slow_down in planted]
            lines.append(f"| {' | '.join(cells)} |")
        told = [f"{_planted(plan, slow_down)}: {really}" for slow_down, really in one.really.items()]
        lines += ["", *(f"- {line}" for line in told)]
    return "\n".join(lines) + "\n"


def _planted(plan: StartsPlan, slow_down: float) -> str:
    if not slow_down:
        return "the same code again"
    more = plan.planted[_name(slow_down)]
    return f"{_name(slow_down)}, {more.products} products and {units.size(more.num_bytes)} more"


def _real(runs: Sequence[Start], figure: str, quantity: Quantity, slow_down: float) -> str:
    """B over A, with its 95 % interval; and of equal code, how many pairs of starts differ by more than the margin."""
    pairs = []
    for block in whole_blocks(runs):
        if block[1].slow_down == slow_down:
            a, b, b_again, a_again = (run.figures[figure] for run in block)
            pairs += [(a, b), (a_again, b_again)]
    if not pairs:
        return "not measured"
    base, head = ([pair[side] for pair in pairs] for side in (0, 1))
    found = shift.of_pairs([math.log(value) for value in base], [math.log(value) for value in head])
    low, high = found.interval(0.025)
    shown = [f"{100 * math.expm1(end):+.1f} %" if math.isfinite(end) else "?" for end in (found.estimate, low, high)]
    told = f"really {shown[0]} [{shown[1]}, {shown[2]}], n = {found.n} pairs"
    if slow_down:
        return told
    most = threshold_of(Case(quantity, base, head))
    beyond = sum(abs(math.log(b / a)) > most for a, b in pairs)
    return f"{told}; {beyond} of these pairs of starts differ by more than the margin"


def _name(share: float) -> str:
    return f"{share:.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the runs are kept")
    parser.add_argument("--minutes", type=float, default=18.0, help="record for so long, then judge")
    parser.add_argument("--page", type=Path, help="write the result here too, as Markdown")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.minutes > 0:
            with sigterm_interrupts():
                record(arguments.file, time.monotonic() + 60 * arguments.minutes, console)
        plan, runs = read(arguments.file)
        if not runs:
            raise UsageError(f"{arguments.file}: no start is recorded yet; give it more --minutes")
        judged = judge(runs)
        tell(plan, judged, console)
        if arguments.page:
            arguments.page.write_text(page(plan, judged, runs, arguments.file), encoding="utf-8")
    except (BenchError, AgentFailed) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", None) or 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
