import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench.document import Document
from bench.matrix import Matrix, expand, schedule
from bench.measures import MEASURES
from bench.report.sweep import HEADLINES, PlainSweep, SweepProgress, headings, plan_table, print_summary
from bench.sweep import plan

WIDTHS = list(range(1, 41))
MATRIX = Matrix(
    Document(Path("mine.yaml"), {"recipe": "digits", "axes": {"model.width": WIDTHS, "augment": [{"flip": "random"}]}})
)
CELLS = expand(MATRIX, "cpu")


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=160, height=20)


@pytest.fixture
def a_run(make_run):
    def make(cell, seed=0, status="ok", **metrics):
        return make_run(cell=cell.id, seed=seed, status=status, metrics=metrics, machine={"id": "here"})

    return make


def planned(cells, runs=(), seeds=1):
    return plan(schedule(cells, range(seeds), "interleaved"), runs, machine_id="here", sources_sha256="")


def printed(console, what=None):
    if what is not None:
        console.print(what)
    return console.file.getvalue()


def test_every_measure_has_its_headlines():
    assert set(HEADLINES) == set(MEASURES)


def test_the_live_table_shows_the_runs_around_the_present_one(console, a_run):
    made = planned(CELLS, [a_run(cell, accuracy=0.5, total_s=3.0) for cell in CELLS[:29]])
    progress = SweepProgress("mine", made, MATRIX.keys, "time_to_accuracy")
    progress.begin(made.entries[29])
    progress.take(made.entries[29], {"kind": "phase", "name": "train", "spans": []})
    said = printed(console, progress)
    assert re.search(r"30 +│ \{flip: random\} +│ running +│ training", said), said
    assert re.search(r"29 .* ok .* 50.00 %", said), said
    assert re.search(r"31 .* to run", said), said
    assert "mine, run 1 of 11, 28 runs not shown" in said
    assert "left: 3" in said
    assert len(said.splitlines()) <= console.height


def test_plain_lines_tell_each_run(console, a_run):
    made = planned(CELLS[:2], seeds=2)
    progress = SweepProgress("mine", made, MATRIX.keys, "time_to_accuracy")
    with PlainSweep(console, progress) as view:
        for entry, status in zip(made.entries[:2], ("ok", "oom"), strict=True):
            view.begin(entry)
            view.take(entry, {"kind": "finishing"})
            made.ran(entry, a_run(entry.cell, status=status, accuracy=0.25, total_s=4.0))
            view.end(entry)
    lines = printed(console).splitlines()
    assert lines[0] == "mine, run 1 of 4: model.width=1, augment={flip: random}, seed 0"
    assert lines[1] == "stopping after this run; Ctrl-C again stops now"
    assert lines[2] == "mine, run 1 of 4: ok, accuracy 25.00 %, 4.00 s; left 12.0 s"
    # What was said once is not said again.
    assert lines[4] == "mine, run 2 of 4: oom, accuracy 25.00 %, 4.00 s; left 8.00 s"


def test_several_runs_at_once_are_all_shown_and_share_the_time_left(console, a_run):
    made = planned(CELLS[:8], [a_run(cell, accuracy=0.5, total_s=10.0) for cell in CELLS[:4]])
    for entry in made.entries:
        entry.expected_s = 10.0
    progress = SweepProgress("mine", made, MATRIX.keys, "time_to_accuracy", jobs=2)
    for entry, step in ((made.entries[4], 7), (made.entries[5], 9)):
        progress.begin(entry)
        progress.take(entry, {"kind": "phase", "name": "train", "spans": []})
        told = {"kind": "step", "epoch": 0, "step": step, "total_steps": 10, "examples": 1, "loss": None}
        progress.take(entry, told)
    said = printed(console, progress)
    assert "mine, run 2 of 4, 2 at once" in said
    assert re.search(r"5 .* running +│ training 7/10", said), said
    assert re.search(r"6 .* running +│ training 9/10", said), said
    assert 19 < progress.left_s <= 20
    progress.end(made.entries[4])
    assert "2 at once" not in progress.title


def test_the_note_on_several_runs_is_of_all_of_them(console):
    made = planned(CELLS[:3])
    with PlainSweep(console, SweepProgress("mine", made, MATRIX.keys, "time_to_accuracy", jobs=2)) as view:
        for entry in made.entries[:2]:
            view.begin(entry)
        for kind in ("finishing", "stopping"):
            for entry in made.entries[:2]:
                view.take(entry, {"kind": kind})
    assert printed(console).splitlines()[2:] == [
        "stopping after these runs; Ctrl-C again stops now",
        "stopping now; Ctrl-C again kills the workers",
    ]


def test_the_summary_is_by_cell_over_the_seeds(console, a_run):
    runs = [a_run(CELLS[0], seed, accuracy=accuracy, total_s=2.0) for seed, accuracy in enumerate((0.4, 0.5, 0.6))]
    runs += [a_run(CELLS[1], 0, accuracy=0.7, total_s=2.0), a_run(CELLS[1], 1, "oom", accuracy=0.0)]
    made = planned(CELLS[:2], runs, seeds=3)
    print_summary(console, made, MATRIX.keys, "time_to_accuracy")
    said = printed(console)
    # Student's t for two degrees of freedom, times 0.1 / √3.
    assert re.search(r"│ 1 .* 3 ok .* 50.00 % ± 24.84 %", said), said
    assert re.search(r"│ 2 .* 1 ok, 1 oom .* 70.00 % ", said), said
    assert said.splitlines()[-1] == "4 ok, 1 oom, 1 still to run"


def test_a_table_in_a_log_is_as_wide_as_it_needs(a_run):
    narrow = Console(file=io.StringIO(), width=40)
    made = planned(CELLS[:1], [a_run(CELLS[0], seed, accuracy=0.1 * seed, total_s=1.0) for seed in range(3)], seeds=3)
    print_summary(narrow, made, MATRIX.keys, "time_to_accuracy")
    assert re.search(r"│ 1 +│ \{flip: random\} │ 3 ok │ 10.00 % ± 24.84 % │", printed(narrow))


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_narrow_terminal_loses_columns_and_folds_none(a_run, width):
    narrow = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    runs = [a_run(CELLS[0], seed, accuracy=0.1 * seed, train_s=3.0 + seed, total_s=9.0 + seed) for seed in range(3)]
    print_summary(narrow, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy")
    said = printed(narrow)
    assert re.search(r"│ 1 +│ \{flip: random\} │ 3 ok │ 10.00 % ± 24.84 % │", said), said
    assert max(map(len, said.splitlines())) <= 100
    (gone,) = re.findall("Not shown for want of width: (.*)", said)
    assert gone.split(", ") == {
        100: ["peak memory"], 80: ["total", "peak memory"], 60: ["training", "total", "peak memory"]
    }[width]  # fmt: skip


def test_a_failure_is_told_with_the_end_of_its_log_and_once_for_all_its_seeds(console, a_run):
    failed = {"status": "failed", "reason": "ValueError: no", "log": "logs/x.log", "log_tail": [*"abcde"]}
    runs = [a_run(CELLS[0], seed, accuracy=0.0) for seed in range(2)]
    runs = [msgspec.structs.replace(run, **failed) for run in runs]
    print_summary(console, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy")
    lines = printed(console).splitlines()
    at = lines.index("model.width=1, augment={flip: random}, seeds 0, 1: failed: ValueError: no")
    assert lines[at + 1 :] == ["    c", "    d", "    e", "    (logs/x.log)", "2 failed, 1 still to run"]


def test_headings_are_short_where_they_are_unique():
    assert headings(["model.width", "epochs", "optimizer.name", "model.name"]) == [
        "width", "epochs", "optimizer.name", "model.name",
    ]  # fmt: skip


def test_the_plan_says_why_a_cell_is_skipped(console):
    cells = expand(Matrix(Document(Path("m.yaml"), {"recipe": "digits", "axes": {"devices": [1, 8]}})), "cpu")
    said = printed(console, plan_table(planned(cells), ["devices"]))
    assert re.search(rf"{cells[0].id} │ 1 +│ +0 │ +1 │ +unknown", said), said
    assert re.search(rf"{cells[1].id} │ 8 +│ +0 │ +0 │ +│ skipped: needs 8 CPU cores, found 1", said), said
