import io
import re
from pathlib import Path

import msgspec
import pytest

from bench.documents.document import Document
from bench.report.terminal.sweep import print_plan, print_summary
from bench.report.terminal.sweep_table import HEADLINES, headings
from bench.spec.matrix import Matrix, expand, load
from bench.spec.measures import MEASURES
from bench.text.console import LastingConsole
from tests.bench.report.terminal.sweeps import CELLS, MATRIX, planned, printed


def test_every_measure_has_its_headlines():
    assert set(HEADLINES) == set(MEASURES)


def test_the_summary_is_by_cell_over_the_seeds(console, a_run):
    runs = [a_run(CELLS[0], seed, accuracy=accuracy, total_s=2.0) for seed, accuracy in enumerate((0.4, 0.5, 0.6))]
    runs += [a_run(CELLS[1], 0, accuracy=0.7, total_s=2.0), a_run(CELLS[1], 1, "oom", accuracy=0.0)]
    made = planned(CELLS[:2], runs, seeds=3)
    print_summary(console, made, MATRIX.keys, "time_to_accuracy", Path("night"))
    said = printed(console)
    # Student's t for two degrees of freedom, times 0.1 / √3.
    assert re.search(r"│ 1 .* 3 ok .* 50.00 % ± 24.84 %", said), said
    assert re.search(r"│ 2 .* 1 ok, 1 oom .* 70.00 % ", said), said
    assert said.splitlines()[-1] == "4 ok, 1 oom, 1 still to run"


def test_contended_runs_are_marked(console, a_run):
    busy = {"wall_s": 9.0, "cores": 2, "threads": 2, "own_cpu_s": 9.0, "others_cpu_s": 9.0, "steal_s": 0.0}
    runs = [a_run(CELLS[0], seed, accuracy=0.5, contended=seed == 1) for seed in range(3)]
    runs[1] = msgspec.structs.replace(runs[1], spans=[{"name": "train", "start_s": 0, "end_s": 9, "host": busy}])
    print_summary(console, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy", Path("night"))
    said = printed(console)
    assert "3 ok (1 contended)" in said
    assert "contended: 1 of 3 runs: seed 1: other processes took 50% of the CPU time in train" in said


def test_runs_with_too_few_samples_are_marked_in_their_row(console, a_run):
    runs = [a_run(CELLS[0], seed, accuracy=0.5, timed_out=seed > 0) for seed in range(3)]
    print_summary(console, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy", Path("night"))
    assert "3 ok (2 cut short by the sampling's time-out)" in printed(console)


def test_two_runs_of_a_cell_are_listed(console, a_run):
    runs = [a_run(CELLS[0], seed, accuracy=accuracy, total_s=2.0) for seed, accuracy in enumerate((0.7917, 0.9499))]
    print_summary(console, planned(CELLS[:1], runs, seeds=2), MATRIX.keys, "time_to_accuracy", Path("night"))
    assert re.search(r"│ 1 .* 2 ok .* 79.17 %, 94.99 % ", said := printed(console)), said
    assert "±" not in said.replace("mean ±", "")


def test_a_table_in_a_log_is_as_wide_as_it_needs(a_run):
    narrow = LastingConsole(file=io.StringIO(), width=40)
    made = planned(CELLS[:1], [a_run(CELLS[0], seed, accuracy=0.1 * seed, total_s=1.0) for seed in range(3)], seeds=3)
    print_summary(narrow, made, MATRIX.keys, "time_to_accuracy", Path("night"))
    assert re.search(r"│ 1 +│ \{flip: random\} │ 3 ok │ 10.00 % ± 24.84 % │", printed(narrow))


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_narrow_terminal_loses_columns_and_folds_none(a_run, width):
    narrow = LastingConsole(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    runs = [a_run(CELLS[0], seed, accuracy=0.1 * seed, train_s=3.0 + seed, total_s=9.0 + seed) for seed in range(3)]
    print_summary(narrow, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy", Path("night"))
    said = printed(narrow)
    assert re.search(r"│ 1 +│ \{flip: random\} │ 3 ok │ 10.00 % ± 24.84 % │", said), said
    assert max(map(len, said.splitlines())) <= 100
    (gone,) = re.findall("Not shown for lack of width: (.*)", said)
    assert gone.split(", ") == {
        100: ["peak memory"], 80: ["total", "peak memory"], 60: ["training", "total", "peak memory"]
    }[width]  # fmt: skip


def test_a_failure_is_told_with_the_end_of_its_log_and_once_for_all_its_seeds(console, a_run):
    failed = {"status": "failed", "reason": "ValueError: no", "log": "logs/x.log", "log_tail": [*"abcde"]}
    runs = [a_run(CELLS[0], seed, accuracy=0.0) for seed in range(2)]
    runs = [msgspec.structs.replace(run, **failed) for run in runs]
    print_summary(console, planned(CELLS[:1], runs, seeds=3), MATRIX.keys, "time_to_accuracy", Path("night"))
    lines = printed(console).splitlines()
    at = lines.index("model.width=1, augment={flip: random}, seeds 0, 1: failed: ValueError: no")
    assert lines[at + 1 :] == ["    c", "    d", "    e", "    (night/logs/x.log)", "2 failed, 1 still to run"]


def test_a_refusal_is_told_by_its_reason_alone(console, a_run):
    skipped = {"status": "skipped", "reason": "no such data", "log": "logs/x.log", "log_tail": ["Traceback"]}
    runs = [msgspec.structs.replace(a_run(CELLS[0]), **skipped)]
    print_summary(console, planned(CELLS[:1], runs), MATRIX.keys, "time_to_accuracy", Path("night"))
    assert "skipped: no such data" in printed(console)
    assert "Traceback" not in printed(console)
    assert "logs/x.log" not in printed(console)


def test_headings_are_short_where_they_are_unique():
    assert headings(["model.width", "epochs", "optimizer.name", "model.name"]) == [
        "width", "epochs", "optimizer.name", "model.name",
    ]  # fmt: skip


def test_the_plan_says_why_cells_are_skipped(console):
    axes = {"devices": [1, 8], "batch_per": [None, "device"]}
    cells = expand(Matrix(Document(Path("m.yaml"), {"recipe": "digits", "axes": axes})), "cpu")
    print_plan(console, planned(cells), list(axes))
    said = printed(console)
    assert re.search(rf"{cells[0].id[:8]} │ 1 +│ null +│ +0 │ +1 │ +unknown", said), said
    assert re.search(rf"{cells[1].id[:8]} │ 8 +│ null +│ +0 │ skipped │", said), said
    reason = "skipped: needs 8 CPU cores, found 1"
    assert said.splitlines()[-1] == f"devices=8, batch_per=null; devices=8, batch_per=device: {reason}"


def test_the_plan_of_a_matrix_with_four_axes_fits_a_terminal():
    narrow = LastingConsole(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    matrix = load("digits")
    print_plan(narrow, planned(expand(matrix, "cpu"), seeds=2), matrix.keys)
    heads = re.findall(r"[a-z_]+(?: [a-z]+)?", printed(narrow).splitlines()[1])
    assert heads == ["cell", "inner_ratio", "kernel_sizes", "groups", "precision", "done", "to run"]
