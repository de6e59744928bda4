"""What comparable runs say of one part of a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NoReturn

from bench.claims import effect as effects
from bench.claims.cells import Claim
from bench.claims.claim import Comparison, metric_of, terms
from bench.claims.comparable import ComparableRuns
from bench.claims.effect import Effect
from bench.claims.verdict import ClaimFinding, ClaimVerdict, find
from bench.runs.run import Run
from bench.text.nearest import choices, did_you_mean
from bench.text.units import counted

# A run that missed its target would have needed at least its training time.
TARGET_TIME, LEAST_TARGET_TIME = "time_to_target_s", "train_s"
Values = dict[int, float]  # by seed


def finding_of(claim: Claim, position: int, group: ComparableRuns) -> ClaimFinding:
    """The verdict on the test at this position. Raises `UsageError` for a metric that the runs do not have."""
    test = claim.spec.tests[position]
    try:
        if test.quantity == "rank_correlation":
            return find(test, _ranked(claim, position, group), claim.seeds)
        return find(test, _compared(claim, position, group), claim.seeds)
    except ValueError as error:
        return ClaimFinding(test, ClaimVerdict.UNSURE, None, str(error))


def _compared(claim: Claim, position: int, group: ComparableRuns) -> Effect:
    """The quantity of one or two cells. Raises ValueError, with the reason, where the runs do not have it."""
    test = claim.spec.tests[position]
    sides = {"of": test.metric} | ({"to": test.metric_to or test.metric} if test.to is not None else {})
    values: list[Values] = []
    missed: dict[str, str] = {}
    for side, metric in sides.items():
        cell = claim.side(position, side)
        runs = group.cells[claim.cells.index(cell)]
        found, lacking = _values(claim, position, runs, metric)
        if metric == TARGET_TIME and (least := _least_times(lacking)):
            found |= least
            missed[side] = cell.label
            lacking = {seed: run for seed, run in lacking.items() if seed not in least}
        if lacking:
            raise ValueError(_diverged(len(lacking), len(runs), cell.label))
        values.append(dict(sorted(found.items())))
    return _bounded(_effect(test, values, claim.seeds), missed, test)


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


def _least_times(runs: Mapping[int, Run]) -> Values:
    """The times that runs without the target would at least have needed, by seed; without those that have none."""
    times = {seed: metric_of(run.metrics, LEAST_TARGET_TIME) for seed, run in runs.items()}
    return {seed: time_s for seed, time_s in times.items() if time_s}


def _bounded(effect: Effect, missed: Mapping[str, str], test: Comparison) -> Effect:
    """The effect where some runs never reached the target, so that their times are known from below alone.

    `missed` has the labels of their cells by side.
    """
    if not missed or effect.low is None or effect.high is None:
        return effect
    least = 0.0 if test.quantity == "ratio" else float("-inf")
    return replace(
        effect,
        low=least if "to" in missed else effect.low,
        high=float("inf") if "of" in missed else effect.high,
        remark=f"some runs of {' and '.join(missed.values())} never reached the target, so that their time is at least "
        "that of their training; more epochs or a lower target would tell it",
        scatter=None,
    )


def _ranked(claim: Claim, position: int, group: ComparableRuns) -> Effect:
    """The rank correlation over the cells. Raises ValueError, with the reason, where there is none."""
    test = claim.spec.tests[position]
    columns: list[list[float]] = []
    for metric in (test.metric, str(test.with_)):
        column: list[float] = []
        for index, cell in enumerate(claim.cells):
            found, lacking = _values(claim, position, group.cells[index], metric)
            if lacking:
                raise ValueError(_diverged(len(lacking), len(group.cells[index]), cell.label))
            column.append(fmean(found.values()))
        columns.append(column)
    return effects.rank_correlation(*columns)


def _values(claim: Claim, position: int, runs: Mapping[int, Run], metric: str) -> tuple[Values, dict[int, Run]]:
    """The metric by seed, and the runs that have none because they diverged or missed the target.

    What a run had measured until it diverged is no result, except for counted quantities and the time of a target that
    it had reached. Raises `UsageError` for a metric that runs which went well do not have.
    """
    found, lacking = {}, {}
    counts = claim.spec.tests[position].counted or metric == TARGET_TIME
    for seed, run in runs.items():
        value = metric_of(run.metrics, metric)
        if value is not None and (counts or run.status != "diverged"):
            found[seed] = value
        elif run.status == "diverged" or (metric == TARGET_TIME and run.status == "not_reached"):
            lacking[seed] = run
        else:
            _refuse_metric(claim, position, run, metric)
    return found, lacking


def _refuse_metric(claim: Claim, position: int, run: Run, metric: str) -> NoReturn:
    known = [name for name, given in run.metrics.items() if isinstance(given, int | float)]
    wrong = next((name for name, _ in terms(metric) if name not in known), metric)
    near = did_you_mean(wrong, known)
    claim.refuse(
        position,
        "metric",
        f"{run.measure} runs have no metric {wrong!r}{near}; {choices(sorted(known), 'bench results columns')}",
    )


def _diverged(count: int, total: int, label: str) -> str:
    return f"{count} of {counted(total, 'run')} of {label} diverged"
