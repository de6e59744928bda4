"""The drawn part of a chart on a page: shapes of an SVG that stretches with the page, and labels that do not.

The SVG's area is SIDE by SIDE units whatever its shape; strokes keep their width. Text stands outside of it, in HTML,
and so keeps its size on a phone and on a wide screen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.report.charts.chart import PALETTE_SIZE, ChartSeries, Dot, DotChart, Point, XYChart
from bench.report.charts.placing import Placed, is_last, placed_labels, placed_references, placed_ticks

SIDE = 1000
LABEL_LETTERS = 28
# The track between labels and figures on a tablet, in pixels.
TRACK_PX = 270
# What the templates call.
FILTERS = (
    "xy_view", "dot_shares", "dot_ticks", "shade", "colour_class", "label_letters", "text_letters", "anchor",
    "tick_class", "unbroken",
)  # fmt: skip


@dataclass(frozen=True)
class XYView:
    """What the template needs of a chart: `shapes` are safe markup, made of numbers and our own class names."""

    chart: XYChart
    shapes: Markup
    x_ticks: list[Placed]
    y_ticks: list[Placed]
    labels: list[Placed]
    references: list[Placed]

    @property
    def legend(self) -> list[ChartSeries]:
        return [one for one in self.chart.series if one.label]

    @property
    def y_letters(self) -> int:
        """The length of the longest label beside the area."""
        return max((len(tick.text) for tick in self.y_ticks), default=0)


def xy_view(chart: XYChart) -> XYView:
    x_ticks = placed_ticks([(chart.x.scale.place(tick), label) for tick, label in chart.x.scale.ticks])
    y_ticks = [Placed(label, 0.0, chart.y.scale.place(tick), True) for tick, label in chart.y.scale.ticks]
    references = [
        Placed(line.label, chart.x.scale.place(line.value), 1.0, True, colour=line.colour)
        if line.along == "x"
        else Placed(line.label, 0.0, chart.y.scale.place(line.value), True, colour=line.colour)
        for line in chart.references
    ]
    shapes = [_path(f"M{tick.x * SIDE:.1f} 0V{SIDE}", "grid") for tick in x_ticks]
    shapes += [_path(f"M0 {(1 - tick.y) * SIDE:.1f}H{SIDE}", "grid") for tick in y_ticks]
    for line, place in zip(chart.references, references, strict=True):
        across = f"M{place.x * SIDE:.1f} 0V{SIDE}" if line.along == "x" else f"M0 {(1 - place.y) * SIDE:.1f}H{SIDE}"
        shapes.append(_path(across, f"reference {colour_class(line.colour)}"))
    for one in chart.series:
        shapes += _series(chart, one)
    return XYView(chart, Markup("".join(shapes)), x_ticks, y_ticks, placed_labels(chart), placed_references(references))


def dot_shares(chart: DotChart, dot: Dot) -> dict[str, float | list[float] | None]:
    """The places of a dot, of its interval and of its points, in percent of the scale."""
    place = chart.axis.scale.place
    low = None if dot.low is None or dot.high is None else place(dot.low)
    width = None if low is None or dot.high is None else place(dot.high) - low
    return {
        "at": 100 * place(dot.value),
        "low": None if low is None else 100 * low,
        "width": None if width is None else 100 * width,
        "points": [100 * place(point) for point in dot.points],
    }


def shade(chart: DotChart, ends: tuple[float, float]) -> tuple[float, float]:
    """The left end and the width of a shaded range, in percent of the scale."""
    low, high = (100 * chart.axis.scale.place(end) for end in ends)
    return low, high - low


def dot_ticks(chart: DotChart) -> list[Placed]:
    return placed_ticks([(chart.axis.scale.place(tick), label) for tick, label in chart.axis.scale.ticks], TRACK_PX)


def tick_class(tick: Placed) -> str:
    """The classes of a label of a horizontal axis."""
    return f"tick x{'' if tick.everywhere else ' roomy'}{' last' if is_last(tick.x, tick.text) else ''}"


def anchor(name: str) -> str:
    """A name that can stand in an address."""
    return re.sub(r"[^\w-]+", "-", name)


def colour_class(number: int | None) -> str:
    """The class of the palette's colour, in the style sheet."""
    return "muted" if number is None else f"c{number % PALETTE_SIZE}"


def _series(chart: XYChart, series: ChartSeries) -> list[str]:
    colour = colour_class(series.colour) + (" faint" if series.faint else "")
    shapes = [
        _path(f"{_at(chart, (x, low))}V{_down(chart, high)}", f"interval {colour}") for x, low, high in series.intervals
    ]
    if series.drawn != "dots":
        steps = series.drawn == "steps"
        shapes += [_path(_line(chart, line, steps), f"line {colour}") for line in series.lines if line]
    if series.has_dots:
        dots = "".join(f"{_at(chart, point)}h0" for line in series.lines for point in line)
        shapes.append(_path(dots, f"dot {colour}"))
        if series.hollow:
            shapes.append(_path(dots, "hole"))
    return shapes


def _line(chart: XYChart, line: Sequence[Point], steps: bool) -> str:
    first, *rest = line
    if steps:
        return _at(chart, first) + "".join(f"H{_across(chart, x)}V{_down(chart, y)}" for x, y in rest)
    return _at(chart, first) + "".join(f"L{_across(chart, x)} {_down(chart, y)}" for x, y in rest)


def _at(chart: XYChart, point: Point) -> str:
    return f"M{_across(chart, point[0])} {_down(chart, point[1])}"


def _across(chart: XYChart, x: float) -> str:
    return f"{SIDE * chart.x.scale.place(x):.1f}"


def _down(chart: XYChart, y: float) -> str:
    return f"{SIDE * (1 - chart.y.scale.place(y)):.1f}"


def _path(drawn: str, names: str) -> str:
    return f'<path d="{drawn}" class="{names}"/>'


def label_letters(chart: DotChart) -> int:
    """The width of the column of labels, at most LABEL_LETTERS; longer ones fold."""
    return min(LABEL_LETTERS, max([len(chart.axis.title), *(len(row.label) for row in chart.rows)]) + 1)


def text_letters(chart: DotChart) -> int:
    """The width of the column of figures."""
    return max((len(dot.text) for row in chart.rows for dot in row.dots), default=0) + 1


def unbroken(text: str) -> str:
    """A figure that is folded before its margin, or after a comma, and not before a unit."""
    return text.replace(" ", "\u00a0").replace("\u00a0±", " ±").replace(",\u00a0", ", ")
