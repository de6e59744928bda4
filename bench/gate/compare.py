"""Compares two sets of results: which cells correspond, which values form pairs, and what is judged."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TypeGuard

from scipy import stats

from bench.gate import conditions
from bench.gate.hosts import case_of_hosts, count_by_host, hosts_told
from bench.gate.quantity import QUANTITIES, Quantity
from bench.gate.report import GateFinding
from bench.gate.source import Result
from bench.gate.verdict import FALSE_ALARMS, LEAST_SEEDS, Case, Verdict, judge
from bench.runs.labels import show
from bench.text.canonical import canonical_json

MOST_KEYS_TOLD = 4
# Keys of a config that name the timed code and are not settings.
NAMES = {"benchmark"}
NOTHING_IN_COMMON = "there is no figure that all runs of both sides have"


@dataclass(frozen=True)
class Limits:
    """Limits of the judgement: margins that replace a quantity's own, by scale, and the share of false alarms."""

    margin: float | None = None
    accuracy_margin: float | None = None
    floor_s: float | None = None
    false_alarms: float = FALSE_ALARMS

    def of(self, quantity: Quantity) -> Quantity:
        """The quantity with these limits; the margin of times does not apply to memory."""
        if quantity.scale == "difference":
            return quantity if self.accuracy_margin is None else replace(quantity, margin=self.accuracy_margin)
        if not quantity.is_time:
            return quantity
        if self.margin is not None:
            quantity = replace(quantity, margin=self.margin)
        if self.floor_s is not None and quantity.floor:
            quantity = replace(quantity, floor=self.floor_s * (1000 if quantity.metric.endswith("_ms") else 1))
        return quantity


@dataclass(frozen=True)
class MatchedCell:
    """The results of one cell on both sides."""

    label: str
    measure: str
    base: list[Result]
    head: list[Result]


def compare(
    base: Sequence[Result], head: Sequence[Result], limits: Limits, any_machine: bool = False
) -> tuple[list[GateFinding], list[str]]:
    """A finding for each quantity of each cell of head, judged together, and further remarks."""
    groups, notes = match(base, head)
    cases: list[tuple[MatchedCell, Case]] = []
    findings: dict[int, list[GateFinding]] = {}
    for position, group in enumerate(groups):
        if (without := _without_judgement(group, any_machine)) is not None:
            findings[position] = [without]
            continue
        found = cases_of(group, limits, any_machine=any_machine)
        cases += [(group, case) for case in found]
        findings[position] = missed(group, limits.false_alarms)
        if not found and not findings[position]:
            findings[position] = [GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, NOTHING_IN_COMMON)]
    notes += [told for group in groups if (told := _hosts_told(group, any_machine) or _starts_told(group))]
    if (packages := conditions.other_packages(base, head)) is not None:
        notes.append(f"the two sides had other packages: {packages}")
    notes += [f"{group.label}: {data}" for group in groups if (data := conditions.other_data(group.base, group.head))]
    judgements = judge([case for _, case in cases], limits.false_alarms)
    for (group, _), judgement in zip(cases, judgements, strict=True):
        findings[groups.index(group)].append(GateFinding(group.label, group.measure, judgement))
    return [finding for position in sorted(findings) for finding in findings[position]], notes


def match(base: Sequence[Result], head: Sequence[Result]) -> tuple[list[MatchedCell], list[str]]:
    """Cells of both sides that have the same config.

    Keys with one value throughout each side, but different ones on the two sides, are what is compared: they are
    ignored for matching, and named. Names of benchmarks are never compared: different names are different benchmarks.
    """
    compared = sorted(
        key
        for key in {key for result in (*base, *head) for key in result.config} - NAMES
        if (a := _only_value(base, key)) is not None and (b := _only_value(head, key)) is not None and a != b
    )
    notes = []
    if compared:
        told = [f"{key}: {_value(base, key)} → {_value(head, key)}" for key in compared[:MOST_KEYS_TOLD]]
        more = f", and {len(compared) - MOST_KEYS_TOLD} more" if len(compared) > MOST_KEYS_TOLD else ""
        notes.append(f"the two sides differ in {', '.join(told)}{more}")
    sides: list[dict[tuple[str, str], list[Result]]] = []
    for results in (base, head):
        cells: dict[tuple[str, str], list[Result]] = defaultdict(list)
        for result in results:
            kept = {key: value for key, value in result.config.items() if key not in compared}
            cells[result.measure, canonical_json(kept)].append(result)
        sides.append(cells)
    names = _names([*sides[0].values(), *sides[1].values()], compared)
    groups = [
        MatchedCell(names[key], key[0], sides[0].get(key, []), results)
        for key, results in sides[1].items()
    ]  # fmt: skip
    if lost := sorted(names[key] for key in sides[0].keys() - sides[1].keys()):
        notes.append(f"only the base has {', '.join(lost)}")
    return groups, notes


def cases_of(
    group: MatchedCell, limits: Limits, more: Sequence[Quantity] = (), any_machine: bool = False
) -> list[Case]:
    """What can be judged of a cell: each quantity that all its results have, `more` beside those of its measure.

    If the sides were measured in turns, neighbouring times and memory values form pairs; accuracies are paired by seed.
    Of several hosts each counts once, in all but accuracies that are paired.
    """
    base = [result for result in group.base if result.metrics is not None]
    head = [result for result in group.head if result.metrics is not None]
    in_turns, by_start = alternate(group.base, group.head), _differ_in_start(base, head)
    by_host = count_by_host(base, head, any_machine)
    found = []
    for quantity in (*QUANTITIES.get(group.measure, ()), *more):
        a, b = _values(base, quantity), _values(head, quantity)
        if a is None or b is None:
            continue
        if quantity.scale == "difference" and (pairs := _of_equal_seeds(base, a, head, b)):
            found.append(Case(limits.of(quantity), *pairs, paired=True))
        elif by_host:
            found.append(case_of_hosts(limits.of(quantity), base, a, head, b))
        elif quantity.scale == "ratio" and by_start:
            found.append(Case(limits.of(quantity), _of_starts(base, a), _of_starts(head, b), paired=False))
        else:
            found.append(Case(limits.of(quantity), a, b, in_turns))
    return found


def _differ_in_start(base: Sequence[Result], head: Sequence[Result]) -> bool:
    """Whether several runs of one side share a start, whose effect could look like a difference between the sides."""
    sides = [Counter(result.start for result in side if result.start is not None) for side in (base, head)]
    return any(
        count > 1 and start not in other for side, other in (sides, sides[::-1]) for start, count in side.items()
    )


def _of_starts(results: Sequence[Result], values: Sequence[float]) -> list[float]:
    """One value for each start, the median of its runs, because runs of one start are not independent."""
    by_start: dict[object, list[float]] = defaultdict(list)
    for position, (result, value) in enumerate(zip(results, values, strict=True)):
        by_start[position if result.start is None else result.start].append(value)
    return [median(found) for found in by_start.values()]


def _starts_told(group: MatchedCell) -> str | None:
    """The remark if several runs count as one."""
    if not _differ_in_start(group.base, group.head):
        return None
    sides = (group.base, group.head)
    base, head = (f"{len(side)} runs of {len(_of_starts(side, [0.0] * len(side)))}" for side in sides)
    return (
        f"{group.label}: the base's are {base}, and head's {head} starts; runs forked off one process share its layout "
        "of memory, so that times and memory count once a start. `bench run` makes a start for each run, "
        "`bench regress` for each round"
    )


def _hosts_told(group: MatchedCell, any_machine: bool) -> str | None:
    """The remark if each host counts once."""
    base, head = ([result for result in side if result.metrics is not None] for side in (group.base, group.head))
    if _without_judgement(group, any_machine) is not None or not count_by_host(base, head, any_machine):
        return None
    for quantity in QUANTITIES.get(group.measure, ()):
        a, b = _values(base, quantity), _values(head, quantity)
        if a is not None and b is not None and quantity.scale == "ratio":
            return hosts_told(group.label, quantity, base, a, head, b)
    return None


def _values(results: Sequence[Result], quantity: Quantity) -> list[float] | None:
    """The value of each result; None if one of them has none."""
    values = [(result.metrics or {}).get(quantity.metric) for result in results]
    usable = [float(value) for value in values if _usable(value, quantity)]
    return usable if len(usable) == len(values) else None


def _of_equal_seeds(
    base: Sequence[Result], of_base: Sequence[float], head: Sequence[Result], of_head: Sequence[float]
) -> tuple[list[float], list[float]] | None:
    """A value for each seed that both sides have, the mean if a side has several; None for too few seeds."""
    sides: list[dict[int, float]] = []
    for results, values in ((base, of_base), (head, of_head)):
        by_seed: dict[int, list[float]] = defaultdict(list)
        for result, value in zip(results, values, strict=True):
            if result.seed is not None:
                by_seed[result.seed].append(value)
        sides.append({seed: fmean(found) for seed, found in by_seed.items()})
    common = [seed for seed in sides[0] if seed in sides[1]]
    if len(common) < LEAST_SEEDS:
        return None
    return [sides[0][seed] for seed in common], [sides[1][seed] for seed in common]


def missed(group: MatchedCell, false_alarms: float, among: Sequence[Quantity] | None = None) -> list[GateFinding]:
    """Findings about figures that some runs lack because they failed, such as the time to a target.

    They are sought `among` these quantities, by default all of the measure. Fisher's exact test (JRSS 98, 1935) decides
    whether head fails more often. The times of the successful runs are a biased selection and are not compared.
    """
    found = []
    for quantity in QUANTITIES.get(group.measure, ()) if among is None else among:
        sides = [[result.metrics for result in side if result.metrics] for side in (group.base, group.head)]
        have = [sum(_usable(metrics.get(quantity.metric), quantity) for metrics in side) for side in sides]
        counts = [len(side) for side in sides]
        if not quantity.missed or have == counts or not any(have):
            continue
        lack = [count - number for count, number in zip(counts, have, strict=True)]
        p = float(stats.fisher_exact([[have[0], lack[0]], [have[1], lack[1]]], alternative="greater").pvalue)
        told = f"{have[0]} of {counts[0]} runs of the base have it, and {have[1]} of {counts[1]} of head's"
        verdict = Verdict.BROKEN if p <= false_alarms else Verdict.UNSURE
        found.append(GateFinding(group.label, group.measure, None, verdict, f"{quantity.name}: {told}"))
    return found


def alternate(base: Sequence[Result], head: Sequence[Result]) -> bool:
    """Whether the two sides were measured in turns, so that values at the same position are neighbours in time."""
    if len(base) != len(head) or any(result.metrics is None for result in (*base, *head)):
        return False
    if any(not result.at for result in (*base, *head)):
        return False
    sides = [side for _, side in sorted([(r.at, 0) for r in base] + [(r.at, 1) for r in head])]
    return all(sides[i] != sides[i + 1] for i in range(0, len(sides), 2))


def _usable(value: object, quantity: Quantity) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and (value > 0 or quantity.scale == "difference")


def _without_judgement(group: MatchedCell, any_machine: bool) -> GateFinding | None:
    """Why there is nothing to judge; None if there is something."""
    if not group.base:
        return GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, "the base has no such cell")
    good_base = [result for result in group.base if result.metrics is not None]
    good_head = [result for result in group.head if result.metrics is not None]
    if not good_base:
        return GateFinding(
            group.label, group.measure, None, Verdict.NO_BASELINE, f"in the base it {group.base[-1].reason}"
        )
    if not good_head:
        return GateFinding(group.label, group.measure, None, Verdict.BROKEN, group.head[-1].reason)
    if not any_machine and (why := conditions.of_another_machine(good_base, good_head, (*group.base, *group.head))):
        reason = f"{why}; --any-machine compares all the same"
        return GateFinding(group.label, group.measure, None, Verdict.NO_BASELINE, reason)
    return None


def _only_value(results: Sequence[Result], key: str) -> str | None:
    values = {canonical_json(result.config.get(key)) for result in results}
    return values.pop() if len(values) == 1 else None


def _value(results: Sequence[Result], key: str) -> str:
    return show(results[0].config.get(key))


def _names(cells: Sequence[Sequence[Result]], compared: Sequence[str]) -> dict[tuple[str, str], str]:
    """A name for each cell: its label, and what distinguishes it from others with that label."""
    firsts = [cell[0] for cell in cells]
    names = {}
    for first in firsts:
        kept = {key: value for key, value in first.config.items() if key not in compared}
        alike = [one for one in firsts if (one.label, one.measure) == (first.label, first.measure)]
        keys = [key for key in kept if len({canonical_json(one.config.get(key)) for one in alike}) > 1]
        told = ", ".join(f"{key}={show(kept[key])}" for key in keys)
        names[first.measure, canonical_json(kept)] = f"{first.label} ({told})" if told else first.label
    return names
