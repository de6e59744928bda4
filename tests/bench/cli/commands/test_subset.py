"""A quick try on a part of a published set: recorded as another data set, and on no leaderboard."""

from __future__ import annotations

from bench.runs.store import Store


def test_a_part_is_trained_and_recorded_and_is_on_no_board(tmp_path, bench):
    part = ["--set", "data={name: digits, train_count: 300}", "--set", "epochs=1", "--set", "target_accuracy=0.01"]
    ran = bench("run", "digits", *part, "--device", "cpu")
    assert ran.code == 0, ran.err
    assert "Note: a part of digits is another data set, whose runs are on no leaderboard" in ran.out
    (run,) = Store(tmp_path / "results" / "runs" / "runs.jsonl").read()
    assert (run.status, run.data["name"], run.data["official"]) == ("ok", "digits-first-300-360", False)
    boards = bench("leaderboard").out
    assert "digits" not in boards
    assert "On no board: 1 of the cells here" in boards
