"""Charts in a terminal: lines, dots with intervals, and labels that do not touch."""

from __future__ import annotations

import re

from bench.report.charts.chart import ChartAxis, ChartSeries, Dot, DotChart, DotRow, ReferenceLine, XYChart
from bench.report.charts.scale import scale_of
from bench.report.terminal.chart import HEIGHT, chart_lines


def xy(*series: ChartSeries, references: tuple[ReferenceLine, ...] = ()) -> XYChart:
    time, share = scale_of("train_s", [0.0, 60.0], from_zero=True), scale_of("accuracy", [0.0, 1.0])
    return XYChart(
        "n", "the title", "the caption", ChartAxis("time", time), ChartAxis("share", share), series, references
    )


def test_a_line_rises_from_the_left_to_the_right_with_its_symbol_and_its_label():
    lines = chart_lines(xy(ChartSeries("width = 8", (((0.0, 0.0), (60.0, 1.0)),), 0, "both")), 80)
    rows = [line.partition("│")[2] for line in lines if "│" in line]
    assert len(rows) == HEIGHT
    (top, at_top), (bottom, at_bottom) = [(number, row.index("o")) for number, row in enumerate(rows) if "o" in row]
    assert top < bottom
    assert at_top > at_bottom
    assert sum("·" in row for row in rows) > HEIGHT / 2
    assert "  o  width = 8" in lines
    assert lines[0] == "the title"
    assert lines[-1] == "the caption"


def test_each_series_has_a_symbol_of_its_own_and_a_target_a_line_across():
    series = [ChartSeries(f"{n}", (((10.0 * n, 0.1),),), n, "dots") for n in range(1, 4)]
    text = "\n".join(chart_lines(xy(*series, references=(ReferenceLine(0.5, "target 50 %"),)), 80))
    assert all(symbol in text for symbol in "ox+")
    assert re.search("┄{40}", text)
    assert "  ┄  target 50 %" in text


def test_no_line_is_wider_than_the_terminal_and_ticks_stay_apart():
    lines = chart_lines(xy(ChartSeries("a", (((0.0, 0.0), (60.0, 1.0)),))), 60)
    assert max(map(len, lines)) <= 60
    (axis,) = [line for line in lines if re.fullmatch(r" *0( +\d+ s| +1 min)+", line)]
    assert "1 min" in axis


def test_a_mean_stands_in_its_interval_beside_its_text():
    chart = DotChart(
        "n", "time by width", "the caption", ChartAxis("time", scale_of("train_s", [0.0, 10.0])),
        (DotRow("8", (Dot(5.0, 3.0, 7.0, (1.0, 9.0), 0, "5.00 s, n = 3"),)), DotRow("sixteen", (Dot(9.0),))),
    )  # fmt: skip
    eight, sixteen = [line for line in chart_lines(chart, 80) if "│" in line]
    assert re.fullmatch(r"      8 │ +· +├─+●─+┤ +· +│ 5.00 s, n = 3", eight)
    assert sixteen.startswith("sixteen │")
    assert "├" not in sixteen


def test_the_intervals_of_means_are_drawn_behind_them():
    series = ChartSeries("a", (((0.0, 0.5), (60.0, 0.5)),), 0, "dots", intervals=((0.0, 0.2, 0.8),))
    rows = [line.partition("│")[2] for line in chart_lines(xy(series), 80) if "│" in line]
    column = [row[:1] for row in rows]
    assert column.count("|") > HEIGHT / 3
    assert column.count("o") == 1


def test_a_label_at_the_end_of_an_axis_stays_within_the_terminal():
    shares = scale_of("accuracy", [0.0, 1.0])
    chart = XYChart("n", "t", "c", ChartAxis("share", shares), ChartAxis("share", shares), (ChartSeries("a", ()),))
    assert max(map(len, chart_lines(chart, 50))) <= 50
