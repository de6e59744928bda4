"""What a chart shows, before anything is drawn: points and lines, dots with intervals, bars of parts, heat maps.

Colours are numbers of the palette; None is the muted one. Every chart has a title and a caption, which says what is
averaged, n and the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.report.charts.scale import Scale
from bench.statistics.estimates import Estimate

PALETTE_SIZE = 8
Point = tuple[float, float]


@dataclass(frozen=True)
class ChartAxis:
    title: str
    scale: Scale


@dataclass(frozen=True)
class ChartSeries:
    """Lines or dots of one colour with one label; `intervals` are x and both ends of y."""

    label: str
    lines: tuple[tuple[Point, ...], ...]
    colour: int | None = 0
    drawn: Literal["line", "dots", "steps", "both"] = "line"
    faint: bool = False
    hollow: bool = False
    intervals: tuple[tuple[float, float, float], ...] = ()

    @property
    def has_dots(self) -> bool:
        return self.drawn in ("dots", "both")


@dataclass(frozen=True)
class ReferenceLine:
    """A dashed line across the chart at a value of x or of y, such as a target."""

    value: float
    label: str
    along: Literal["x", "y"] = "y"
    colour: int | None = None


@dataclass(frozen=True)
class PointLabel:
    """A name beside a point."""

    point: Point
    text: str
    colour: int | None = None


@dataclass(frozen=True)
class XYChart:
    """Series against two axes. Labels that would touch others are left out, the last ones first."""

    name: str
    title: str
    caption: str
    x: ChartAxis
    y: ChartAxis
    series: tuple[ChartSeries, ...]
    references: tuple[ReferenceLine, ...] = ()
    labels: tuple[PointLabel, ...] = ()
    kind: Literal["xy"] = "xy"


@dataclass(frozen=True)
class Dot:
    """A value with its interval, which is empty where n allows none, and the single values that it was made of."""

    value: float
    low: float | None = None
    high: float | None = None
    points: tuple[float, ...] = ()
    colour: int | None = 0
    text: str = ""

    @classmethod
    def of(cls, estimate: Estimate, points: Sequence[float] = (), colour: int | None = 0, text: str = "") -> Dot:
        low, high = estimate.useful_ends or (None, None)
        return cls(estimate.value, low, high, tuple(points), colour, text)


@dataclass(frozen=True)
class DotRow:
    """A line of dots with its label; `mark` warns of something, `shaded` is a range behind the dots."""

    label: str
    dots: tuple[Dot, ...]
    mark: str = ""
    shaded: tuple[float, float] | None = None


@dataclass(frozen=True)
class DotChart:
    """Rows of dots with intervals on one scale; `legend` has the label and the colour of each group of dots."""

    name: str
    title: str
    caption: str
    axis: ChartAxis
    rows: tuple[DotRow, ...]
    legend: tuple[tuple[str, int | None], ...] = ()
    kind: Literal["dots"] = "dots"


@dataclass(frozen=True)
class BarRow:
    """Shares of a whole, in the order of the chart's parts; `text` says how much the whole is."""

    label: str
    shares: tuple[float, ...]
    text: str


@dataclass(frozen=True)
class BarChart:
    """Bars of equal length, each divided into the same `parts`."""

    name: str
    title: str
    caption: str
    parts: tuple[tuple[str, int], ...]
    rows: tuple[BarRow, ...]
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True)
class HeatCell:
    """A mean as text, with its interval and n; `level` is its place on the scale of colours, from 0 to 1."""

    text: str
    detail: str
    level: float


@dataclass(frozen=True)
class HeatMap:
    """A figure by the values of two keys; None where nothing was measured."""

    name: str
    title: str
    caption: str
    row_key: str
    column_key: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell | None, ...]], ...]
    ends: tuple[str, str] = field(default=("", ""))
    kind: Literal["heat"] = "heat"


Chart = XYChart | DotChart | BarChart | HeatMap
