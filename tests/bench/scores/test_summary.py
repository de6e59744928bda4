"""The best of a board, and why it has no rank."""

from __future__ import annotations

from msgspec.structs import replace

from bench.scores.leaderboard import boards
from bench.scores.summary import Summary, summarise
from tests.bench.competitors import cell, record


def summary(runs, rule="speedrun", records=()) -> Summary:
    (board,) = boards(runs, list(records), rule=rule)
    return summarise(board)


def test_the_best_of_others_and_ours_stand_beside_each_other():
    one = summary(cell(10.0, "ours"), records=[record("first", 5.0), record("second", 6.0)])
    assert (one.published.system, one.ours.system, one.ours.rank, one.reason) == ("first", "ours", 3, "")


def test_what_has_no_rank_has_one_reason():
    one = summary(cell(10.0, "ours", n=2))
    assert (one.ours.system, one.ours.rank) == ("ours", None)
    assert one.reason == "too few runs: 2 of at least 5; add --seeds"


def test_nothing_that_reached_the_target_and_nothing_at_all_are_told_apart():
    missed = summary(cell(5.0, "missed", final=0.9))
    assert (missed.ours, missed.reason) == (None, "no run here reached the target")
    assert summary([], records=[record("first", 5.0)]).reason == "no run here"


def test_what_somebody_declared_invalid_is_no_best():
    void = [replace(run, status="invalid", reason="declared invalid: busy") for run in cell(5.0, "void")]
    one = summary([*void, *cell(10.0, "ours")])
    assert (one.ours.system, [row.system for row in one.board.unranked]) == ("ours", ["void"])
    assert one.board.unranked[0].reasons[0].startswith("declared invalid: all its runs: seed 0, busy; seed 1")


def test_the_others_of_a_cell_count_without_it():
    first, *others = cell(10.0, "ours", n=6)
    one = summary([replace(first, status="invalid", reason="declared invalid: busy"), *others])
    assert (one.ours.rank, one.ours.n) == (1, 5)
    assert "declared invalid: 1 run, not in n: seed 0, busy" in one.ours.notes
