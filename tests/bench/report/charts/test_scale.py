"""Ticks in the units that people use, and places between the ends."""

from __future__ import annotations

import math

import pytest

from bench.report.charts.scale import (
    MOST_TICKS,
    accuracies,
    duration_name,
    log_durations,
    log_numbers,
    number_name,
    scale_of,
    times,
    whole_numbers,
    years,
)


def labels(scale):
    return [label for _, label in scale.ticks]


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "0"), (2e-5, "20 µs"), (0.05, "50 ms"), (0.3, "300 ms"), (1.5, "1.5 s"), (10, "10 s"), (60, "1 min"),
        (70, "1 min 10 s"), (90, "1 min 30 s"), (72.4, "1 min 12.4 s"), (3600, "1 h"), (5400, "1 h 30 min"),
        (7200, "2 h"), (86400 * 1.5, "1 d 12 h"), (4 * 86400, "4 d"),
    ],
)  # fmt: skip
def test_durations_are_told_in_whole_units(seconds, name):
    assert duration_name(seconds) == name


def test_numbers_are_told_with_their_thousands():
    assert [number_name(value) for value in (0, 0.5, 950, 12_000, 3e6, 2e-5)] == [
        "0", "0.5", "950", "12,000", "3 M", "2e-05",
    ]  # fmt: skip


@pytest.mark.parametrize("most", [0.003, 0.7, 3, 9.7, 55, 70, 140, 600, 5000, 40_000, 300_000, 5e7])
def test_an_axis_of_seconds_has_a_few_round_ticks(most):
    scale = scale_of("train_s", [0.4 * most, most], from_zero=True)
    assert 2 <= len(scale.ticks) <= MOST_TICKS + 2
    assert labels(scale)[0] == "0"
    assert all(len(label) <= 12 and "." not in label.replace("1.5 s", "") for label in labels(scale))


def test_a_minute_and_a_sixth_is_not_a_decimal():
    shown = labels(scale_of("train_s", [70, 140]))
    assert shown == ["1 min 20 s", "1 min 40 s", "2 min", "2 min 20 s"]


def test_each_metric_has_its_unit():
    assert labels(scale_of("accuracy", [0.91, 0.95]))[0].endswith(" %")
    assert labels(scale_of("peak_bytes", [2**30, 3 * 2**30]))[0].endswith(" GiB")
    assert labels(scale_of("latency_p50_ms", [1.0, 4.0]))[0].endswith(" ms")
    assert labels(scale_of("samples_per_s", [1000.0, 9000.0]))[0] == "2,000"


def test_an_accuracy_ends_at_a_hundred_percent():
    assert scale_of("accuracy", [0.5, 0.999]).most == 1.0


@pytest.mark.parametrize(
    "scale",
    [
        scale_of("train_s", [3.0, 17.0]), scale_of("loss", [0.2, 0.21]), scale_of("loss", [-1.0, 1.0]),
        log_durations([0.1, 500.0]), log_numbers([1e-7, 10.0]), accuracies([0.2, 0.97], [0.94]),
        years([2017.2, 2026.0]),
        whole_numbers([1.0, 15.0]), times([1.0, 1000.0]),
    ],
)  # fmt: skip
def test_places_grow_with_the_value_and_stay_inside(scale):
    ticks = [tick for tick, _ in scale.ticks]
    assert len(ticks) >= 2
    places = [scale.place(tick) for tick in ticks]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert (scale.place(scale.least), scale.place(scale.most)) == (0.0, 1.0)
    assert scale.place(-math.inf) == 0.0
    assert scale.place(math.inf) == 1.0


def test_equal_values_and_none_have_a_scale_too():
    for values in ([5.0, 5.0], [0.0], [], [math.nan, math.inf]):
        scale = scale_of("train_s", values)
        assert scale.least < scale.most


def test_a_logarithmic_scale_of_nothing_positive_has_no_ticks():
    for made in (log_numbers, log_durations):
        for values in ([], [0.0, -1.0], [math.nan, math.inf]):
            scale = made(values)
            assert (scale.ticks, scale.kind) == ((), "log")
            assert scale.place(0.0) == 0.0
    assert labels(log_numbers([0.0, 0.01, 1.0])) == ["1e-02", "1e-01", "1e+00"]


def test_a_wide_range_of_times_is_logarithmic():
    assert times([1.0, 20.0]).kind == "linear"
    assert times([1.0, 2000.0]).kind == "log"
    assert "1 min" in labels(times([1.0, 2000.0]))


def test_accuracies_spread_the_last_points():
    scale = accuracies([0.5, 0.98])
    assert scale.place(0.98) - scale.place(0.96) > 2 * (scale.place(0.52) - scale.place(0.5))


def test_low_accuracies_have_a_linear_scale():
    assert accuracies([0.3, 0.6], [0.9]).kind == "linear"
    assert accuracies([0.3, 0.9]).kind == "error"


def test_the_usual_target_has_its_tick():
    assert "94 %" in labels(accuracies([0.5, 0.96], [0.94]))
    assert "94 %" not in labels(accuracies([0.5, 0.96], [0.95]))


def test_counts_have_no_fractions():
    assert labels(whole_numbers([1.0, 2.0])) == ["1", "2"]
