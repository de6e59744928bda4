"""A line a board: what it holds in windows of several widths."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.cells import cell_len

from bench.report.terminal.board_summaries import MARKED, print_summaries, summaries_to_csv, summaries_to_markdown
from bench.runs.store import jsonl_files, read_all_runs
from bench.scores.leaderboard import Board, boards
from bench.scores.published import load_records
from bench.text.console import LastingConsole
from tests.bench.competitors import cell, record

PUBLISHED = Path(__file__).resolve().parents[4] / "results" / "published"


def shown(made: list[Board], width: int) -> list[str]:
    console = LastingConsole(width=width, record=True, file=io.StringIO(), force_terminal=True)
    print_summaries(console, made)
    return console.export_text().splitlines()


@pytest.fixture(scope="module")
def published() -> list[Board]:
    return boards(read_all_runs(jsonl_files([PUBLISHED])), load_records())


@pytest.mark.parametrize("width", [80, 140])
def test_what_is_published_takes_few_lines_that_fit(published: list[Board], width: int) -> None:
    lines = shown(published, width)
    # With what the command says below them, 40.
    assert len(lines) <= 36
    assert max(map(cell_len, lines)) <= width
    for board in published:
        assert sum(line.startswith(f"  {board.rule.name} ") for line in lines)


def test_at_80_columns_time_accuracy_n_and_date_are_there() -> None:
    lines = shown(boards(cell(10.0, "ours"), [record("first", 5.0)], rule="speedrun"), 80)
    assert any(
        line.split()
        == ["speedrun", "5.00", "s", "31.0", "s", "1.9", "%", "98.00", "%", "5", "2026-11-20", "2", "of", "2"]
        for line in lines
    )


def test_a_wide_terminal_has_names_and_the_interval() -> None:
    (line,) = [one for one in shown(boards(cell(10.0, "ours"), [], rule="coldstart"), 140) if "coldstart" in one]
    assert "36.0 s (35.4 s to 36.6 s)" in line
    assert "ours, A CPU" in line


def test_equal_reasons_of_several_boards_are_one_line() -> None:
    unchecked = {"name": "digits", "official": False, "fingerprint": "f"}
    lines = shown(boards(cell(10.0, "ours", data=unchecked), []), 100)
    told = [line for line in lines if "data not official" in line]
    assert told == ["a  3 boards: data not official: not checked against the publisher's files"]
    assert sum(line.endswith("none (a)") for line in lines) == 3


def test_runs_that_missed_are_marked() -> None:
    runs = cell(10.0, "ours")[:4] + cell(10.0, "ours", n=6, final=0.9)[5:]
    lines = shown(boards(runs, [], rule="coldstart"), 80)
    assert " 5*  " in "\n".join(lines)
    assert MARKED in lines


def test_a_name_is_no_markup_and_commands_nobody() -> None:
    made = boards(cell(10.0, "[red]\x1b[2J|x"), [], rule="coldstart")
    assert "\x1b[2J" not in "\n".join(shown(made, 140))
    assert r"\[red\]" in summaries_to_markdown(made)
    (row,) = csv.DictReader(io.StringIO(summaries_to_csv(made)))
    assert row["system"].startswith("[red]")


def test_margins_go_where_there_is_no_room_for_them_or_none_is_known() -> None:
    several = boards(cell(10.0, "ours"), [], rule="coldstart")
    assert "± 95 %" in "\n".join(shown(several, 80))
    assert "± 95 %" not in "\n".join(shown(several, 60))
    assert "± 95 %" not in "\n".join(shown(boards(cell(10.0, "ours", n=2), [], rule="coldstart"), 80))
