"""Charts in a terminal: a grid of characters for lines and dots, and rows for means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bench.report.charts.chart import ChartSeries, Dot, DotChart, Point, XYChart
from bench.report.charts.scale import Scale

SYMBOLS = "ox+*#@%&"
HEIGHT = 18
# Letters beside the drawn area that longer labels may take.
LABEL_CHARS = 24
LEAST_WIDTH = 20
STEPS = 200


def chart_lines(chart: XYChart | DotChart, width: int) -> list[str]:
    """The chart with its title, legend and caption, in lines of at most `width` characters where the words allow it."""
    drawn = _xy_lines(chart, width) if isinstance(chart, XYChart) else _dot_lines(chart, width)
    return [chart.title, "", *drawn, "", chart.caption]


def _xy_lines(chart: XYChart, width: int) -> list[str]:
    beside = max((len(label) for _, label in chart.y.scale.ticks), default=0)
    across = max(LEAST_WIDTH, width - beside - 2)
    grid = [[" "] * across for _ in range(HEIGHT)]
    for reference in chart.references:
        _draw_reference(grid, chart, reference.value, reference.along)
    named = [one for one in chart.series if one.label]
    for series in named:
        for x, low, high in series.intervals:
            for row in range(_row(chart.y.scale.place(high)), _row(chart.y.scale.place(low)) + 1):
                grid[row][_column(chart.x.scale.place(x), across)] = "|"
    for number, series in enumerate(named):
        for line in series.lines:
            _draw_line(grid, chart, line, series, SYMBOLS[number % len(SYMBOLS)])
    labels = {_row(chart.y.scale.place(tick)): label for tick, label in chart.y.scale.ticks}
    lines = [f"{labels.get(row, ''):>{beside}} │{''.join(cells)}".rstrip() for row, cells in enumerate(grid)]
    lines.append(" " * (beside + 1) + "└" + "─" * across)
    lines.append(" " * (beside + 2) + _tick_line(chart.x.scale, across))
    lines.append(f"{' ' * (beside + 2)}{chart.x.title}; {chart.y.title} upwards")
    lines += [f"  {SYMBOLS[number % len(SYMBOLS)]}  {one.label}" for number, one in enumerate(named)]
    return lines + [f"  ┄  {line.label}" for line in chart.references]


def _draw_line(grid: list[list[str]], chart: XYChart, line: Sequence[Point], series: ChartSeries, symbol: str) -> None:
    places = [(chart.x.scale.place(x), chart.y.scale.place(y)) for x, y in line]
    if series.drawn != "dots":
        for (x0, y0), (x1, y1) in pairwise(places):
            for step in range(STEPS + 1):
                share = step / STEPS
                _put(grid, x0 + share * (x1 - x0), y0 + share * (y1 - y0), "·", only_on=" ┄┊")
    for x, y in places:
        _put(grid, x, y, symbol)


def _draw_reference(grid: list[list[str]], chart: XYChart, value: float, along: str) -> None:
    if along == "x":
        for row in range(HEIGHT):
            grid[row][_column(chart.x.scale.place(value), len(grid[0]))] = "┊"
    else:
        grid[_row(chart.y.scale.place(value))] = ["┄"] * len(grid[0])


def _put(grid: list[list[str]], x: float, y: float, symbol: str, only_on: str = "") -> None:
    row, column = _row(y), _column(x, len(grid[0]))
    if not only_on or grid[row][column] in only_on:
        grid[row][column] = symbol


def _dot_lines(chart: DotChart, width: int) -> list[str]:
    beside = min(LABEL_CHARS, max(len(row.label) for row in chart.rows))
    after = max(len(dot.text) for row in chart.rows for dot in row.dots)
    across = max(LEAST_WIDTH, width - beside - after - 5)
    symbols = {colour: SYMBOLS[number % len(SYMBOLS)] for number, (_, colour) in enumerate(chart.legend)}
    lines = []
    for row in chart.rows:
        for number, dot in enumerate(row.dots):
            label = row.label[:beside] if number == 0 else ""
            drawn = _dot_line(chart, dot, across, symbols.get(dot.colour, "●"))
            lines.append(f"{label:>{beside}} │{drawn}│ {dot.text}".rstrip())
    lines.append(" " * (beside + 2) + _tick_line(chart.axis.scale, across))
    if chart.axis.title:
        lines.append(f"{' ' * (beside + 2)}{chart.axis.title}")
    return lines + [f"  {symbols[colour]}  {label}" for label, colour in chart.legend]


def _dot_line(chart: DotChart, dot: Dot, across: int, symbol: str) -> str:
    cells = [" "] * across
    for point in dot.points:
        cells[_column(chart.axis.scale.place(point), across)] = "·"
    if dot.low is not None and dot.high is not None:
        low, high = (_column(chart.axis.scale.place(end), across) for end in (dot.low, dot.high))
        cells[low : high + 1] = ["─"] * (high + 1 - low)
        cells[low], cells[high] = "├", "┤"
    cells[_column(chart.axis.scale.place(dot.value), across)] = symbol
    return "".join(cells)


def _tick_line(scale: Scale, across: int) -> str:
    """The labels below an axis, without those that would touch the one before."""
    line, end = [" "] * (across + LABEL_CHARS), -1
    for tick, label in scale.ticks:
        start = max(0, min(_column(scale.place(tick), across) - len(label) // 2, across - len(label)))
        if start > end:
            line[start : start + len(label)] = label
            end = start + len(label)
    return "".join(line).rstrip()


def _row(share: float) -> int:
    return round((HEIGHT - 1) * (1 - share))


def _column(share: float, across: int) -> int:
    return round((across - 1) * share)
