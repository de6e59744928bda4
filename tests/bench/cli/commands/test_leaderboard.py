"""`bench leaderboard` and `bench report` as a user calls them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runs.store import Store
from tests.bench.cli.conftest import Answer
from tests.bench.competitors import cell


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with the runs of this machine, and one more cell that was published."""
    folder = tmp_path / "results"
    for place, runs in (("runs/runs.jsonl", cell(10.0, "ours")), ("published/old.jsonl", cell(20.0, "published"))):
        store = Store(folder / place)
        for run in runs:
            store.append(run)
    return folder


@pytest.fixture
def call(bench: Callable[..., Answer]) -> Callable[..., str]:
    """What a command that ends well prints."""

    def call(*arguments: object) -> str:
        answer = bench(*arguments)
        assert answer.code == 0, answer.err
        return answer.out

    return call


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_ranks_the_runs_here_with_those_published_and_the_records(call, results):
    found = rows(call("leaderboard", "--all", "--results", results, "--format", "csv"))
    coldstart = [row["system"] for row in found if (row["rule"], row["section"]) == ("coldstart", "ranked")]
    assert coldstart == ["ours", "published"]
    assert sum(row["kind"] == "record" and row["section"] == "ranked" for row in found) > 50


def test_begins_with_a_line_a_board_and_shows_boards_in_full_where_one_is_named(call, results):
    short = call("leaderboard", "--results", results)
    assert re.search(r"  coldstart .* 36\.0 s .*ours.* 98\.00 % +5  2026-11-20  1 of 2", short)
    assert "Not ranked, because" not in short
    assert "cifar10/train to 94 %\n" in short
    both = call("leaderboard", "--results", results, "--task", "digits/train")
    assert both.index("1 of 2") < both.index("digits/train to 96 %, by dawnbench")
    one = call("leaderboard", "--results", results, "--task", "digits/train", "--rule", "coldstart")
    assert one.startswith("digits/train to 96 %, by coldstart")
    for option in (["--all"], ["--limit", 3]):
        assert "cifar10/train to 94 %, by speedrun" in call("leaderboard", "--results", results, *option)


def test_the_short_form_is_a_table_a_file_and_a_page_too(call, results):
    found = rows(call("leaderboard", "--results", results, "-f", "csv"))
    (cold,) = [row for row in found if (row["task"], row["rule"]) == ("digits/train", "coldstart")]
    assert (cold["system"], cold["value"], cold["n"], cold["rank"], cold["ranked"]) == ("ours", "36.0", "5", "1", "2")
    assert len(found) == len({(row["task"], row["target_accuracy"], row["rule"]) for row in found})
    table = call("leaderboard", "--results", results, "-f", "markdown")
    linked = r"1\.99 s, \[hiverge .*\]\(https://.*\), Hiverge"
    assert re.search(rf"\| cifar10/train to 94 % \| speedrun \| {linked} \|", table)
    assert "none: no run here |" in table
    page = call("leaderboard", "--results", results, "-f", "html")
    assert page.index('href="#coldstart-digits-train-96"') < page.index('id="coldstart-digits-train-96"')


def test_files_take_the_place_of_the_results(call, results):
    found = rows(call("leaderboard", results / "published", "--results", results, "-f", "csv", "--rule", "coldstart"))
    assert [row["system"] for row in found if row["kind"] == "run"] == ["published"]


def test_task_rule_metric_and_price_choose(call, results):
    text = call(
        "leaderboard", "--results", results, "--task", "digits/train", "--rule", "mlperf", "--metric", "cost",
        "--price", 3600, "-f", "csv",
    )  # fmt: skip
    assert [(row["rule"], row["metric"], row["unit"]) for row in rows(text)] == [("mlperf", "cost", "USD")] * 2


def test_cells_on_no_board_are_counted(call, results):
    store = Store(results / "runs" / "runs.jsonl")
    assert "On no board" not in call("leaderboard", "--results", results)
    for run in cell(1.0, "timed only", measure="throughput"):
        store.append(run)
    assert "On no board: 1 of the cells here" in call("leaderboard", "--results", results)


def test_without_runs_the_records_are_ranked(call, tmp_path):
    text = call("leaderboard", "--results", tmp_path / "none", "--task", "cifar10/inference")
    assert "ResNet8" in text


@pytest.mark.parametrize(("format", "word"), [("markdown", "| task |"), ("html", "<!doctype html>"), ("csv", "rule,")])
def test_writes_to_a_file(call, results, tmp_path, format, word):
    out = tmp_path / "new" / "board"
    said = call("leaderboard", "--results", results, "--task", "digits/train", "-f", format, "--out", out)
    assert out.read_text(encoding="utf-8").startswith(word)
    assert str(out.name) in said


def test_the_terminal_form_goes_to_a_file_too(call, results, tmp_path):
    out = tmp_path / "new" / "board.txt"
    said = call("leaderboard", "--results", results, "--task", "digits/train", "--out", out)
    assert "digits/train to 96 %, by dawnbench" in out.read_text(encoding="utf-8")
    assert "board.txt: " in said


@pytest.mark.parametrize("format", ["terminal", "markdown", "html", "csv"])
def test_a_file_that_cannot_be_written_is_one_message(
    bench: Callable[..., Answer], results: Path, tmp_path: Path, format: str
) -> None:
    (tmp_path / "file").write_text("")
    answer = bench("leaderboard", "--results", results, "-f", format, "--out", tmp_path / "file" / "board")
    assert answer.code
    assert "cannot write" in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rule", "dawnbnch"], "did you mean 'dawnbench'"),
        (["--task", "digits/trian"], "did you mean 'digits/train'"),
        (["--task", "digits/train", "--metric", "latency"], "there is no leaderboard of digits/train, latency"),
        (["--price", "cheap"], "--price cheap"),
        (["--price", "p3.16xlarge-spot"], "p3.16xlarge-spot: is a spot price"),
        (["nowhere.jsonl"], "there are no results at nowhere.jsonl"),
    ],
)
def test_a_users_mistake_is_one_message(
    bench: Callable[..., Answer], results: Path, arguments: list[str], words: str
) -> None:
    answer = bench("leaderboard", "--results", results, *arguments)
    assert answer.code
    assert words in answer.err


def test_report_writes_a_folder_and_replaces_it(call, results, tmp_path):
    out = tmp_path / "report"
    for _ in range(2):
        assert "open" in call("report", "--results", results, "--out", out)
    assert {path.name for path in out.iterdir()} == {
        "index.html", "cells.html", "claims.html", "glossary.html", "style.css", "table.js", "boards", "cells",
    }  # fmt: skip
    assert len(list((out / "cells").iterdir())) == 2


def test_report_leaves_a_folder_of_something_else_alone(
    bench: Callable[..., Answer], results: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    answer = bench("report", "--results", results, "--out", tmp_path / "thesis")
    assert answer.code
    assert "there is something else already" in answer.err
    assert len(list((tmp_path / "thesis").iterdir())) == 1


def test_report_takes_no_other_site_for_an_older_report(
    bench: Callable[..., Answer], results: Path, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<h1>My home page</h1>")
    answer = bench("report", "--results", results, "--out", tmp_path)
    assert answer.code
    assert "there is something else already" in answer.err
    assert "My home page" in (tmp_path / "index.html").read_text()


def test_report_that_cannot_be_written_says_so(bench, results, tmp_path):
    (tmp_path / "file").write_text("")
    answer = bench("report", "--results", results, "--out", tmp_path / "file" / "report")
    assert answer.code
    assert "cannot write" in answer.err
