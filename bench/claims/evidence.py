"""The verdict on a claim from recorded runs.

Only runs of one machine, sources, device and data are compared. If no such group has all cells, the claim is unsure,
and the reason names the differences.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.claims.cells import Claim
from bench.claims.comparable import CellSetting, ComparableRuns, groups
from bench.claims.finding import finding_of
from bench.claims.verdict import ClaimFinding, ClaimVerdict, overall
from bench.runs.run import Run


@dataclass(frozen=True)
class Answer:
    """A claim's verdict, its parts, and the runs that it was read from.

    `reason` says what prevents a verdict. `seeds_needed` is the number of runs of each cell that would decide all open
    parts, and `minutes_needed` the time of the missing ones; None if unknown. `is_mixed` says whether the comparison
    was refused because runs differ in more than what is compared, `mistake` whether `reason` is a mistake in the
    claim's file.
    """

    claim: Claim
    verdict: ClaimVerdict
    findings: tuple[ClaimFinding, ...] = ()
    reason: str = ""
    setting: CellSetting | None = None
    runs: tuple[Run, ...] = ()
    seeds_needed: int | None = None
    minutes_needed: float | None = None
    is_mixed: bool = False
    mistake: bool = False

    @property
    def seeds(self) -> int:
        """The runs of each cell, of the one with fewest."""
        counts = Counter(run.cell for run in self.runs)
        return min(counts.values(), default=0)

    @property
    def is_unmeasured(self) -> bool:
        """Whether it could be tested, and has no run yet."""
        return self.verdict is ClaimVerdict.UNSURE and self.setting is None and not self.mistake


def answer(claim: Claim, runs: Iterable[Run]) -> Answer:
    """The verdict on a claim that has a matrix, from those of the runs that are of its cells.

    Raises `UsageError` where a claim asks for a metric that its runs do not have.
    """
    found = groups(claim, runs)
    planned = claim.seeds
    if not found:
        return Answer(
            claim,
            ClaimVerdict.UNSURE,
            reason="not measured yet",
            seeds_needed=planned,
            minutes_needed=claim.spec.minutes,
        )
    best = max(found, key=lambda group: group.rank)
    needed = sorted(claim.cells.index(cell) for cell in claim.compared)
    own = tuple(run for position in needed for run in best.cells.get(position, {}).values())
    if missing := [position for position in needed if position not in best.cells]:
        return _incomplete(claim, best, found, missing, own)
    if reason := _mixed_data(claim, best):
        return Answer(
            claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, planned, claim.spec.minutes, is_mixed=True
        )
    findings = tuple(finding_of(claim, position, best) for position in range(len(claim.spec.tests)))
    verdict = overall([finding.verdict for finding in findings])
    seeds_needed = minutes_needed = None
    if verdict is ClaimVerdict.UNSURE:
        wanted = [finding.runs_needed for finding in findings if finding.verdict is ClaimVerdict.UNSURE]
        known = [count for count in wanted if count is not None]
        if len(known) == len(wanted):
            seeds_needed = max(known)
            minutes_needed = _minutes(best, needed, seeds_needed)
    return Answer(claim, verdict, findings, "", best.setting, own, seeds_needed, minutes_needed)


def is_complete(claim: Claim, answer: Answer, seeds: int) -> bool:
    """Whether nothing is left to run: each compared cell has this many seeds, all of the same setting."""
    cells = len(claim.compared)
    return answer.setting is not None and len({run.cell for run in answer.runs}) >= cells and answer.seeds >= seeds


def mean_total_s(runs: Iterable[Run]) -> float | None:
    """The mean duration of those of the runs that have one; None if none has."""
    known = [float(total) for run in runs if (total := run.metrics.get("total_s"))]
    return fmean(known) if known else None


def _incomplete(
    claim: Claim, best: ComparableRuns, found: Sequence[ComparableRuns], missing: Sequence[int], own: tuple[Run, ...]
) -> Answer:
    """Cells that are to be compared have no run that may be compared with the others'."""
    label = claim.cells[missing[0]].label
    elsewhere = [group for group in found if missing[0] in group.cells]
    left = claim.spec.minutes
    if not elsewhere:
        reason = f"no run yet of {len(missing)} of its cells, such as {label}"
        return Answer(claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, claim.seeds, left)
    reason = (
        f"refused to compare runs that differ in more than the claim does: {label} was measured with another "
        f"{best.setting.differences(elsewhere[0].setting)}; `bench claims {claim.argument}` measures all cells alike"
    )
    return Answer(claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, claim.seeds, left, is_mixed=True)


def _mixed_data(claim: Claim, group: ComparableRuns) -> str | None:
    """The mistake if cells of one data set were measured with different images."""
    seen: dict[str, set[str]] = defaultdict(set)
    for position, by_seed in group.cells.items():
        seen[claim.cells[position].data] |= {str(run.data.get("fingerprint")) for run in by_seed.values()}
    for fingerprints in seen.values():
        if len(fingerprints) > 1:
            two = " and ".join(text[:12] for text in sorted(fingerprints)[:2])
            return (
                f"refused to compare runs of different data: {two}; `bench claims {claim.argument}` measures all "
                "cells alike"
            )
    return None


def _minutes(group: ComparableRuns, needed: Sequence[int], seeds: int) -> float | None:
    """The minutes of the missing runs up to this many seeds, by the mean of the existing ones."""
    seconds = 0.0
    for position in needed:
        runs = group.cells[position].values()
        if (mean_s := mean_total_s(runs)) is None:
            return None
        seconds += mean_s * max(0, seeds - len(runs))
    return seconds / 60
