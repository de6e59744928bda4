"""A user's journeys with annotations: invalidate, tag, note, find again, take along."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runs.store import Store
from tests import command
from tests.bench.cli.conftest import Answer
from tests.bench.competitors import cell


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for place, runs in (("runs/runs.jsonl", cell(10.0, "ours")), ("published/old.jsonl", cell(20.0, "old"))):
        store = Store(tmp_path / place)
        for run in runs:
            store.append(run)
    return tmp_path


@pytest.fixture
def call(bench: Callable[..., Answer], results: Path) -> Callable[..., str]:
    """What a command on these results prints where it ends well."""

    def call(*arguments: object) -> str:
        answer = bench(*arguments, "--results", results)
        assert answer.code == 0, answer.err
        return answer.out

    return call


def ids(results: Path) -> list[str]:
    return [run.run_id for run in Store(results / "runs" / "runs.jsonl").read()]


def cold(text: str) -> dict[str, dict[str, str]]:
    return {row["system"]: row for row in csv.DictReader(io.StringIO(text)) if row["rule"] == "coldstart"}


def boards(call: Callable[..., str]) -> dict[str, dict[str, str]]:
    return cold(call("leaderboard", "--rule", "coldstart", "-f", "csv"))


def test_an_invalid_run_is_shown_and_does_not_count(call, results):
    first, *others = ids(results)
    said = call("results", "annotate", first, "--invalid", "the fan failed")
    assert f"{first}: invalid: the fan failed" in said
    row = boards(call)["ours"]
    assert (row["rank"], row["n"]) == ("1", "4")
    assert "declared invalid: 1 run, not in n: seed 0, the fan failed" in row["notes"]
    assert call("results").count("invalid") == 1
    grouped = call("results", "--by", "recipe", "--columns", "train_s")
    assert " 4 " in grouped
    assert "Not counted: 1 run that somebody declared invalid" in grouped
    shown = call("results", "show", first)
    assert "declared invalid: the fan failed" in shown
    assert json.loads(call("results", "show", first, "--json"))["status"] == "ok"
    assert call("results", "--status", "invalid", "-f", "csv").count("\n") == 2
    call("results", "annotate", *others, "--invalid", "all of them")
    row = boards(call)["ours"]
    assert (row["rank"], row["section"]) == ("", "unranked")
    assert row["reasons"].startswith("declared invalid: all its runs: seed 0, the fan failed; seed 1, all of them")
    call("results", "annotate", *ids(results), "--valid")
    assert (boards(call)["ours"]["rank"], boards(call)["ours"]["n"]) == ("1", "5")


def test_tags_and_notes_are_shown_and_found(call, results, tmp_path):
    call("results", "annotate", "last", "--tag", "final", "--tag", "warm", "--note", "as in the paper")
    assert call("results", "--tag", "final", "--tag", "warm", "-f", "csv").count("\n") == 2
    row = boards(call)["ours"]
    assert "tags: final, warm; note: as in the paper" in row["notes"]
    call("results", "annotate", "last", "--untag", "warm")
    call("results", "export", tmp_path / "final.jsonl", "--tag", "final")
    lines = [json.loads(line) for line in (tmp_path / "final.jsonl").read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == ["run_id", "annotates", "annotates"]
    call("report", "--out", tmp_path / "report")
    pages = "".join(page.read_text() for page in (tmp_path / "report" / "cells").iterdir())
    assert "tags: final</small><small>as in the paper</small>" in pages


def test_a_published_run_is_annotated_where_it_stands(call, results):
    text = (results / "published" / "old.jsonl").read_bytes()
    said = call("results", "annotate", results / "published" / "old.jsonl", "--machine-label", "lab A")
    assert "5 annotations appended to" in said
    assert (results / "published" / "old.jsonl").read_bytes().startswith(text)
    assert boards(call)["old"]["hardware"] == "lab A: A CPU / 16 GiB / 2 CPU"


def test_a_published_copy_of_a_run_says_the_same(call, results):
    own, copy = results / "runs" / "runs.jsonl", results / "published" / "ours.jsonl"
    copy.write_bytes(own.read_bytes())
    first, *_ = ids(results)
    call("results", "annotate", first, "--invalid", "wrong data")
    lines = [path.read_bytes().splitlines()[-1] for path in (own, copy)]
    assert lines[0] == lines[1]
    assert b"wrong data" in lines[0]
    assert [run.run_id for run in Store(copy).read() if run.status == "invalid"] == [first]


def test_what_another_file_takes_back_is_valid_again(call, results):
    own = results / "runs" / "runs.jsonl"
    first, *_ = ids(results)
    call("results", "annotate", first, "--invalid", "wrong data")
    call("results", "annotate", first, "--valid")
    *lines, taken_back = own.read_bytes().splitlines(keepends=True)
    own.write_bytes(b"".join(lines))
    (results / "runs" / "later.jsonl").write_bytes(taken_back)
    assert "invalid" not in call("results", "show", first)


def test_what_is_taken_along_is_merged_elsewhere(call, results, tmp_path, bench):
    call("results", "annotate", ids(results)[0], "--invalid", "busy")
    call("results", "export", tmp_path / "mine.jsonl")
    merged = bench("results", "merge", tmp_path / "mine.jsonl", "--results", tmp_path / "there")
    assert "5 added, 0 already there, 1 annotation added" in merged.out
    found = bench("results", "--results", tmp_path / "there", "--status", "invalid")
    assert "1 run" in found.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["last"], "nothing is said of them: give --invalid"),
        (["last", "--invalid", " "], "--invalid: give 1 to 500 printable characters"),
        (["last", "--note", "two\nlines"], "--note: give 1 to 500 printable characters"),
        (["last", "--tag", "two words"], "--tag 'two words': a tag is 1 to 64 letters"),
        (["last", "--invalid", "x", "--valid"], "contradict each other"),
        (["nosuch.jsonl", "--valid"], "there are no results at nosuch.jsonl"),
    ],
)
def test_a_users_mistake_is_one_message_and_nothing_is_written(bench, results, arguments, words):
    before = (results / "runs" / "runs.jsonl").read_bytes()
    answer = bench("results", "annotate", *arguments, "--results", results)
    assert answer.code in (2, 3)
    assert words in answer.err
    assert (results / "runs" / "runs.jsonl").read_bytes() == before


def test_an_unknown_run_names_the_nearest(bench, results):
    right = ids(results)[2]
    answer = bench("results", "annotate", right.replace("Z-", "X-"), "--tag", "t", "--results", results)
    assert answer.code == 2
    assert f"did you mean '{right}'" in answer.err
    assert "`bench results` lists them" in answer.err


def test_an_unknown_tag_names_those_there_are(call, bench, results):
    call("results", "annotate", "last", "--tag", "final")
    answer = bench("results", "--tag", "finl", "--results", results)
    assert answer.code == 2
    assert "--tag finl: no run has it (did you mean 'final'?)" in answer.err


def test_the_store_itself_is_not_exported_over(bench, results):
    store = results / "runs" / "runs.jsonl"
    before = store.read_bytes()
    answer = bench("results", "export", store, "--tag", "none", "--results", results)
    assert answer.code == 2
    answer = bench("results", "export", store, "--results", results)
    assert (answer.code, store.read_bytes()) == (2, before)
    assert "the runs are read from this file" in answer.err


def test_what_is_said_beforehand_is_in_the_records(tmp_path):
    said = ["--tag", "quick", "--note", "a try", "--machine-label", "lab A"]
    made = command.bench("time", *said, "--", "python", "-c", "pass", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (tmp_path / "m.yaml").write_text("command: {argv: python -c 1}\nseeds: 1\n")
    assert command.bench("sweep", "m.yaml", "--tag", "swept", cwd=tmp_path).returncode == 0
    runs = Store(tmp_path / "results" / "runs" / "runs.jsonl").read()
    assert [(run.tags, run.notes, run.machine.get("label")) for run in runs] == [
        (["quick"], ["a try"], "lab A"),
        (["swept"], [], None),
    ]
    assert runs[0].machine["id"] == runs[1].machine["id"]
    wrong = command.bench("run", "digits", "--tag", "no such thing", cwd=tmp_path)
    assert (wrong.returncode, "--tag 'no such thing'" in wrong.stderr) == (2, True)
