"""One tree measured by itself: for a baseline to be stored, and to be held against one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError
from bench.gate.baseline import Baseline
from bench.gate.compare import NOTHING_IN_COMMON, Group, Limits, cases_of, missed
from bench.gate.drift import Drift, Reference, between, middle
from bench.gate.report import Finding
from bench.gate.source import Result
from bench.gate.tree import Tree, TreeFailed, renew
from bench.gate.verdict import Judgement, Verdict, judge
from bench.host.contention import disturbances
from bench.runs.labels import flat
from bench.runs.run import FINISHED, NOT_IDENTITY, new_run_id
from bench.spec.matrix import short

# The machine's own kernels take up to a second, which is to be a small share of the time.
REFERENCE_EVERY_S = 10.0
# Enough beside a baseline of twenty to be sure of what is as large as its noise.
ROUNDS = 12


@dataclass
class Solo:
    """Measures cells in turns, each round in a new start of the tree; `references` are the machine's kernels, timed now
    and then."""

    tree: Tree
    device: str
    data: Path | None
    results: Path
    on_run: Callable[[str, int], None] = lambda _cell, _round: None
    references: list[Reference] = field(default_factory=list)
    contended: list[str] = field(default_factory=list)
    runs: int = 0
    _next_reference_s: float = -math.inf

    def disturbed(self) -> list[str]:
        """What should be said where something else was busy meanwhile."""
        if not self.contended:
            return []
        return [
            f"contended: {len(self.contended)} of {self.runs} runs ({self.contended[0]}, for one); stop what else runs"
        ]

    def measure(self, path: Path, found: int, rounds: int, deadline_s: float) -> list[Result]:
        """Each cell of a matrix `rounds` times, or until the deadline, but once at least.

        Raises UsageError for a matrix that is wrong, BenchError where a process of the tree ends.
        """
        try:
            opened = self.tree.ask("open", path=str(path), device=self.device, found=found)
            cells = [(at, cell) for at, cell in enumerate(opened["cells"]) if not cell["skip"]]
            if not cells:
                raise UsageError(f"{path.stem}: no cell of it can run on this machine")
            results = []
            for round in range(rounds):
                if round and time.monotonic() > deadline_s:
                    break
                renew([self.tree])
                if time.monotonic() >= self._next_reference_s:
                    self._next_reference_s = time.monotonic() + REFERENCE_EVERY_S
                    self.references.append(self.tree.ask("reference", device=self.device))
                for at, cell in cells:
                    told = ", ".join(f"{key}={short(value)}" for key, value in cell["values"].items())
                    label = f"{path.stem}: {told}" if told else path.stem
                    self.on_run(label, round)
                    results.append(self._run(opened, at, cell, label, round))
        except TreeFailed as error:
            kind = UsageError if error.exit_code == 2 else BenchError
            raise kind(f"{path.stem}: {error}") from None
        return results

    def reference(self) -> dict[str, float]:
        """The medians of each kernel's seconds, and of its clock where that is known."""
        return middle(self.references)

    def _run(self, opened: dict[str, Any], at: int, cell: dict[str, Any], label: str, round: int) -> Result:
        log = self.results / "gate" / "logs" / f"{new_run_id()}.log"
        reply = self.tree.ask(
            "run",
            matrix=opened["matrix"],
            cell=at,
            seed=round,
            device=self.device,
            data=None if self.data is None else str(self.data.resolve()),
            cache=str(self.results / "cache"),
            log=str(log),
        )
        config = flat({key: value for key, value in cell["config"].items() if key not in NOT_IDENTITY})
        self.runs += 1
        if reply.get("metrics", {}).get("contended"):
            where = disturbances(reply.get("spans", []))
            self.contended.append(next(iter(where.values()), "other processes were busy"))
        if reply["status"] in FINISHED:
            return Result(config, label, opened["measure"], reply["started_at"], reply["metrics"], seed=round)
        reason = f"{reply['status']}: {reply['reason']}"
        return Result(config, label, opened["measure"], reply["started_at"], None, reason=reason, seed=round)


@dataclass
class Against:
    """The tree of `solo` beside stored baselines, each with its matrix' file."""

    solo: Solo
    baselines: Sequence[tuple[Path, Baseline]]
    limits: Limits
    rounds: int = ROUNDS

    def judge(self, deadline_s: float, found: int) -> tuple[list[Finding], list[str]]:
        """A finding for each quantity, and what should be said of the machine.

        A slow-down that the machine's own kernels show too is not called one: it is `unsure`.
        """
        groups: list[Group] = []
        for position, (path, kept) in enumerate(self.baselines):
            # What is left, in equal parts.
            share_s = (deadline_s - time.monotonic()) / (len(self.baselines) - position)
            results = self.solo.measure(path, found, self.rounds, time.monotonic() + share_s)
            for label in dict.fromkeys(result.label for result in results):
                before = [result for result in kept.results if result.label == label]
                now = [result for result in results if result.label == label]
                groups.append(Group(label, now[0].measure, before, now))
        drift = between([kept.reference for _, kept in self.baselines], self.solo.references)
        findings: list[Finding] = []
        cases = []
        for group in groups:
            if (without := _without_judgement(group)) is not None:
                findings.append(without)
                continue
            judged = [case for case in cases_of(group, self.limits) if case.quantity.in_gate]
            lacking = missed(group, self.limits.false_alarms)
            cases += [(group, case) for case in judged]
            findings += lacking
            if not judged and not lacking:
                findings.append(Finding(group.label, group.measure, None, Verdict.NO_BASELINE, NOTHING_IN_COMMON))
        judgements = judge([case for _, case in cases], self.limits.false_alarms)
        for (group, case), judgement in zip(cases, judgements, strict=True):
            is_time = case.quantity.words == ("faster", "slower")
            explained = judgement if not is_time else _less_drift(judgement, drift)
            findings.append(Finding(group.label, group.measure, explained))
        return findings, [
            f"the machine itself, in seconds since the baseline: {drift.told()}{drift.explained}",
            *self.solo.disturbed(),
            *self.loud(),
        ]

    def loud(self) -> list[str]:
        """Where a slow-down of the margin is hardly to be found, by the noise of the baselines' own runs."""
        told = []
        for _, kept in self.baselines:
            for label, floor in kept.floors(self.rounds).items():
                margin = self.limits.of(kept.times()[label][0]).margin
                if floor > margin:
                    told.append(
                        f"{label}: by its baseline's noise {self.rounds} rounds can show {floor:.1%} at the least, and "
                        f"not the margin of {margin:.1%}; quiet the machine, or --base REVISION tells more"
                    )
        return told


def _without_judgement(group: Group) -> Finding | None:
    if not group.base:
        reason = f"the baseline has no such cell; `bench baseline save {group.label.partition(':')[0]}` makes one"
        return Finding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    if group.base[0].config != group.head[0].config:
        reason = (
            "the recipe says another thing than when the baseline was made, so that there is nothing to compare; "
            f"`bench baseline save {group.label.partition(':')[0]}` makes a new one, --base REVISION compares both"
        )
        return Finding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    failed = next((result for result in group.head if result.metrics is None), None)
    return Finding(group.label, group.measure, None, Verdict.BROKEN, failed.reason) if failed else None


def _less_drift(judgement: Judgement, drift: Drift) -> Judgement:
    """The judgement, where the machine does not explain it."""
    if judgement.verdict not in (Verdict.WORSE, Verdict.BETTER) or judgement.change is None:
        return judgement
    worse = judgement.verdict is Verdict.WORSE
    size = abs(judgement.change.value - 1)
    like = [name for name, moved in drift.seconds.items() if (moved > 0) == worse and abs(moved) > size / 2]
    if not like:
        return judgement
    told = f"{drift.told(like)} since the baseline"
    reason = f"{judgement.word}, but so is the machine: {told}; --base REVISION tells them apart"
    return replace(judgement, verdict=Verdict.UNSURE, reason=reason)
