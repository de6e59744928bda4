"""Scaling with the number of devices: the share of its speed that a device keeps when several train together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.report.html.cells import CellPage
from bench.report.html.figure import MUTED, SERIES, Plot, axes, finish
from bench.runs.run import FINISHED
from bench.scores.scaling import efficiency, one_device_config
from bench.statistics.estimates import Estimate

MOST_LINES = 7


@dataclass(frozen=True)
class Line:
    """One network on one kind of machine; `points` are numbers of devices and efficiencies."""

    label: str
    points: tuple[tuple[int, Estimate], ...]


def scaling(cells: Sequence[CellPage]) -> list[Plot]:
    """One plot, if some cell ran on several devices and on one."""
    lines = lines_of(cells)
    if not lines:
        return []
    figure, (ax, *_) = axes(7.2, 3.6)
    ax.axhline(1.0, color=MUTED, lw=1, ls=(0, (4, 3)))
    for position, line in enumerate(lines[:MOST_LINES]):
        xs, values = [devices for devices, _ in line.points], [estimate.value for _, estimate in line.points]
        below = [
            estimate.value - (estimate.value if estimate.low is None else estimate.low) for _, estimate in line.points
        ]
        above = [
            (estimate.value if estimate.high is None else estimate.high) - estimate.value for _, estimate in line.points
        ]
        ns = "/".join(str(estimate.n) for _, estimate in line.points)
        ax.errorbar(
            [1, *xs], [1.0, *values], yerr=[[0, *below], [0, *above]], marker="o", markersize=5, capsize=3, lw=1.4,
            color=SERIES[position], label=f"{line.label} (n = {ns})",
        )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("devices")
    ax.legend(loc="lower left", fontsize=8)
    gone = f" {len(lines) - MOST_LINES} more are left out." if len(lines) > MOST_LINES else ""
    caption = (
        "Samples per second of n devices over n times those of one, with 95 % intervals; the dashed line is perfect. "
        f"Compared are runs of the same sweep and machine that differ in their devices alone.{gone}"
    )
    return [finish(figure, "scaling", "Scaling efficiency by devices", caption)]


def lines_of(cells: Sequence[CellPage]) -> list[Line]:
    """A line for each network of each sweep and machine that ran on one device and on more."""
    alike: dict[tuple[object, ...], list[CellPage]] = defaultdict(list)
    for cell in cells:
        first = cell.first
        key = (first.sweep, first.measure, first.machine.get("id"), one_device_config(first.config))
        alike[key].append(cell)
    found = []
    for together in alike.values():
        speeds: dict[int, list[float]] = defaultdict(list)
        for cell in together:
            speeds[int(cell.first.config.get("devices") or 1)] += _speeds(cell)
        several = sorted(devices for devices, values in speeds.items() if devices > 1 and values)
        if several and speeds[1]:
            points = tuple((devices, efficiency(speeds[devices], devices, speeds[1])) for devices in several)
            found.append(Line(together[0].first.recipe, points))
    return found


def _speeds(cell: CellPage) -> list[float]:
    """Samples per second of the completed runs."""
    done = [run.metrics.get("samples_per_s") for run in cell.runs if run.status in FINISHED]
    return [float(speed) for speed in done if speed]
