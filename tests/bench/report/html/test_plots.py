"""What the plots draw, chosen and averaged right."""

from __future__ import annotations

import pytest

from bench.report.html.cells import cells_of, featured
from bench.report.html.plots import draw
from bench.report.html.plots.heatmaps import grids_of
from bench.report.html.plots.history import year
from bench.report.html.plots.scaling import lines_of
from bench.report.html.plots.spans import mean_parts_s
from bench.report.html.plots.ticks import name
from bench.runs.run import Run
from bench.scores.leaderboard import boards
from bench.scores.published import load_records
from tests.bench.competitors import cell, run


def on_devices(devices: int, samples_per_s: float, seed: int) -> Run:
    config = {"devices": devices} if devices > 1 else {}
    metrics = {"samples_per_s": samples_per_s, "accuracy": 0.98}
    return run(seed=seed, cell=f"{devices}" * 16, sweep="devices", config=config, metrics=metrics)


class TestCells:
    def test_repeats_are_one_cell_and_the_newest_comes_first(self) -> None:
        cells = cells_of([*cell(10.0, "older", n=3), *cell(10.0, "newer", n=2)])
        assert [(one.label, len(one.runs), one.statuses) for one in cells] == [
            ("newer", 2, "2 ok"),
            ("older", 3, "3 ok"),
        ]

    def test_a_page_is_a_plain_file_name_whatever_a_record_says(self) -> None:
        runs = [run(cell=name) for name in ("../../etc/x", "..\\..\\etc\\x", "a" * 500, "", "<b>")]
        pages = [one.page for one in cells_of(runs)]
        assert len(set(pages)) == len(runs)
        assert all(page and not set(page) - set("abcdefghijklmnopqrstuvwxyz0123456789_-") for page in pages)
        assert all(len(page) < 100 for page in pages)

    def test_those_that_reached_the_target_are_drawn_first(self) -> None:
        cells = cells_of([*cell(1.0, "reached"), *cell(1.0, "missed", final=0.9)])
        assert [one.label for one in featured(cells, "digits/train", 1)] == ["reached"]


class TestSpans:
    def test_the_parts_are_together_the_whole_run(self) -> None:
        (one,) = cells_of(cell(10.0, "ours"))
        parts = mean_parts_s(one)
        assert parts["train"] == pytest.approx(30.0)
        assert parts["start and import"] == 2.0
        assert parts["evaluate"] == pytest.approx(3.0)
        assert sum(parts.values()) == pytest.approx(36.0)


class TestScaling:
    def test_efficiency_is_over_as_many_times_one_device(self) -> None:
        runs = [on_devices(1, 100.0, 0), on_devices(2, 160.0, 0), on_devices(4, 240.0, 0)]
        (line,) = lines_of(cells_of(runs))
        assert [(devices, estimate.value) for devices, estimate in line.points] == [(2, 0.8), (4, 0.6)]

    def test_needs_the_one_device_cell(self) -> None:
        assert lines_of(cells_of([on_devices(2, 160.0, 0), on_devices(4, 240.0, 0)])) == []

    def test_another_network_is_not_compared(self) -> None:
        other = on_devices(1, 100.0, 0)
        other = run(sweep="devices", cell="x", metrics=other.metrics, config={"batch_size": 7})
        assert lines_of(cells_of([other, on_devices(2, 160.0, 0)])) == []


class TestHeatmaps:
    def test_each_pair_of_axes_is_a_grid_of_means_over_the_rest(self) -> None:
        runs = [
            run(
                cell=f"{a}{b}{c}", sweep="s", config={"a": a, "b": b, "c": c}, metrics={"train_s": 100 * a + 10 * b + c}
            )
            for a in (1, 2)
            for b in (1, 2)
            for c in (1, 3)
        ]
        grids = {(grid.x_key, grid.y_key): grid for grid in grids_of(cells_of(runs), "train_s")}
        assert set(grids) == {("a", "b"), ("a", "c"), ("b", "c")}
        assert (grids["a", "b"].xs, grids["a", "b"].ys) == ((1, 2), (1, 2))
        assert grids["a", "b"].means == ((112.0, 212.0), (122.0, 222.0))

    def test_what_never_ran_is_a_hole(self) -> None:
        runs = [
            run(cell=f"{a}{b}", config={"a": a, "b": b}, metrics={"train_s": 1.0}) for a, b in ((1, 1), (2, 1), (1, 2))
        ]
        (grid,) = grids_of(cells_of(runs), "train_s")
        assert grid.means == ((1.0, 1.0), (1.0, None))


def test_a_date_without_a_day_is_the_middle_of_what_it_names() -> None:
    assert year("2024") == (2024.5, 0.5)
    assert year("2025-10") == (pytest.approx(2025 + 9.5 / 12), pytest.approx(0.5 / 12))
    assert year("2024-01-01") == (2024.0, 0.0)
    assert year("9999-01-01") == (9999.0, 0.0)  # the last year that dates have


def test_ticks_are_what_people_count_in() -> None:
    assert [name(seconds) for seconds in (0, 0.05, 10, 90, 7200, 4 * 86400)] == [
        "0",
        "50 ms",
        "10 s",
        "1.5 min",
        "2 h",
        "4 d",
    ]


def test_every_kind_of_plot_is_drawn_where_there_is_something_for_it() -> None:
    sweep = [
        run(cell=f"{width}{precision}", sweep="s", config={"width": width, "precision": precision})
        for width in (8, 16)
        for precision in ("fp32", "bf16")
    ]
    runs = [*cell(10.0, "ours"), *sweep, on_devices(1, 100.0, 0), on_devices(2, 160.0, 0)]
    records = load_records()
    chapters = dict(draw(cells_of(runs), [], records, boards(runs, records)))
    assert list(chapters) == [
        "Records since 2017",
        "Accuracy against time",
        "Where the time went",
        "Scaling by devices",
        "Matrices",
    ]
    names = [plot.name for plots in chapters.values() for plot in plots]
    assert len(set(names)) == len(names)
    assert draw([], [], [], []) == []
