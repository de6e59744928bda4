"""Pictures from queries: what is drawn for which columns."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.errors import UsageError
from bench.report.charts.chart import DotChart, XYChart
from bench.report.charts.query import chart_of
from bench.runs.frames import load
from bench.runs.store import Store
from tests.bench.competitors import crossed_sweep


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    store = Store(results / "runs" / "runs.jsonl")
    for run in crossed_sweep():
        store.append(run)
    return load(results=results)


def test_epochs_are_lines_with_the_target(frames):
    chart = chart_of(frames, frames.runs, "time", "accuracy", "model.width")
    assert isinstance(chart, XYChart)
    assert [one.label for one in chart.series] == ["model.width = 8 (n = 12)", "model.width = 16 (n = 11)"]
    assert [len(line) for line in chart.series[0].lines] == [3] * 12
    assert [line.label for line in chart.references] == ["target 96.00 %"]
    assert "Left out: 1 run that did not finish." in chart.caption
    assert "1 of 23 runs were contended" in chart.caption


def test_epochs_can_be_counted_too(frames):
    chart = chart_of(frames, frames.runs, "epoch", "accuracy")
    assert [point[0] for point in chart.series[0].lines[0]] == [1, 2, 3]
    assert [label for _, label in chart.x.scale.ticks] == ["1", "2", "3"]


def test_a_setting_with_numbers_has_means_with_intervals(frames):
    chart = chart_of(frames, frames.runs, "model.width", "train_s", "precision")
    assert isinstance(chart, XYChart)
    assert {one.label for one in chart.series} == {
        "precision = bf16 (n = 6 a dot)",
        "precision = fp32 (n = 5 to 6 a dot)",
    }
    bf16 = next(one for one in chart.series if "bf16" in one.label)
    assert bf16.lines[0] == ((8.0, pytest.approx(15.0)), (16.0, pytest.approx(13.5)))
    assert all(low < high for _, low, high in bf16.intervals)


def test_a_setting_with_names_has_a_row_each(frames):
    chart = chart_of(frames, frames.runs, "model.block", "accuracy", "precision")
    assert isinstance(chart, DotChart)
    assert [row.label for row in chart.rows] == ["deep", "wide"]
    assert [label for label, _ in chart.legend] == ["precision = bf16", "precision = fp32"]
    assert chart.rows[1].dots[0].text == "97.10 % ± 0.09 %, n = 6"
    assert len(chart.rows[1].dots[0].points) == 6


def test_two_metrics_are_a_dot_a_run(frames):
    chart = chart_of(frames, frames.runs, "train_s", "accuracy")
    assert len(chart.series[0].lines) == 23
    assert chart.series[0].drawn == "dots"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("tiem", "accuracy"), r"--x tiem: there is no such column \(did you mean 'time'\?\)"),
        (("time", "acuracy"), "did you mean 'accuracy'"),
        (("model.width", "model.block"), "--y model.block: holds no numbers"),
        (("model.widht", "accuracy"), "did you mean 'model.width'"),
        (("time", "accuracy", "run_id"), "--by run_id: has 23 different values"),
        (("time", "loss"), "--y loss: no number of that name"),
    ],
)
def test_a_mistake_names_the_remedy(frames, asked, words):
    with pytest.raises(UsageError, match=words):
        chart_of(frames, frames.runs, *asked)


def test_without_a_finished_run_there_is_nothing(frames):
    with pytest.raises(UsageError, match="nothing to draw"):
        chart_of(frames, frames.runs[frames.runs["status"] == "oom"], "time", "accuracy")


def test_two_runs_have_no_interval(frames):
    two = frames.runs[frames.runs["seed"] < 2]
    two = two[(two["config.precision"] == "bf16") & (two["config.model.block"] == "wide")]
    chart = chart_of(frames, two, "model.width", "train_s")
    assert [one.label for one in chart.series] == ["all runs (n = 2 a dot)"]
    assert chart.series[0].intervals == ()


def of_hosts(frames, *, machines=False):
    """The runs as if each seed had run on a host of its own, of which the last is twice as slow."""
    runs = frames.runs.copy()
    runs["machine.host"] = runs["seed"].map(lambda seed: f"host {seed}")
    runs["train_s"] = runs["train_s"] * runs["seed"].map(lambda seed: 2.0 if seed == 2 else 1.0)
    if machines:
        runs["machine.id"] = runs["machine.host"]
    return runs


@pytest.mark.parametrize("x", ["model.width", "model.block"])
def test_of_several_hosts_each_counts_once(frames, x):
    alike, of_three = (chart_of(frames, runs, x, "train_s") for runs in (frames.runs, of_hosts(frames)))
    assert "each host counts once" in of_three.caption
    assert "host" not in alike.caption

    def widths(chart):
        if isinstance(chart, XYChart):
            return [high - low for _, low, high in chart.series[0].intervals]
        return [dot.high - dot.low for row in chart.rows for dot in row.dots]

    assert len(widths(of_three)) == 2
    assert all(wide > 2 * narrow for wide, narrow in zip(widths(of_three), widths(alike), strict=True))


def test_runs_of_several_machines_are_a_warning_unless_they_are_drawn_apart(frames):
    runs = of_hosts(frames, machines=True)
    assert "The runs are of 3 machines" in chart_of(frames, runs, "model.width", "train_s").caption
    assert "machines" not in chart_of(frames, runs, "model.width", "train_s", "machine.id").caption


def test_runs_that_are_invalid_are_left_out_and_said(frames):
    runs = frames.runs.copy()
    runs.loc[runs["seed"] == 0, "status"] = "invalid"
    caption = chart_of(frames, runs, "model.width", "train_s").caption
    assert "Left out: 1 run that did not finish, 8 runs declared invalid." in caption


def test_runs_without_what_is_drawn_are_said(frames, tmp_path):
    """A run that is evaluated at its end alone has no accuracies by epoch."""
    store = Store(tmp_path / "runs" / "runs.jsonl")
    for run in crossed_sweep():
        at_end = [epoch | {"accuracy": None} for epoch in run.epochs] if run.seed == 0 else run.epochs
        store.append(replace(run, epochs=at_end))
    some = load(results=tmp_path)
    chart = chart_of(some, some.runs, "time", "accuracy")
    assert [one.label for one in chart.series] == ["all runs (n = 15)"]
    assert "Not drawn: 8 runs without accuracy by epoch." in chart.caption
    runs = some.runs.copy()
    runs.loc[runs["seed"] == 0, "accuracy"] = None
    for x, n in (("train_s", "15"), ("model.width", "7 to 8 a dot")):
        chart = chart_of(some, runs, x, "accuracy")
        assert [one.label for one in chart.series] == [f"all runs (n = {n})"]
        assert f"Not drawn: 8 runs without {x} or accuracy." in chart.caption
    assert "Not drawn" not in chart_of(frames, frames.runs, "time", "accuracy").caption


def test_settings_that_one_mean_mixes_are_said(frames):
    assert "Runs of one mean also differ in precision, model.block." in chart_of(
        frames, frames.runs, "model.width", "train_s"
    ).caption.replace("model.block, precision", "precision, model.block")
    by = chart_of(frames, frames.runs, "model.width", "train_s", "precision").caption
    assert "also differ in model.block." in by
    wide = frames.runs[frames.runs["config.model.block"] == "wide"]
    assert "also differ" not in chart_of(frames, wide, "precision", "train_s", "model.width").caption
