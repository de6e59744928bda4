"""The working tree compared with stored baselines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gate.baseline import Baseline
from bench.gate.compare import NOTHING_IN_COMMON, Limits, MatchedCell, cases_of, missed
from bench.gate.conditions import other_data, other_packages
from bench.gate.drift import Drift, between
from bench.gate.measurement import Measurement
from bench.gate.report import GateFinding
from bench.gate.verdict import Judgement, Verdict, judge

# Enough, with a baseline of twenty runs, to be sure of a change as large as its noise.
ROUNDS = 12


@dataclass
class BaselineComparison:
    """Compares the tree of `measurement` with stored baselines, each with the file of its matrix."""

    measurement: Measurement
    baselines: Sequence[tuple[Path, Baseline]]
    limits: Limits
    rounds: int = ROUNDS

    def judge(self, deadline_s: float, found: int) -> tuple[list[GateFinding], list[str]]:
        """A finding for each quantity, and remarks on the machine and the packages.

        A slow-down that the reference kernels show too is `unsure`, and so is every change beside other packages.
        """
        groups: list[MatchedCell] = []
        for position, (path, kept) in enumerate(self.baselines):
            # The remaining time, in equal parts.
            share_s = (deadline_s - time.monotonic()) / (len(self.baselines) - position)
            results = self.measurement.measure(path, found, self.rounds, time.monotonic() + share_s)
            for label in dict.fromkeys(result.label for result in results):
                before = [result for result in kept.results if result.label == label]
                now = [result for result in results if result.label == label]
                groups.append(MatchedCell(label, now[0].measure, before, now))
        drift = between([kept.reference for _, kept in self.baselines], self.measurement.references)
        findings: list[GateFinding] = []
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
                findings.append(GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, NOTHING_IN_COMMON))
        judgements = judge([case for _, case in cases], self.limits.false_alarms)
        for (group, case), judgement in zip(cases, judgements, strict=True):
            explained = _less_drift(judgement, drift) if case.quantity.is_time else judgement
            explained = _less_packages(explained, other_packages(group.base, group.head))
            findings.append(GateFinding(group.label, group.measure, explained))
        return findings, [
            f"the machine itself, in seconds since the baseline: {drift.told()}{drift.explained}",
            *_told_packages(groups),
            *self._of_unknown_packages(),
            *self.measurement.disturbed(),
            *self.noise_warnings(),
        ]

    def _of_unknown_packages(self) -> list[str]:
        unknown = [kept.matrix for _, kept in self.baselines if not kept.versions]
        return [
            f"the baseline of {matrix} does not say with which packages and data it was made, so they may differ; "
            f"`bench baseline save {matrix}` makes one that does"
            for matrix in unknown
        ]

    def noise_warnings(self) -> list[str]:
        """Cells in which the noise of the baseline's runs would hide a slow-down of the margin."""
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


def _without_judgement(group: MatchedCell) -> GateFinding | None:
    if not group.base:
        reason = f"the baseline has no such cell; `bench baseline save {group.label.partition(':')[0]}` makes one"
        return GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    if group.base[0].config != group.head[0].config:
        reason = (
            "the recipe says another thing than when the baseline was made, so that there is nothing to compare; "
            f"`bench baseline save {group.label.partition(':')[0]}` makes a new one, --base REVISION compares both"
        )
        return GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    if (data := other_data(group.base, group.head)) is not None:
        reason = (
            f"{data}, so that there is nothing to compare; "
            f"`bench baseline save {group.label.partition(':')[0]}` makes a new one, --base REVISION compares both"
        )
        return GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    failed = next((result for result in group.head if result.metrics is None), None)
    return GateFinding(group.label, group.measure, None, Verdict.BROKEN, failed.reason) if failed else None


def _told_packages(groups: Sequence[MatchedCell]) -> list[str]:
    told = dict.fromkeys(other_packages(group.base, group.head) for group in groups)
    return [f"the packages differ from the baseline's: {packages}" for packages in told if packages]


def _less_packages(judgement: Judgement, packages: str | None) -> Judgement:
    """The judgement, or `unsure` if other packages may explain it."""
    if packages is None or judgement.verdict not in (Verdict.WORSE, Verdict.BETTER):
        return judgement
    reason = (
        f"{judgement.word}, but with other packages than the baseline's ({packages}); --base REVISION tells the code "
        "from them, `bench baseline save` makes a baseline with these"
    )
    return judgement.as_withdrawn(reason)


def _less_drift(judgement: Judgement, drift: Drift) -> Judgement:
    """The judgement, or `unsure` if the machine's drift explains it."""
    if judgement.verdict not in (Verdict.WORSE, Verdict.BETTER) or judgement.change is None:
        return judgement
    worse = judgement.verdict is Verdict.WORSE
    size = abs(judgement.change.value - 1)
    like = [name for name, moved in drift.seconds.items() if (moved > 0) == worse and abs(moved) > size / 2]
    if not like:
        return judgement
    told = f"{drift.told(like)} since the baseline"
    reason = f"{judgement.word}, but so is the machine: {told}; --base REVISION tells them apart"
    return judgement.as_withdrawn(reason)
