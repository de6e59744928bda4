"""The pages as files: links, escaping, bounds, and what a row says."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.report.html import pages, views
from bench.report.html.cells import cells_of
from bench.report.html.pages import single_page, site
from bench.report.html.views import commands
from bench.runs.run import Run
from bench.scores.leaderboard import boards
from tests.bench.competitors import cell, record, run
from tests.bench.report.html.conftest import EVIL

VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """What a page opens, and whether it closes it again."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def outline(path: Path) -> Outline:
    parser = Outline()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_every_page_is_well_formed_and_every_link_leads_somewhere(report: Path) -> None:
    found = sorted(report.rglob("*.html"))
    assert len(found) > 10
    outlines = {path: outline(path) for path in found}
    for path, page in outlines.items():
        assert (page.open, page.wrong) == ([], []), path
        assert len(set(page.ids)) == len(page.ids), path
        for link in page.links:
            if re.match(r"https?://", link) or link.startswith("data:"):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), f"{path}: {link}"
            if anchor:
                assert anchor in outlines[target].ids, f"{path}: {link}"


def test_names_that_are_markup_are_text(report: Path) -> None:
    told = [path for path in report.rglob("*.html") if "taken over" in path.read_text(encoding="utf-8")]
    assert len(told) >= 3
    for path in report.rglob("*.html"):
        assert not outline(path).handlers
        assert EVIL not in path.read_text(encoding="utf-8")


def test_a_board_says_the_whole_of_each_row(report: Path) -> None:
    text = (report / "boards" / "coldstart-digits-train-96.html").read_text(encoding="utf-8")
    for word in ("1=", "ours", "tied", "bench run digits --seeds 5", "git checkout 0000", "on this clock", "A CPU"):
        assert word in text
    assert "no run reached 96.00%: the best accuracy is 91.00%" in text


def test_the_page_of_a_cell_puts_the_rules_side_by_side(report: Path) -> None:
    (path,) = (report / "cells").glob("ours*.html")
    text = path.read_text(encoding="utf-8")
    for rule in ("dawnbench", "mlperf", "speedrun", "coldstart"):
        assert f"boards/{rule}-digits-train-96.html" in text
    for word in ("import", "evaluation.tta", "fingerprint", "20261120T", "sources_sha256"):
        assert word in text


def test_long_tables_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pages, views):
        monkeypatch.setattr(module, "MOST_ROWS", 3)
    runs = [one for i in range(6) for one in cell(10.0 + i, f"cell{i}", n=1)]
    files = site(runs, [])
    board = str(files["boards/coldstart-digits-train-96.html"])
    assert "3 more rows are in the CSV file alone" in board
    assert ("cell2" in board, "cell4" in board) == (True, False)
    assert str(files["boards/coldstart-digits-train-96.csv"]).count("\n") == 7
    assert "3 older cells are left out" in str(files["cells.html"])


def test_nothing_measured_is_a_report_too() -> None:
    files = site([], [])
    assert "Nothing to rank yet" in str(files["index.html"])


def test_a_figure_that_is_no_number_is_left_out() -> None:
    metrics = run().metrics | {"accuracy": math.nan, "train_s": math.inf, "energy_j": math.nan}
    files = site([run(metrics=metrics), *cell(10.0, "ours")], [])
    assert "98.00 %" in str(files["cells.html"])
    assert "nan" not in str(files["cells.html"])


def test_a_cell_is_of_the_task_of_a_run_that_got_as_far_as_its_data() -> None:
    held = {"name": "digits-held-out-100", "official": False, "fingerprint": "h"}
    (page,) = cells_of([run(status="crashed", data={}), run(seed=1, data=held)])
    assert page.task == "digits-held-out-100/train"


def test_boards_of_data_sets_in_other_scripts_have_a_file_each() -> None:
    own = {name: {"name": name, "official": True, "fingerprint": name} for name in ("花", "鳥")}
    files = site([*cell(10.0, "ours", data=own["花"]), *cell(20.0, "theirs", data=own["鳥"])], [])
    told = [str(files[name]) for name in files if re.fullmatch(r"boards/coldstart-.*\.csv", name)]
    assert sorted(("花" in text, "鳥" in text) for text in told) == [(False, True), (True, False)]
    ids = re.findall(r' id="([^"]+)"', str(files["index.html"]))
    assert len(set(ids)) == len(ids)


def test_a_single_page_holds_all_that_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "boards.html"
    path.write_text(single_page(boards(cell(10.0, "ours"), [record("record", 5.0)])), encoding="utf-8")
    page = outline(path)
    assert (page.open, page.wrong) == ([], [])
    assert not [link for link in page.links if not link.startswith(("#", "data:", "https://example.org/record"))]
    assert {"style", "script", "table"} <= page.tags
    assert "Words of this page" in path.read_text(encoding="utf-8")


def test_the_command_repeats_the_commit_only_where_it_was_the_whole_code() -> None:
    clean, changed = run(), run(code={"commit": "0" * 40, "dirty": True})
    assert commands([clean]) == [f"git checkout {'0' * 40}\nbench run digits --seeds 5"]
    assert commands([changed]) == ["bench run digits --seeds 5"]
    assert commands([run(command=""), run(code={"commit": "$(rm -rf)"})]) == ["bench run digits --seeds 5"]
    assert commands([run(), run()]) == commands([run()])


class TestOverview:
    def best(self, runs: list[Run], rule: str) -> str | None:
        board = next(board for board in boards(runs, []) if board.rule.name == rule)
        own = views.overview(views.board_view(board, {})).own
        return own.row.system if own else None

    def test_the_best_here_is_the_fastest_where_none_qualifies(self) -> None:
        runs = [*cell(20.0, "a slow one", n=2), *cell(10.0, "quick", n=2), *cell(5.0, "missed", n=2, final=0.9)]
        assert self.best(runs, "speedrun") == "quick"

    def test_what_qualifies_comes_before_what_is_faster_and_does_not(self) -> None:
        assert self.best([*cell(20.0, "proven"), *cell(10.0, "quick", n=2)], "speedrun") == "proven"

    def test_what_never_reached_the_target_is_no_best(self) -> None:
        assert self.best(cell(5.0, "missed", n=2, final=0.9), "coldstart") is None
