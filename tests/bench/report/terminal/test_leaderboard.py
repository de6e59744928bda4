"""Leaderboards as text: exactly what is written, and what a terminal shows."""

from __future__ import annotations

import csv
import io
import re

from bench.report.terminal.leaderboard import (
    CSV_COLUMNS,
    TIES,
    Footnotes,
    print_boards,
    show_figure,
    to_csv,
    to_markdown,
)
from bench.scores.leaderboard import Board, boards
from bench.statistics.estimates import Estimate
from bench.text.console import LastingConsole
from tests.bench.competitors import cell, record, run

MARKDOWN = """\
## digits/train to 96 %, by coldstart

time: everything, from the command to the last evaluation. \
Score: mean; where runs failed, the expected time until one succeeds.

|  | system | hardware | time | n | accuracy | date | notes |
| ---: | --- | --- | ---: | ---: | ---: | --- | --- |
| 1 | ours | A CPU / 16 GiB / 2 CPU | 36.0 s (35.4 s to 36.6 s) | 5 | 98.00 % | 2026-11-20 | 1 |

Not ranked, because they do not qualify:

|  | system | hardware | time | n | accuracy | date | why it has no rank |
| ---: | --- | --- | ---: | ---: | ---: | --- | --- |
| – | weak | A CPU / 16 GiB / 2 CPU | – | 2 (0 reached) | 91.00 % | 2026-11-20 | \
no run reached 96.00%: the best accuracy is 91.00% (1) |

Measured by other clocks, so not comparable; in parentheses the place that the number would have:

|  | system | hardware | time | n | accuracy | date | why it has no rank |
| ---: | --- | --- | ---: | ---: | ---: | --- | --- |
| (1) | [record](https://example.org/record), Some One | A100 | 5.00 s | 10 | 96.10 % | 2024-03-30 | \
other clock: training (2) |

1. 2 rows: no cost: price unknown; name one with --price
2. its note

"""


def few() -> list[Board]:
    runs = [*cell(10.0, "ours"), *cell(5.0, "weak", n=2, final=0.91)]
    return boards(runs, [record("record", 5.0, author="Some One", note="its note")], rule="coldstart")


class TestMarkdown:
    def test_has_a_table_a_section_and_the_footnotes_below(self) -> None:
        assert to_markdown(few()) == MARKDOWN + TIES + "\n"

    def test_is_a_table_whatever_names_hold(self) -> None:
        runs = cell(10.0, "a|b <script> `x` *y* [z](u)\nnew")
        text = to_markdown(boards(runs, [], rule="coldstart"))
        (line,) = [line for line in text.splitlines() if "script" in line]
        assert r"a\|b \<script\> \`x\` \*y\* \[z\](u) new" in line
        assert len(re.findall(r"(?<!\\)\|", line)) == 9

    def test_a_limit_keeps_our_own_rows(self) -> None:
        records = [record(f"record{i}", float(i + 1)) for i in range(5)]
        text = to_markdown(boards(cell(10.0, "ours"), records, rule="speedrun"), limit=2)
        assert "| [record1](" in text
        assert "record2" not in text
        assert "| ours |" in text
        assert "… and 3 more" in text


def test_contended_runs_are_marked_in_their_row() -> None:
    host = {"wall_s": 10.0, "cores": 2, "threads": 2, "own_cpu_s": 12.0, "others_cpu_s": 7.0, "steal_s": 0.0}
    runs = cell(10.0, "ours")
    for one in runs[:2]:
        one.metrics["contended"] = True
        next(span for span in one.spans if span["name"] == "train")["host"] = host
    text = to_markdown(boards(runs, [], rule="coldstart"))
    assert "| 5 (2 contended) |" in text
    assert "other processes took 37% of the CPU time in train" in text


class TestCsv:
    def test_has_bare_values_for_every_row_of_every_section(self) -> None:
        rows = list(csv.DictReader(io.StringIO(to_csv(few()))))
        assert tuple(rows[0]) == CSV_COLUMNS
        assert [(row["section"], row["rank"], row["standing"], row["system"]) for row in rows] == [
            ("ranked", "1", "", "ours"),
            ("unranked", "", "", "weak"),
            ("elsewhere", "", "1", "record"),
        ]
        assert float(rows[0]["value"]) == 36.0
        assert float(rows[0]["low"]) < 36.0 < float(rows[0]["high"])
        assert rows[0]["command"] == "bench run digits --seeds 5"
        assert rows[1]["reasons"] == "no run reached 96.00%: the best accuracy is 91.00%"
        assert (rows[2]["source"], rows[2]["value"], rows[2]["unit"]) == ("https://example.org/record", "5.0", "s")

    def test_no_name_is_a_formula(self) -> None:
        runs = cell(10.0, '=HYPERLINK("https://example.org";"our best")')
        (row,) = csv.DictReader(io.StringIO(to_csv(boards(runs, [], rule="coldstart"))))
        assert row["system"].startswith("'=HYPERLINK")


class TestTerminal:
    def shown(self, made: list[Board], width: int = 200, limit: int | None = None) -> str:
        console = LastingConsole(width=width, record=True, file=io.StringIO(), force_terminal=True)
        print_boards(console, made, limit)
        return console.export_text()

    def test_shows_each_section_and_the_notes(self) -> None:
        text = self.shown(few())
        assert "digits/train to 96 %, by coldstart" in text
        assert "Not ranked, because they do not qualify" in text
        assert re.search(r"1 2 rows: no cost: price unknown", text)
        assert TIES[:40] in text

    def test_ties_are_marked(self) -> None:
        text = self.shown(boards([*cell(10.0, "first"), *cell(10.01, "second")], [], rule="coldstart"))
        assert len(re.findall(r"│ 1= │", text)) == 2

    def test_the_first_ten_and_our_own(self) -> None:
        records = [record(f"record{i:02}", i + 1.0) for i in range(20)]
        made = boards(cell(30.0, "ours"), records, rule="speedrun")
        text = self.shown(made)
        assert "record09" in text
        assert "record10" not in text
        assert "ours" in text
        assert "… and 10 more; --limit 0 shows all" in text
        assert "record19" in self.shown(made, limit=0)

    def test_at_80_columns_time_accuracy_n_and_date_are_there(self) -> None:
        lines = self.shown(few(), width=80).splitlines()
        assert max(map(len, lines)) <= 80
        (row,) = [line for line in lines if "ours" in line]
        assert row.split() == ["1", "ours", "36.0", "s", "5", "98.00", "%", "2026-11-20", "1"]
        assert "35.4 s to 36.6 s" in "\n".join(lines)
        assert "0 reached" in "\n".join(lines)
        assert "Not shown for lack of width: hardware" in lines

    def test_reasons_that_begin_alike_are_one_note(self) -> None:
        runs = [one for n in (2, 3, 4) for one in cell(10.0 + n, f"cell{n}", n=n)]
        text = self.shown(boards(runs, [], rule="speedrun"))
        assert "3 rows: too few runs" in text
        assert "too few runs: 3 of at least 5" not in text

    def test_markup_in_a_name_is_text(self) -> None:
        assert "[red]x[/red]" in self.shown(boards([run(recipe="[red]x[/red]")], [], rule="coldstart"))

    def test_a_name_does_not_command_the_terminal(self) -> None:
        console = LastingConsole(width=200, file=io.StringIO())
        known = record("record", 5.0, note="\x1b]0;taken over\x07")
        print_boards(console, boards([run(recipe="\x1b[2J\nx")], [known], rule="coldstart"), None)
        assert isinstance(console.file, io.StringIO)
        assert not {"\x1b", "\x07"} & set(console.file.getvalue())


def test_footnotes_are_numbered_once_in_order() -> None:
    footnotes = Footnotes()
    assert [footnotes.refer(["b", "a"]), footnotes.refer(["a", "c"])] == ["1 2", "2 3"]


def test_an_interval_below_zero_is_cut_there_and_an_open_one_is_said() -> None:
    assert show_figure(Estimate(2.0, 2, "m", -1.0, 5.0), "time") == "2.00 s (0 ms to 5.00 s)"
    assert show_figure(Estimate(2.0, 2, "m", 1.0, float("inf")), "time") == "2.00 s (1.00 s to ∞)"
    assert show_figure(Estimate(0.5, 1, "m"), "cost") == "$0.5"


def test_of_two_runs_both_are_shown_and_no_interval():
    (board,) = boards(cell(10.0, "ours", n=2), [], rule="coldstart")
    assert show_figure(board.ranked[0].figures["time"], "time") == "36.0 s (35.8 s, 36.1 s)"


def test_runs_with_too_few_samples_are_marked_in_their_row():
    (board,) = boards(cell(10.0, "ours", metrics=run().metrics | {"timed_out": True}), [], rule="coldstart")
    assert "| 5 (5 cut short) |" in to_markdown([board])


def test_what_users_say_of_their_runs_is_told_in_full() -> None:
    runs = [one for name in ("a", "b") for one in cell(10.0, name, tags=[f"of {name}"], notes=[f"made for {name}"])]
    (board,) = boards(runs, [], rule="coldstart")
    notes = Footnotes(board.rows)
    for row in board.rows:
        notes.refer(row.notes)
    for name in ("a", "b"):
        assert {f"tags: of {name}", f"note: made for {name}"} <= notes.numbers.keys()
