"""What `bench claims` does: measure what is missing, read the runs that there are, and tell the verdicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from bench.claims import catalog
from bench.claims.answers import answer_or_mistake, judge
from bench.claims.cells import Claim
from bench.claims.evidence import Answer, is_complete
from bench.claims.programme import Budget, Step, expected_s, in_order, obstacle
from bench.claims.verdict import ClaimVerdict
from bench.cli.alone import alone
from bench.cli.claim_nets import ClaimNets
from bench.cli.claim_options import ClaimsOptions, budget_s
from bench.cli.commands.leaderboard import write
from bench.cli.commands.sweep import get_data
from bench.cli.sweep_options import sampling_of
from bench.errors import STOPPED, MissingError, UsageError
from bench.execution.device_pool import Gpus, allot, find_gpus
from bench.execution.executors.local import Local
from bench.execution.recording import Recorder
from bench.execution.sweep import Sweep
from bench.host.fingerprint import chosen_device, device_count, fingerprint, torch_build
from bench.report.terminal.claims import print_answers
from bench.report.terminal.claims_page import to_markdown
from bench.report.terminal.harmless import Harmless
from bench.report.terminal.sweep_progress import SweepProgress, view
from bench.runs.run import Run
from bench.runs.store import Store, jsonl_files, read_runs
from bench.spec import kept_nets
from bench.spec import matrix as matrices
from bench.spec.sweep_plan import SweepPlan, plan
from bench.text import streams, units
from bench.text.console import say, write_out

FAILED = ("crashed", "failed", "oom", "timeout")


def measure_and_judge(options: ClaimsOptions, console: Console) -> int:
    """Measure what is missing and fits the budget, and print the verdicts; returns the exit code.

    0 where each claim that was asked for has a verdict or cannot be tested here; 1 where runs failed, or may not be
    compared; 3 where none of the claims can be tested here; 130 after Ctrl-C. Raises `UsageError` for a mistake in a
    claim or in the options.
    """
    _check(options)
    chosen = catalog.chosen(options.names or ())
    if options.runs:
        with kept_nets.judged_by(options.runs):
            ids = _ids(chosen)
        answers = judge(chosen, read_runs(jsonl_files(options.runs), lambda _, cell: cell in ids))
        _write(options, answers, console)
        return _exit_code(answers)
    device = chosen_device(options.device)
    if device == "cuda" and not torch_build()["torch_cuda"]:
        raise MissingError("--device cuda: this torch is a CPU build; install one for CUDA, or use --device cpu")
    session = Session(options, device, console, chosen)
    finished = session.measure()
    answers = [session.answer(claim) for claim in chosen]
    _write(options, answers, console)
    if not finished:
        say(console, "Stopped before its end; the same command goes on")
        return STOPPED
    return 1 if session.failed else _exit_code(answers)


def _check(options: ClaimsOptions) -> None:
    """Refuse options that would do nothing."""
    if options.out is not None and options.format == "terminal":
        raise UsageError(f"--out {options.out}: the table of a terminal is not written; add --format markdown or html")
    if options.runs and (options.budget is not None or options.seeds is not None):
        name = "--budget" if options.budget is not None else "--seeds"
        raise UsageError(f"{name}: with --runs nothing is measured; leave one of the two out")


def _exit_code(answers: Sequence[Answer]) -> int:
    if any(one.mistake for one in answers):
        return UsageError.exit_code
    if any(one.is_mixed for one in answers):
        return 1
    return 3 if all(one.verdict is ClaimVerdict.NOT_TESTABLE for one in answers) else 0


def _ids(claims: Sequence[Claim]) -> frozenset[str]:
    """What runs of these claims' cells are called."""
    return frozenset(name for claim in claims if claim.spec.matrix for cell in claim.cells for name in cell.ids)


class Session:
    """What one command knows: the machine, the runs it may read, and what cannot be tested here."""

    def __init__(self, options: ClaimsOptions, device: str, console: Console, claims: Sequence[Claim]) -> None:
        self.options, self.device, self.console, self.claims = options, device, console, claims
        kept_nets.RESULTS.set(options.results)
        self.machine = fingerprint()
        self.failed = False
        self._store = Store(options.results / "runs" / "runs.jsonl")
        self._obstacles: dict[str, str] = {}
        self._runs: dict[str, list[Run]] = {}
        self._read(claims)

    def answer(self, claim: Claim) -> Answer:
        """The verdict by the runs there are; where there are none and can be none, what is missing."""
        why = self._obstacles.get(claim.id) or obstacle(claim, self.machine, self.device)
        if claim.spec.matrix is None:
            return Answer(claim, ClaimVerdict.NOT_TESTABLE, reason=why or "")
        found = answer_or_mistake(claim, self._runs_of(claim))
        return replace(found, verdict=ClaimVerdict.NOT_TESTABLE, reason=why) if why and not found.runs else found

    def measure(self) -> bool:
        """Run what is missing, the cheapest claim first; false where Ctrl-C ended it."""
        budget = Budget(budget_s(self.options))
        steps = in_order([self._step(claim) for claim in self.claims])
        if not steps:
            return True
        streams.work_outlasts_output()
        left: list[Step] = []
        for position, step in enumerate(steps, 1):
            now = self._step(step.claim)  # another claim may have measured the same cells
            if now.expected_s == 0:
                continue
            if not budget.has_room_for(now.expected_s):
                left.append(now)
                continue
            say(self.console, f"{step.claim.id}, {position} of {len(steps)}: {step.claim.spec.statement}")
            began_s = time.monotonic()
            finished = self._run_missing(step.claim)
            budget.spend(now.expected_s, time.monotonic() - began_s)
            if not finished:
                return False
        if left:
            names = ", ".join(f"{step.claim.id} ({units.duration(step.expected_s)})" for step in left)
            say(self.console, f"Beyond the budget and not measured: {names}; a larger --budget goes on")
        return True

    def _step(self, claim: Claim) -> Step:
        known, why = self.answer(claim), self._obstacles.get(claim.id) or obstacle(claim, self.machine, self.device)
        if why is not None:
            return Step(known, 0.0, why)
        seeds = self._seeds(claim)
        return Step(known, 0.0 if is_complete(claim, known, seeds) else expected_s(claim, known, seeds))

    def _seeds(self, claim: Claim) -> int:
        return max(claim.seeds, self.options.seeds or 0)

    def _read(self, claims: Sequence[Claim]) -> None:
        """Take the runs of these claims' cells from the store; those of this machine alone count."""
        ids = _ids(claims)
        self._runs |= {name: [] for name in ids}
        for run in self._store.read(ids):
            if run.machine.get("id") == self.machine["id"]:
                self._runs[run.cell].append(run)

    def _runs_of(self, claim: Claim) -> list[Run]:
        return [run for name in _ids([claim]) for run in self._runs[name]]

    def _run_missing(self, claim: Claim) -> bool:
        """Run the missing cells of a claim, with the networks that they need; false after Ctrl-C."""
        nets = ClaimNets(claim, self.device, self.options, self.console)
        if nets.untrained:
            finished = nets.train()
            for one in self.claims:
                one.look_again()
            self._read(self.claims)
            if nets.obstacle is not None:
                self._obstacles[claim.id] = nets.obstacle
                self.failed |= nets.failed
            if not finished or nets.obstacle is not None:
                return finished
        return self._sweep(claim)

    def _sweep(self, claim: Claim) -> bool:
        """Run the missing cells of a claim with the present sources; false after Ctrl-C."""
        matrix, options, console = claim.matrix, self.options, self.console
        spec = matrix.spec
        recorder = Recorder(options.results, spec.measured, matrix.name)
        recorder.check_writable()
        with alone(recorder.store.path.with_name("sweep.lock"), console):
            gpus = find_gpus() if self.device == "cuda" else Gpus()
            pool = allot(1, self.device, gpus)
            found = len(gpus.usable) if self.device == "cuda" else device_count(recorder.machine, self.device)
            compared = frozenset(name for cell in claim.compared for name in cell.ids)
            cells = [cell for cell in matrices.expand(matrix, self.device, found) if cell.id in compared]
            made = plan(
                matrices.schedule(cells, range(self._seeds(claim)), spec.order, spec.order_seed),
                recorder.store.read({cell.id for cell in cells}),
                machine_ids={recorder.machine["id"]},
                sources_sha256=recorder.code["sources_sha256"],
                resume=True,
                most_neighbours=0 if self.device == "cpu" else None,
            )
            try:
                get_data(made, options.data_dir, console)
            except MissingError as error:
                self._obstacles[claim.id] = f"needs its data: {str(error).splitlines()[0]}"
                return True
            progress = SweepProgress(matrix.name, made, matrix.keys, spec.measure, pool.jobs)
            with Harmless(view(console, progress)) as live:
                finished = Sweep(
                    made, recorder, live, self.device, spec.measure, Local(pool), sampling_of(matrix, None),
                    options.data_dir, spec.timeout_s,
                ).run()  # fmt: skip
        self._read([claim])
        self._tell_failures(claim, made)
        return finished

    def _tell_failures(self, claim: Claim, made: SweepPlan) -> None:
        for entry in made.entries:
            if (run := entry.run) is None:
                continue
            if run.status == "skipped":
                self._obstacles[claim.id] = run.reason or "skipped"
            elif run.status in FAILED:
                self.failed = True
                say(self.console, f"{claim.id}: {entry.cell.label}, seed {entry.seed}: {run.status}: {run.reason}")


def _write(options: ClaimsOptions, answers: Sequence[Answer], console: Console) -> None:
    if options.format == "terminal":
        print_answers(console, answers)
        return
    if options.format == "html":
        from bench.report.html.pages import single_claims_page

        content = single_claims_page(answers)
    else:
        files = " ".join(map(str, options.runs or ())) or f"{options.results}/runs"
        content = to_markdown(answers, f"Written by `bench claims --runs {files} --format markdown`; do not edit.")
    if options.out is None:
        write_out(content)
    else:
        write(options.out, content)
        say(console, f"{options.out}: {len(answers)} claims")
