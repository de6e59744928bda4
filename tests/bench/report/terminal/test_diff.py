"""Two cells side by side: what differs, and how sure that is."""

from __future__ import annotations

import io
import re

import pytest
from msgspec.structs import replace

from bench.report.terminal import diff_rows
from bench.report.terminal.diff import print_diff
from bench.report.terminal.diff_side import DiffSide
from bench.statistics.reading import Reading
from bench.text.console import LastingConsole
from tests.bench.competitors import run


def compared(first, second, metric):
    """Of runs of one host."""
    return diff_rows.compared(*([Reading(value, None, 0) for value in values] for values in (first, second)), metric)


def told(first, second):
    console = LastingConsole(file=io.StringIO(), width=120)
    print_diff(console, DiffSide("A", tuple(first)), DiffSide("B", tuple(second)))
    return console.file.getvalue()


def cell(width, epoch_s, n=3, **fields):
    config = {"model": {"name": "darknet", "width": width}}
    return [
        run(epoch_s * (1 + 0.01 * seed), seed=seed, cell=f"{width}" * 8, config=config, **fields) for seed in range(n)
    ]


class TestCompared:
    def test_a_ratio_has_an_interval_from_three_of_each(self):
        value, interval, differs = compared([10.0, 10.1, 9.9], [20.0, 20.3, 19.7], "train_s")
        assert (value, differs) == ("× 2.000", "yes")
        assert interval == "1.940 to 2.062"
        assert compared([10.0, 10.1], [20.0, 20.3], "train_s") == ("× 2.005", "", "")

    def test_noise_is_no_difference(self):
        assert compared([10.0, 11.0, 9.0], [10.5, 9.5, 10.0], "train_s")[2] == "no"

    def test_accuracies_differ_by_points(self):
        value, interval, differs = compared([0.9, 0.91, 0.92], [0.95, 0.96, 0.97], "accuracy")
        assert (value, differs) == ("+5.00 points", "yes")
        assert interval.startswith("+2.")

    def test_equal_values_are_equal_and_no_ratio_of_zero_is_told(self):
        assert compared([5.0, 5.0], [5.0], "peak_host_bytes") == ("equal", "", "")
        assert compared([0.0, 1.0], [1.0, 2.0], "loss") == ("", "", "")

    def test_numbers_that_do_not_vary_need_no_interval(self):
        assert compared([100.0] * 3, [101.0] * 3, "parameters") == ("× 1.010", "", "")


def test_settings_figures_phases_and_curves_stand_side_by_side():
    said = told(cell(8, 10.0), cell(16, 20.0))
    for words in (
        "model.width │ 8 │ 16",
        "seeds 0, 1, 2: 3 ok",
        "train",
        "× 2",
        "accuracy against training time",
        "target 96.00 %",
    ):
        assert words in " ".join(said.split()) or words in said, words
    assert "data.name" not in said
    assert "95 % interval" in said
    assert " yes " in said


def test_what_else_differs_is_said_and_two_machines_are_a_warning():
    there = [replace(one, machine=one.machine | {"id": "other", "cpu_model": "Another CPU"}) for one in cell(8, 10.0)]
    said = told(cell(8, 10.0), there)
    assert "No setting differs." in said
    assert "Also differs: machine: A CPU" in said
    assert "made on different machines" in said
    labelled = [replace(one, machine=one.machine | {"label": "lab A"}) for one in cell(8, 10.0)]
    assert "Also differs" not in told(cell(8, 10.0), labelled)


def test_few_runs_have_no_interval_and_it_says_so():
    said = told(cell(8, 10.0, n=1), cell(16, 20.0, n=2))
    assert "Fewer than 3 finished runs" in said
    assert " yes " not in said


def on(host, runs):
    return [replace(one, machine=one.machine | {"host": host}) for one in runs]


class TestHosts:
    # B takes twice as long on every host, and the slowest host four times as long as the quickest.
    SPEEDS = (("x", 1.0), ("y", 2.0), ("z", 4.0))

    def test_hosts_that_ran_both_are_pairs(self):
        a, b = (
            [one for host, speed in self.SPEEDS for one in on(host, cell(width, epoch_s * speed, n=4))]
            for width, epoch_s in ((8, 10.0), (16, 20.1))
        )
        b = [
            replace(one, metrics=one.metrics | {"train_s": one.metrics["train_s"] + place % 3})
            for place, one in enumerate(b)
        ]
        said = told(a, b)
        assert "A (n = 12 on 3 hosts)" in said
        assert "B against A is of the 3 that ran both, in pairs" in said
        (row,) = [line for line in said.splitlines() if line.startswith(("│ training time", "training time"))]
        assert row.rstrip("│ ").endswith("yes")

    def test_other_hosts_cannot_be_told_from_the_settings(self):
        said = told(on("x", cell(8, 10.0, n=6)), on("y", cell(16, 20.0, n=6)))
        assert "No host ran both" in said
        assert "Fewer than 3 hosts of each" in said
        assert " yes " not in said

    def test_a_host_counts_once_however_many_runs_it_has(self):
        readings = [
            [Reading(value, host, 0) for host, values in of.items() for value in values]
            for of in ({"x": [10.0] * 9, "y": [13.0]}, {"z": [11.5]})
        ]
        assert diff_rows.compared(*readings, "train_s") == ("× 1.000", "", "")


def test_runs_that_failed_have_no_figures():
    said = told(cell(8, 10.0), cell(16, 20.0, status="oom"))
    assert "B (n = 0)" in said
    assert "3 oom" in said


@pytest.mark.parametrize("width", [80, 120])
def test_the_intervals_are_there_at_every_width(width):
    console = LastingConsole(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_diff(console, DiffSide("A", tuple(cell(8, 700.0))), DiffSide("B", tuple(cell(16, 1400.0))))
    lines = console.file.getvalue().splitlines()
    (place,) = [place for place, line in enumerate(lines) if "training time" in line and "× 2.000" in line]
    assert re.search(r"1\.9\d\d to 2\.0\d\d", lines[place] + lines[place + 1])
    assert max(len(line) for line in lines if "│" in line) <= width
    assert any(line.startswith("Phases") for line in lines)
