"""Scaling with the number of devices: the share of its speed that a device keeps when several train together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.charts.chart import ChartAxis, ChartSeries, ReferenceLine, XYChart
from bench.report.charts.scale import scale_of, whole_numbers
from bench.report.html.cells import CellPage
from bench.runs.run import FINISHED
from bench.scores.scaling import efficiency, one_device_config
from bench.statistics.estimates import Estimate

MOST_LINES = 7


@dataclass(frozen=True)
class Line:
    """One network on one kind of machine; `points` are numbers of devices and efficiencies."""

    label: str
    points: tuple[tuple[int, Estimate], ...]


def scaling(cells: Sequence[CellPage]) -> list[XYChart]:
    """One chart, if some cell ran on several devices and on one."""
    lines = lines_of(cells)
    if not lines:
        return []
    drawn = lines[:MOST_LINES]
    gone = f" {len(lines) - MOST_LINES} more are left out." if len(lines) > MOST_LINES else ""
    caption = (
        "Samples per second of several devices over as many times those of one, with 95 % intervals; the dashed line "
        f"is perfect. Compared are runs of the same sweep and machine that differ in their devices alone.{gone}"
    )
    shares = [bound for line in drawn for _, found in line.points for bound in (found.value, found.low, found.high)]
    counts = [1.0, *(float(devices) for line in drawn for devices, _ in line.points)]
    return [
        XYChart(
            "scaling",
            "Scaling efficiency by devices",
            caption,
            ChartAxis("devices", whole_numbers(counts)),
            ChartAxis(
                "efficiency", scale_of("efficiency", [1.0, *(one for one in shares if one is not None)], from_zero=True)
            ),
            tuple(_series(line, position) for position, line in enumerate(drawn)),
            (ReferenceLine(1.0, "perfect"),),
        )
    ]


def _series(line: Line, colour: int) -> ChartSeries:
    ns = "/".join(str(found.n) for _, found in line.points)
    points = ((1.0, 1.0), *((float(devices), found.value) for devices, found in line.points))
    intervals = tuple(
        (float(devices), found.low, found.high)
        for devices, found in line.points
        if found.low is not None and found.high is not None
    )
    return ChartSeries(f"{line.label} (n = {ns})", (points,), colour, "both", intervals=intervals)


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
