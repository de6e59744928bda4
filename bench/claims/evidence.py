"""The verdict on a claim from recorded runs: which of them may be compared, and their result.

Runs are compared if machine, sources, device and data are the same. If no such group has all cells, the claim is
unsure, and the reason names the differences.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from bench.claims import effect as effects
from bench.claims.cells import Claim, ClaimCell
from bench.claims.claim import Comparison, metric_of, terms
from bench.claims.effect import Effect
from bench.claims.verdict import ClaimFinding, ClaimVerdict, find, overall
from bench.runs.run import Run
from bench.spec import kept_nets
from bench.spec.sweep_plan import ANSWERS
from bench.text.nearest import choices, did_you_mean

# A run that missed its target would have needed at least its training time.
TARGET_TIME, LEAST_TARGET_TIME = "time_to_target_s", "train_s"


@dataclass(frozen=True)
class CellSetting:
    """What runs must share to be compared: ids of the machine, the sources and the data, the device, and the networks
    trained earlier that their task was given.

    `data` is empty if the cells of a claim have different data sets.
    """

    machine: str
    sources: str
    device: str
    data: str
    nets: str = ""

    def differences(self, other: CellSetting) -> str:
        names = {"machine": "machine", "sources": "code", "device": "device", "data": "data", "nets": "networks"}
        return " and ".join(
            f"{name} {mine[:12]} and {theirs[:12]}"
            for key, name in names.items()
            if (mine := getattr(self, key)) != (theirs := getattr(other, key))
        )


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


@dataclass
class _Group:
    """Comparable runs: for each position of a cell, the newest run of each seed."""

    setting: CellSetting
    cells: dict[int, dict[int, Run]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def rank(self) -> tuple[int, int, str]:
        """A group with more of the cells is better, then one with more runs, then a newer one."""
        runs = [run for by_seed in self.cells.values() for run in by_seed.values()]
        return len(self.cells), len(runs), max(run.run_id for run in runs)


def answer(claim: Claim, runs: Iterable[Run]) -> Answer:
    """The verdict on a claim that has a matrix, from those of the runs that are of its cells.

    Raises `UsageError` where a claim asks for a metric that its runs do not have.
    """
    groups = _groups(claim, runs)
    planned = claim.seeds
    if not groups:
        return Answer(
            claim,
            ClaimVerdict.UNSURE,
            reason="not measured yet",
            seeds_needed=planned,
            minutes_needed=claim.spec.minutes,
        )
    best = max(groups, key=lambda group: group.rank)
    needed = sorted({claim.cells.index(cell) for cell in needed_cells(claim)})
    own = tuple(run for position in needed for run in best.cells.get(position, {}).values())
    if missing := [position for position in needed if position not in best.cells]:
        return _incomplete(claim, best, groups, missing, own)
    if reason := _mixed_data(claim, best):
        return Answer(
            claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, planned, claim.spec.minutes, is_mixed=True
        )
    findings = tuple(_finding(claim, position, best) for position in range(len(claim.spec.tests)))
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
    cells = len(needed_cells(claim))
    return answer.setting is not None and len({run.cell for run in answer.runs}) >= cells and answer.seeds >= seeds


def needed_cells(claim: Claim) -> list[ClaimCell]:
    """The cells that some test uses."""
    found: list[ClaimCell] = []
    for position, test in enumerate(claim.spec.tests):
        if test.quantity == "rank_correlation":
            return list(claim.cells)
        found += [claim.side(position, side) for side in ("of", "to") if getattr(test, side) is not None]
    return list(dict.fromkeys(found))


def _groups(claim: Claim, runs: Iterable[Run]) -> list[_Group]:
    positions = {cell_id: position for position, cell in enumerate(claim.cells) for cell_id in cell.ids}
    one_data_set = len({cell.data for cell in claim.cells}) == 1
    groups: dict[CellSetting, _Group] = {}
    for run in runs:
        if run.cell not in positions or run.status not in ANSWERS:
            continue
        setting = CellSetting(
            str(run.machine.get("id")),
            str(run.code.get("sources_sha256")),
            str(run.config.get("device")),
            str(run.data.get("fingerprint")) if one_data_set else "",
            kept_nets.said_of(run.config),
        )
        by_seed = groups.setdefault(setting, _Group(setting)).cells[positions[run.cell]]
        if run.seed not in by_seed or by_seed[run.seed].run_id < run.run_id:
            by_seed[run.seed] = run
    return list(groups.values())


def _incomplete(
    claim: Claim, best: _Group, groups: Sequence[_Group], missing: Sequence[int], own: tuple[Run, ...]
) -> Answer:
    """Cells that are to be compared have no run that may be compared with the others'."""
    label = claim.cells[missing[0]].label
    elsewhere = [group for group in groups if missing[0] in group.cells]
    left = claim.spec.minutes
    if not elsewhere:
        reason = f"no run yet of {len(missing)} of its cells, such as {label}"
        return Answer(claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, claim.seeds, left)
    reason = (
        f"refused to compare runs that differ in more than the claim does: {label} was measured with another "
        f"{best.setting.differences(elsewhere[0].setting)}; `bench claims {claim.id}` measures all cells alike"
    )
    return Answer(claim, ClaimVerdict.UNSURE, (), reason, best.setting, own, claim.seeds, left, is_mixed=True)


def _mixed_data(claim: Claim, group: _Group) -> str | None:
    """The mistake if cells of one data set were measured with different images."""
    seen: dict[str, set[str]] = defaultdict(set)
    for position, by_seed in group.cells.items():
        seen[claim.cells[position].data] |= {str(run.data.get("fingerprint")) for run in by_seed.values()}
    for fingerprints in seen.values():
        if len(fingerprints) > 1:
            two = " and ".join(text[:12] for text in sorted(fingerprints)[:2])
            return (
                f"refused to compare runs of different data: {two}; `bench claims {claim.id}` measures all cells alike"
            )
    return None


def _minutes(group: _Group, needed: Sequence[int], seeds: int) -> float | None:
    """The minutes of the missing runs up to this many seeds, by the mean of the existing ones."""
    seconds = 0.0
    for position in needed:
        runs = group.cells[position].values()
        if (mean_s := mean_total_s(runs)) is None:
            return None
        seconds += mean_s * max(0, seeds - len(runs))
    return seconds / 60


def mean_total_s(runs: Iterable[Run]) -> float | None:
    """The mean duration of those of the runs that have one; None if none has."""
    known = [float(total) for run in runs if (total := run.metrics.get("total_s"))]
    return fmean(known) if known else None


def _finding(claim: Claim, position: int, group: _Group) -> ClaimFinding:
    test = claim.spec.tests[position]
    if test.quantity == "rank_correlation":
        return _ranked(claim, position, group)
    sides = [("of", test.metric)] + ([("to", test.metric_to or test.metric)] if test.to is not None else [])
    values: list[dict[int, float]] = []
    missed: list[str] = []
    for side, metric in sides:
        cell = claim.side(position, side)
        runs = group.cells[claim.cells.index(cell)]
        found, lacking = _values(claim, position, runs, metric)
        if metric == TARGET_TIME and lacking:
            at_least = {seed: metric_of(run.metrics, LEAST_TARGET_TIME) for seed, run in lacking.items()}
            found |= {seed: value for seed, value in at_least.items() if value is not None}
            missed.append(side)
        elif lacking:
            reason = f"{len(lacking)} of {len(runs)} runs of {cell.label} diverged and have no {metric}"
            return ClaimFinding(test, ClaimVerdict.UNSURE, None, reason)
        values.append(dict(sorted(found.items())))
    try:
        effect = _effect(test, values, claim.seeds)
    except ValueError as error:
        return ClaimFinding(test, ClaimVerdict.UNSURE, None, str(error))
    return find(test, _bounded(effect, missed, test), claim.seeds)


def _effect(test: Comparison, values: Sequence[Mapping[int, float]], planned: int) -> Effect:
    """Raises ValueError, with the reason, where the values have no such quantity."""
    if len(values) == 2 and not values[0].keys() & values[1].keys():
        raise ValueError("no seed was run in both cells")
    if test.counted:
        return _counted(test, values)
    if test.quantity == "ratio":
        return effects.ratio(values[0], values[1], planned)
    if test.quantity == "difference":
        return effects.difference(values[0], values[1], planned)
    return effects.mean(values[0], planned)


def _counted(test: Comparison, values: Sequence[Mapping[int, float]]) -> Effect:
    if any(len(set(arm.values())) > 1 for arm in values):
        raise ValueError(f"{test.metric} is said to be counted, and differs between the runs of a cell")
    first = [next(iter(arm.values())) for arm in values]
    if test.quantity == "ratio" and not first[1]:
        raise ValueError(f"{test.metric_to or test.metric} is 0, and has no ratio")
    value = first[0]
    if test.quantity == "ratio":
        value /= first[1]
    elif test.quantity == "difference":
        value -= first[1]
    return effects.counted(value, min(map(len, values)))


def _bounded(effect: Effect, missed: Sequence[str], test: Comparison) -> Effect:
    """The effect where some runs never reached the target, so that their times are known from below alone."""
    if not missed or effect.low is None or effect.high is None:
        return effect
    low = 0.0 if test.quantity == "ratio" and "to" in missed else (float("-inf") if "to" in missed else effect.low)
    high = float("inf") if "of" in missed else effect.high
    named = " and ".join(f"`{side}`" for side in missed)
    return replace(effect, low=low, high=high, remark=f"some runs of {named} never reached the target", scatter=None)


def _values(
    claim: Claim, position: int, runs: Mapping[int, Run], metric: str
) -> tuple[dict[int, float], dict[int, Run]]:
    """The metric by seed, and the runs that missed the target or diverged and so have none.

    Raises `UsageError` for a metric that runs which went well do not have.
    """
    found, lacking = {}, {}
    for seed, run in runs.items():
        value = metric_of(run.metrics, metric)
        if value is not None:
            found[seed] = value
        elif run.status == "diverged" or (metric == TARGET_TIME and run.status == "not_reached"):
            lacking[seed] = run
        else:
            known = [name for name, given in run.metrics.items() if isinstance(given, int | float)]
            wrong = next((name for name, _ in terms(metric) if name not in known), metric)
            near = did_you_mean(wrong, known)
            claim.refuse(
                position,
                "metric",
                f"{run.measure} runs have no metric {wrong!r}{near}; {choices(sorted(known), 'bench results columns')}",
            )
    return found, lacking


def _ranked(claim: Claim, position: int, group: _Group) -> ClaimFinding:
    test = claim.spec.tests[position]
    columns: list[list[float]] = []
    for metric in (test.metric, str(test.with_)):
        found = [_values(claim, position, group.cells[index], metric)[0] for index in range(len(claim.cells))]
        columns.append([fmean(values.values()) for values in found if values])
    if len(columns[0]) != len(columns[1]):
        return ClaimFinding(test, ClaimVerdict.UNSURE, None, "some cells lack one of the two metrics")
    try:
        return find(test, effects.rank_correlation(*columns), claim.seeds)
    except ValueError as error:
        return ClaimFinding(test, ClaimVerdict.UNSURE, None, str(error))
