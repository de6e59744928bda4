"""How well FLOPs or parameters predict the time: rank correlations over the cells of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from bench.runs.run import FINISHED, Run
from bench.spec.sweep_plan import SweepPlan

# Fewer cells, or only two different values, give no ranking.
LEAST_CELLS = 5
LEAST_VALUES = 3
# The metrics of counted cost and of measured time, by measure.
FORWARD_FLOPS = "forward_flops_per_example"
ON_PAPER = (("FLOPs", FORWARD_FLOPS), ("parameters", "parameters"))
TOOK = {
    "throughput": ("time per example", "samples_per_s"),
    "time_to_accuracy": ("time per example", "samples_per_s"),
    "inference": ("latency", "latency_p50_ms"),
}


def predictors(plan: SweepPlan, measure: str) -> list[str]:
    """A line for FLOPs and one for parameters, if the sweep's cells differ in them."""
    if measure not in TOOK:
        return []
    what, metric = TOOK[measure]
    by_cell: dict[str, list[Run]] = {}
    for entry in plan.entries:
        if entry.run is not None and entry.run.status in FINISHED:
            by_cell.setdefault(entry.cell.id, []).append(entry.run)
    lines = []
    for name, on_paper in ON_PAPER:
        pairs = [
            (paper, took)
            for runs in by_cell.values()
            if (paper := _mean(runs, on_paper)) is not None and (took := _mean(runs, metric))
        ]
        costs = [paper for paper, _ in pairs]
        if len(pairs) >= LEAST_CELLS and len(set(costs)) >= LEAST_VALUES:
            lines.append(
                _line(name, what, costs, [1 / took if metric == "samples_per_s" else took for _, took in pairs])
            )
    return lines


def _line(name: str, what: str, costs: Sequence[float], times: Sequence[float]) -> str:
    from bench.statistics.estimates import rank_correlation

    found = rank_correlation(costs, times)
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{name} and {what}: rank correlation {found.value:.2f}{interval}, n = {found.n} cells"


def _mean(runs: Sequence[Run], metric: str) -> float | None:
    values = [float(value) for run in runs if (value := run.metrics.get(metric)) is not None]
    return sum(values) / len(values) if values else None
