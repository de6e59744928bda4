"""What the plots draw, chosen and averaged right."""

from __future__ import annotations

import pytest

from bench.report.html.cells import cells_of, featured
from bench.report.html.plots import draw
from bench.report.html.plots.curves import curves
from bench.report.html.plots.history import history, year
from bench.report.html.plots.scaling import lines_of
from bench.report.html.plots.spans import mean_parts_s
from bench.report.html.plots.surfaces import surfaces
from bench.runs.run import Run
from bench.scores.leaderboard import boards
from bench.scores.published import load_records
from tests.bench.competitors import cell, record, run


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


def test_a_date_without_a_day_is_the_middle_of_what_it_names() -> None:
    assert year("2024") == 2024.5
    assert year("2025-10") == pytest.approx(2025 + 9.5 / 12)
    assert year("2024-01-01") == 2024.0
    assert year("9999-01-01") == 9999.0  # the last year that dates have


def test_every_kind_of_plot_is_drawn_where_there_is_something_for_it() -> None:
    sweep = [
        run(cell=f"{width}{precision}", sweep="s", config={"width": width, "precision": precision})
        for width in (8, 16)
        for precision in ("fp32", "bf16")
    ]
    runs = [*cell(10.0, "ours"), *sweep, on_devices(1, 100.0, 0), on_devices(2, 160.0, 0)]
    records = load_records()
    chapters = {heading: charts for heading, charts, _ in draw(cells_of(runs), [], records, boards(runs, records))}
    assert list(chapters) == [
        "Records since 2017",
        "Accuracy against time",
        "Where the time went",
        "Scaling by devices",
    ]
    names = [chart.name for charts in chapters.values() for chart in charts]
    assert len(set(names)) == len(names)
    assert draw([], [], [], []) == []


def test_the_best_run_here_stands_among_the_records_hollow_where_it_does_not_qualify() -> None:
    records = [record("old", 100.0, date="2020-01-01"), record("new", 50.0, date="2024-06-15")]
    runs = cell(1.0, "ours", n=2)
    (chart,) = history(records, boards(runs, records))
    assert [(one.label, one.drawn, one.hollow) for one in chart.series] == [
        ("speedrun", "dots", False),
        ("", "steps", False),
        ("best here, speedrun", "dots", True),
    ]
    assert chart.series[1].lines == (((2020.0, 100.0), (pytest.approx(2024.45, abs=0.01), 50.0)),)
    assert {label.text for label in chart.labels} == {"old", "new"}


def test_curves_say_n_and_the_target() -> None:
    (chart,) = curves(cells_of(cell(10.0, "ours", n=3)), [])
    assert [one.label for one in chart.series] == ["ours (n = 3)"]
    assert [len(line) for line in chart.series[0].lines] == [3, 3, 3]
    assert [line.label for line in chart.references] == ["target 96.00 %"]


def test_a_loss_surface_is_a_picture_a_cell_on_one_scale() -> None:
    def surface(cell_id: str, low: float) -> Run:
        grid = {"steps": [-1.0, 0.0, 1.0], "loss": [[3.0, 2.0, 3.0], [2.0, low, 2.0], [3.0, 2.0, 30.0]]}
        return run(cell=cell_id, measure="surface", sweep="s", config={"resolved": {"surface": grid}})

    plots = surfaces(cells_of([surface("a" * 16, 0.1), surface("b" * 16, 1.0)]))
    assert [plot.name for plot in plots] == ["surface-1", "surface-2"]
    assert all(plot.width < 500 for plot in plots)
