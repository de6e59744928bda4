"""The figures, phases and memory of two sides as rows of text, with B against A."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from bench.report.charts.epochs import quality_name
from bench.report.charts.scale import is_share
from bench.report.terminal.diff_side import DiffSide
from bench.report.terminal.summary import AT_BATCH_SIZE, FIGURES, NEGLIGIBLE_S, SPANS, span_s, summarise
from bench.runs.readings import readings
from bench.runs.run import Run
from bench.scores.rules.timing import number
from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.reading import Reading
from bench.statistics.shift import means_of_pairs, means_of_two
from bench.statistics.two_sides import two_sides
from bench.text import units

Show = Callable[[float | None], str]
Read = Callable[[Run], float | None]
# A label, the figure of A and of B, B against A, its interval, and whether a difference is seen.
DiffRow = tuple[str, str, str, str, str, str]
# Half of what a 95 % interval leaves out.
TAIL = 0.025
RESULTS: tuple[tuple[str, str, Show], ...] = (
    ("accuracy", "accuracy", units.percent),
    ("training loss", "loss", units.number),
    ("time to the target", "time_to_target_s", units.duration),
    ("training time", "train_s", units.duration),
    ("total time", "total_s", units.duration),
    ("samples/s, training", "samples_per_s", units.rate),
    ("epochs", "epochs", units.number),
    *FIGURES,
    ("energy, training", "train_energy_j", units.energy),
)
MEMORY: tuple[tuple[str, str, Show], ...] = (
    ("peak memory, host", "peak_host_bytes", units.size),
    ("peak memory, device", "peak_device_bytes", units.size),
    ("activations", "activation_bytes", units.size),
    ("parameters", "parameters", units.count),
    ("forward FLOP/example", "forward_flops_per_example", units.count),
)


def parts(a: DiffSide, b: DiffSide) -> list[tuple[str, list[DiffRow]]]:
    """What is compared, with the title of each part; without those that neither side has."""
    found = (("Figures", _metrics(a, b, RESULTS)), ("Phases", _phases(a, b)), ("Memory", _metrics(a, b, MEMORY)))
    return [(title, rows) for title, rows in found if rows]


def compared(a: Sequence[Reading], b: Sequence[Reading], metric: str) -> tuple[str, str, str]:
    """B against A: the difference of accuracies in points, else the ratio; its interval; whether a difference is seen.

    The interval needs three of each, hosts if there are several and else runs. It is Welch's (Biometrika 34, 1947), or
    that of pairs where the same hosts ran both; for a ratio of the logarithms.
    """
    as_points = is_share(metric)
    every = {reading.value for reading in (*a, *b)}
    if len(every) == 1:
        return "equal", "", ""
    if not as_points and min(every) <= 0:
        return "", "", ""
    sides = two_sides(a, b)
    told = _points if as_points else _ratio
    of_a, of_b = fmean(sides.a), fmean(sides.b)
    value = f"{told(of_b - of_a)} points" if as_points else f"× {told(of_b / of_a)}"
    if min(len(sides.a), len(sides.b)) < LEAST_FOR_INTERVAL or len(set(sides.a)) == len(set(sides.b)) == 1:
        return value, "", ""
    first, second = (values if as_points else [math.log(one) for one in values] for values in (sides.a, sides.b))
    low, high = (means_of_pairs if sides.paired else means_of_two)(first, second, counted=as_points).interval(TAIL)
    seen = "yes" if low > 0 or high < 0 else "no"
    low, high = (low, high) if as_points else (math.exp(low), math.exp(high))
    return value, f"{told(low)} to {told(high)}", seen


def _metrics(a: DiffSide, b: DiffSide, shown: Sequence[tuple[str, str, Show]]) -> list[DiffRow]:
    sizes = sorted({name for run in (*a.runs, *b.runs) for name in run.metrics if name.startswith(AT_BATCH_SIZE)})
    more: list[tuple[str, str, Show]] = [(name.replace("_", " "), name, units.rate) for name in sizes]
    more += [(name.replace("_", " "), name, units.number) for side in (a, b) if (name := quality_name(side.first))]
    return [
        row
        for label, name, tell in dict.fromkeys([*shown, *(more if shown is RESULTS else [])])
        if (row := _row(label, name, (a, b), _metric(name), tell)) is not None
    ]


def _phases(a: DiffSide, b: DiffSide) -> list[DiffRow]:
    runs = (*a.finished, *b.finished)
    names = dict.fromkeys([*SPANS, *(span["name"] for run in runs for span in run.spans)])
    rows = [
        _row(name, "_s", (a, b), _span(name), units.duration)
        for name in names
        if any((span_s(run, name) or 0.0) > NEGLIGIBLE_S for run in runs)
    ]
    return [row for row in rows if row is not None]


def _row(label: str, name: str, sides: tuple[DiffSide, DiffSide], read: Read, tell: Show) -> DiffRow | None:
    """A figure of both sides, and B against A; None where neither has it."""
    numbers = [[read(run) for run in side.finished] for side in sides]
    first, second = (readings(side.finished, found) for side, found in zip(sides, numbers, strict=True))
    if not first and not second:
        return None
    against = compared(first, second, name) if first and second else ("", "", "")
    of_a, of_b = (summarise(found, tell, side.finished) for side, found in zip(sides, numbers, strict=True))
    return label, of_a, of_b, *against


def _metric(name: str) -> Read:
    return lambda run: number(run, name)


def _span(name: str) -> Read:
    return lambda run: span_s(run, name)


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if 0.1 <= ratio < 10 else f"{ratio:.3g}"
