"""Labels that do not touch each other, on a phone and on a wide page."""

from __future__ import annotations

import itertools

from bench.report.charts.chart import ChartAxis, PointLabel, XYChart
from bench.report.charts.placing import (
    PAGE_PX,
    PHONE_PX,
    TABLET_PX,
    Placed,
    _box,
    _touch,
    placed_labels,
    placed_references,
    placed_ticks,
)
from bench.report.charts.scale import log_durations, years


def test_ticks_that_fit_are_all_kept_and_others_wait_for_a_wider_page():
    short = placed_ticks([(share / 4, f"{share} s") for share in range(5)])
    assert [tick.everywhere for tick in short] == [True] * 5
    long = placed_ticks([(share / 7, f"1 min {share}0 s") for share in range(8)])
    kept = [tick.text for tick in long if tick.everywhere]
    assert 2 <= len(kept) < len(long) <= 8
    assert kept[0] == "1 min 00 s"


def chart_of(count: int) -> XYChart:
    labels = tuple(
        PointLabel((2017 + (7 * i % 10) + 0.1 * i, 2.0 + (37 * i) % 900), f"a system called {i}") for i in range(count)
    )
    return XYChart(
        "history",
        "",
        "",
        ChartAxis("year", years([2017.0, 2027.0])),
        ChartAxis("time", log_durations([1.0, 1000.0])),
        (),
        labels=labels,
    )


def test_no_two_names_touch_and_the_first_come_first():
    placed = placed_labels(chart_of(40))
    assert placed[0].text == "a system called 0"
    assert 3 <= len(placed) < 40
    for width in (PHONE_PX, TABLET_PX, PAGE_PX):
        shown = [one for one in placed if one.everywhere or width > PHONE_PX]
        boxes = [_box(one, width) for one in shown]
        assert not any(_touch(a, b) for a, b in itertools.combinations(boxes, 2))
        assert all(box[0] >= 0 and box[2] <= width for box in boxes)


def test_a_wide_page_has_more_names():
    placed = placed_labels(chart_of(40))
    assert sum(one.everywhere for one in placed) < len(placed)


def test_the_labels_of_lines_that_lie_close_are_told_once():
    targets = [Placed(f"target {y:.0%}", 0.0, y, True) for y in (0.94, 0.93, 0.8)]
    assert [one.text for one in placed_references(targets)] == ["target 94%", "target 80%"]
    rates = [Placed(f"suggested: {x}", x, 1.0, True) for x in (0.1, 0.2, 0.7)]
    assert [one.x for one in placed_references(rates)] == [0.1, 0.7]
