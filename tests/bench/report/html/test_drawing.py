"""Charts as files: both formats, both modes, and the ticks of the pages."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.errors import UsageError
from bench.report.charts.chart import (
    BarChart,
    ChartAxis,
    ChartSeries,
    Dot,
    DotChart,
    DotRow,
    PointLabel,
    ReferenceLine,
    XYChart,
)
from bench.report.charts.scale import accuracies, scale_of, times
from bench.report.html.drawing import draw_chart, draw_together

CURVES = XYChart(
    "a",
    "accuracy by time",
    "A line is a run.",
    ChartAxis("training time", times([10.0, 140.0])),
    ChartAxis("accuracy", accuracies([0.5, 0.97], [0.96])),
    (
        ChartSeries("width = 8 (n = 1)", (((10.0, 0.5), (70.0, 0.9), (140.0, 0.97)),), 0, "both"),
        ChartSeries("steps", (((10.0, 0.6), (70.0, 0.8)),), None, "steps", intervals=((70.0, 0.7, 0.9),)),
        ChartSeries("hollow", (((20.0, 0.7),),), 2, "dots", hollow=True),
    ),
    (ReferenceLine(0.96, "target 96.00 %"), ReferenceLine(70.0, "here", "x", 1)),
    (PointLabel((70.0, 0.9), "a name"),),
)
DOTS = DotChart(
    "b",
    "time by width",
    "The mean of n runs.",
    ChartAxis("time", scale_of("train_s", [10.0, 20.0])),
    (DotRow("8", (Dot(12.0, 11.0, 13.0, (11.5, 12.5), 0, "12.0 s, n = 2"),)), DotRow("16", (Dot(18.0),))),
    (("fp32", 0),),
)


@pytest.mark.parametrize("chart", [CURVES, DOTS], ids=["curves", "dots"])
def test_it_is_an_svg_of_both_modes_and_a_png(chart: XYChart | DotChart) -> None:
    plot = draw_chart(chart)
    ET.fromstring(plot.svg)
    assert "prefers-color-scheme:dark" in plot.svg
    assert "var(--c0)" in plot.svg
    assert plot.png.startswith(b"\x89PNG")


def test_its_words_are_those_of_the_page() -> None:
    svg = draw_chart(CURVES).svg
    for text in ("width = 8 (n = 1)", "target 96.00 %", "training time", "2 min", "95 %"):
        assert text in svg
    assert ".1666" not in svg
    assert "12.0 s, n = 2" in draw_chart(DOTS).svg


def test_other_charts_are_of_pages_alone() -> None:
    with pytest.raises(UsageError, match="bars is drawn by `bench report` alone"):
        draw_chart(BarChart("c", "where", "", (), ()))


def test_several_stand_in_one_picture() -> None:
    svg = draw_together([CURVES, CURVES, CURVES], "three", 2).svg
    ET.fromstring(svg)
    assert svg.count("accuracy by time") == 3
