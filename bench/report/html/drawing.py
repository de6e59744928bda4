"""Charts as files: SVG and PNG, drawn by matplotlib with the scales and ticks of the pages."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.report.charts.chart import Chart, ChartAxis, ChartSeries, Dot, DotChart, ReferenceLine, XYChart
from bench.report.html.figure import MUTED, PAPER, SERIES, Plot, axes, finish, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN, HEIGHT_IN = 8.0, 4.4
# Of one of several charts in a picture.
SMALL_WIDTH_IN, SMALL_HEIGHT_IN = 5.6, 3.0
ROW_IN = 0.42
# A row's label, and a legend's, take at most so many letters of a line.
LABEL_CHARS = 40
LEGEND_CHARS = 70


def draw_chart(chart: Chart) -> Plot:
    """The chart as SVG and PNG. Raises `UsageError` for a kind of chart that is drawn on pages alone."""
    with style():
        if isinstance(chart, XYChart):
            return _draw_xy(chart)
        if isinstance(chart, DotChart):
            return _draw_dots(chart)
    raise UsageError(f"{chart.title}: {chart.kind} is drawn by `bench report` alone")


def draw_together(charts: Sequence[XYChart], title: str, columns: int) -> Plot:
    """Charts in one picture, row by row, each with its own legend."""
    rows = math.ceil(len(charts) / columns)
    with style():
        figure, places = axes(SMALL_WIDTH_IN * columns, SMALL_HEIGHT_IN * rows, rows, columns)
        for chart, ax in zip(charts, places, strict=False):
            _draw_lines(ax, chart)
            if any(one.label for one in chart.series):
                ax.legend(fontsize=7)
        for ax in places[len(charts) :]:
            ax.set_axis_off()
        return finish(figure, charts[0].name, title, "")


def _draw_xy(chart: XYChart) -> Plot:
    named = [one for one in chart.series if one.label]
    figure, (ax, *_) = axes(WIDTH_IN, HEIGHT_IN + 0.2 * len(named))
    _draw_lines(ax, chart)
    if named:
        figure.legend(loc="outside lower left", fontsize=8)
    return finish(figure, chart.name, chart.title, chart.caption)


def _draw_lines(ax: Axes, chart: XYChart) -> None:
    for one in chart.series:
        _draw_series(ax, chart, one)
    for line in chart.references:
        _draw_reference(ax, chart, line)
    for label in chart.labels:
        place = chart.x.scale.place(label.point[0]), chart.y.scale.place(label.point[1])
        ax.annotate(label.text, place, (5, 3), textcoords="offset points", fontsize=7, color=_colour(label.colour))
    _draw_axis(ax.xaxis, chart.x)
    _draw_axis(ax.yaxis, chart.y)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.set_title(chart.title)


def _draw_series(ax: Axes, chart: XYChart, series: ChartSeries) -> None:
    look: dict[str, Any] = {"color": _colour(series.colour), "alpha": 0.6 if series.faint else 1.0, "lw": 1.3}
    look |= {"drawstyle": "steps-post"} if series.drawn == "steps" else {}
    look |= {"ls": "none"} if series.drawn == "dots" else {}
    if series.has_dots:
        look |= {"marker": "o", "ms": 3.5, "mfc": PAPER if series.hollow else _colour(series.colour)}
    for number, line in enumerate(series.lines):
        xs, ys = [chart.x.scale.place(x) for x, _ in line], [chart.y.scale.place(y) for _, y in line]
        label = textwrap.shorten(series.label, LEGEND_CHARS, placeholder=" …") if number == 0 else ""
        ax.plot(xs, ys, label=label or None, **look)
    for x, low, high in series.intervals:
        ends = [chart.y.scale.place(low), chart.y.scale.place(high)]
        ax.plot([chart.x.scale.place(x)] * 2, ends, color=_colour(series.colour), lw=1.6)


def _draw_reference(ax: Axes, chart: XYChart, line: ReferenceLine) -> None:
    scale = (chart.x if line.along == "x" else chart.y).scale
    place = scale.place(line.value)
    look: dict[str, Any] = {"color": _colour(line.colour), "lw": 1.0, "ls": (0, (4, 3))}
    if line.along == "x":
        ax.axvline(place, **look)
        ax.annotate(line.label, (place, 1), (3, -2), textcoords="offset points", va="top", fontsize=7)
    else:
        ax.axhline(place, **look)
        ax.annotate(line.label, (0, place), (3, 2), textcoords="offset points", fontsize=7, color=MUTED)


def _draw_dots(chart: DotChart) -> Plot:
    lines = [(row, dot) for row in chart.rows for dot in row.dots]
    figure, (ax, *_) = axes(WIDTH_IN, 1.2 + ROW_IN * len(lines) + 0.2 * len(chart.legend))
    for position, (_, dot) in enumerate(lines):
        _draw_dot(ax, chart, position, dot)
        ax.text(1.01, position, dot.text, va="center", fontsize=8)
    labels = [
        textwrap.shorten(row.label, LABEL_CHARS, placeholder=" …") if dot is row.dots[0] else "" for row, dot in lines
    ]
    ax.set_yticks(range(len(lines)), labels)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    _draw_axis(ax.xaxis, chart.axis)
    ax.set_title(chart.title)
    for label, colour in chart.legend:
        ax.plot([], [], "o", color=_colour(colour), label=textwrap.shorten(label, LEGEND_CHARS, placeholder=" …"))
    if chart.legend:
        figure.legend(loc="outside lower left", fontsize=8)
    return finish(figure, chart.name, chart.title, chart.caption)


def _draw_dot(ax: Axes, chart: DotChart, position: int, dot: Dot) -> None:
    place = chart.axis.scale.place
    if dot.low is not None and dot.high is not None:
        ax.plot([place(dot.low), place(dot.high)], [position] * 2, color=_colour(dot.colour), lw=2.2)
    ax.plot([place(point) for point in dot.points], [position + 0.22] * len(dot.points), "o", color=MUTED, ms=2.5)
    ax.plot([place(dot.value)], [position], "o", color=_colour(dot.colour), ms=6)


def _draw_axis(axis: Any, chart_axis: ChartAxis) -> None:
    """The ticks of the scale; everything is drawn by its place from 0 to 1."""
    scale = chart_axis.scale
    axis.set_ticks([scale.place(tick) for tick, _ in scale.ticks], [label for _, label in scale.ticks])
    axis.set_label_text(chart_axis.title)


def _colour(number: int | None) -> str:
    return MUTED if number is None else SERIES[number % len(SERIES)]
