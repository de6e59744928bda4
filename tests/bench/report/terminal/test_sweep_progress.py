import re
from types import SimpleNamespace

from bench.report.terminal.sweep_progress import PlainSweep, SweepProgress
from tests.bench.report.terminal.sweeps import CELLS, MATRIX, planned, printed


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


def test_before_the_first_run_the_live_table_shows_what_is_to_come(console):
    said = printed(console, SweepProgress("mine", planned(CELLS), MATRIX.keys, "time_to_accuracy"))
    assert re.search(r"^│ 1 .* to run", said, re.MULTILINE), said
    assert "28 runs not shown" in said


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


def test_runs_that_wait_for_a_host_have_spent_nothing_yet(console, a_run, monkeypatch):
    now_s = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0])
    for module in ("sweep_progress", "progress"):
        monkeypatch.setattr(f"bench.report.terminal.{module}.time", clock)
    made = planned(CELLS[:4], [a_run(cell, total_s=100.0) for cell in CELLS[:2]])
    for entry in made.entries:
        entry.expected_s = 100.0
    progress = SweepProgress("mine", made, MATRIX.keys, "time_to_accuracy")
    for entry in made.entries[2:]:
        progress.begin(entry)
        progress.take(entry, {"kind": "phase", "name": "queued", "spans": []})
    now_s[0] += 150
    assert progress.left_s == 200
    progress.take(made.entries[2], {"kind": "phase", "name": "start", "spans": []})
    now_s[0] += 30
    assert (progress.left_s, progress.running[made.entries[2].key].elapsed_s) == (170, 30)
