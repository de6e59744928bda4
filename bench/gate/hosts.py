"""Comparisons of runs from several hosts, in which each host counts once.

Runs of one host have much in common, so that many of them on few hosts show little of how hosts differ. If both sides
ran on the same hosts, these are pairs, and the differences between hosts cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

from bench.errors import UsageError
from bench.gate.quantity import Quantity
from bench.gate.source import Result
from bench.gate.verdict import LEAST_SEEDS, Case
from bench.spec.host_choice import HostChoice
from bench.statistics.reading import Reading
from bench.statistics.shortage import shortage
from bench.text.units import counted

Values = dict[str | None, list[float]]
MOST_MACHINES_TOLD = 3


def count_by_host(base: Sequence[Result], head: Sequence[Result], any_machine: bool = False) -> bool:
    """Whether hosts and not runs are what is counted: the runs are known to come from several.

    With `any_machine`, a side of a single host is compared run by run, as with another machine.
    """
    sides = [{result.host for result in side if result.host is not None} for side in (base, head)]
    return len(sides[0] | sides[1]) > 1 and not (any_machine and min(map(len, sides)) < 2)


def case_of_hosts(
    quantity: Quantity, base: Sequence[Result], a: Sequence[float], head: Sequence[Result], b: Sequence[float]
) -> Case:
    """The case with one value a host: the median of its runs, of an accuracy the mean.

    The hosts are pairs if both sides have the same ones, or at least `LEAST_SEEDS` in common.
    """
    middle = median if quantity.scale == "ratio" else fmean
    of_base = {host: middle(values) for host, values in _by_host(base, a).items()}
    of_head = {host: middle(values) for host, values in _by_host(head, b).items()}
    if common := _paired_hosts(base, head):
        pairs = [of_base[host] for host in common], [of_head[host] for host in common]
        return Case(quantity, pairs[0], pairs[1], paired=True, by_host=True)
    return Case(quantity, list(of_base.values()), list(of_head.values()), paired=False, by_host=True)


def hosts_told(
    label: str,
    quantity: Quantity,
    base: Sequence[Result],
    a: Sequence[float],
    head: Sequence[Result],
    b: Sequence[float],
) -> str:
    """How the runs of a cell count, and whether hosts, seeds or runs are lacking."""
    counts = [f"{len(side)} of {counted(len({result.host for result in side}), 'host')}" for side in (base, head)]
    common = _paired_hosts(base, head)
    how = f"the {len(common)} that both sides have are compared one by one" if common else "each host counts once"
    told = f"{label}: runs of several hosts (the base's {counts[0]}, head's {counts[1]}): {how}"
    readings = _relative(quantity, base, a, head, b) if common else _logs(quantity, head, b)
    if len({reading.host for reading in readings}) < 2 or (found := shortage(readings)) is None:
        return told
    return f"{told}; by {quantity.name}, {found}"


def _paired_hosts(base: Sequence[Result], head: Sequence[Result]) -> list[str | None]:
    """The hosts to compare one by one; empty if the sides are to be compared as wholes."""
    sides = [list(dict.fromkeys(result.host for result in side)) for side in (base, head)]
    common = [host for host in sides[0] if host in sides[1]]
    is_same = set(sides[0]) == set(sides[1])
    return common if len(common) >= LEAST_SEEDS or (is_same and len(common) > 1) else []


def _by_host(results: Sequence[Result], values: Sequence[float]) -> Values:
    found: Values = {}
    for result, value in zip(results, values, strict=True):
        found.setdefault(result.host, []).append(value)
    return found


def _logs(quantity: Quantity, results: Sequence[Result], values: Sequence[float]) -> list[Reading]:
    """The values on the scale of the judgement."""
    scale = math.log if quantity.scale == "ratio" else float
    return [Reading(scale(value), one.host, one.seed or 0) for one, value in zip(results, values, strict=True)]


def _relative(
    quantity: Quantity, base: Sequence[Result], a: Sequence[float], head: Sequence[Result], b: Sequence[float]
) -> list[Reading]:
    """The values of head's runs above the mean of the base on the same host, on the scale of the judgement."""
    of_base = [one.value for one in _logs(quantity, base, a)]
    means = {host: fmean(values) for host, values in _by_host(base, of_base).items()}
    return [one._replace(value=one.value - means[one.host]) for one in _logs(quantity, head, b) if one.host in means]


def on_machine(results: Sequence[Result], choice: HostChoice, name: str) -> list[Result]:
    """The results of the pinned machine or host. Raises UsageError if there are none."""
    found = [result for result in results if choice.fits(result.machine)]
    if not found:
        known = dict.fromkeys(f"{result.machine.get('id')} on host {result.host}" for result in results)
        raise UsageError(
            f"--pin {choice.pin}: {name} has no run of this machine; its runs are of "
            f"{', '.join(list(known)[:MOST_MACHINES_TOLD])}"
        )
    return found


def on_common_hosts(base: Sequence[Result], head: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The results of the hosts that both sides have. Raises UsageError if there is none."""
    common = {result.host for result in base} & {result.host for result in head} - {None}
    sides = [[result for result in side if result.host in common] for side in (base, head)]
    if not all(sides):
        raise UsageError(
            "--same-machine: the two sides have no host in common; run one of them where the other ran, "
            "or leave out --same-machine"
        )
    return sides[0], sides[1]
