"""Files that others made, through the command line: read, refused with a remedy, or named as passed over."""

from __future__ import annotations

import gzip
import json
import shutil

import pytest

from bench.runs.store import Store

TRAIN = {
    "version": "v1.0", "author": "A", "authorEmail": "a@x.org, b@y.org", "framework": "F", "model": "M",
    "hardware": "H", "timestamp": "2018-01-01",
}  # fmt: skip
ROWS = "epoch\thours\ttop1Accuracy\n1\t0.1\t94.5\n"


@pytest.fixture
def entries(tmp_path):
    """An entry of two authors, one of another task, and a note beside them."""
    folder = tmp_path / "entries"
    folder.mkdir()
    (folder / "a_b_c_d.json").write_text(json.dumps(TRAIN))
    (folder / "a_b_c_d.tsv").write_text(ROWS)
    (folder / "e_f_g_h.json").write_text(json.dumps(TRAIN | {"latency": 1.0, "top5Accuracy": 93.0}))
    (folder / "notes.txt").write_text("hours are estimates")
    return folder


def test_a_folder_of_entries_is_checked_and_all_of_it_is_accounted_for(entries, bench):
    answer = bench("check", "entries")
    assert answer.code == 0
    assert "entries/notes.txt: not read" in answer.out
    assert "another task, ImageNet" in answer.out
    assert "1 valid, 0 invalid, 1 of other tasks" in answer.out


def test_one_of_another_task_does_not_keep_the_others_out(entries, bench, tmp_path):
    answer = bench("import", "entries")
    assert answer.code == 0
    assert "left out: entries/e_f_g_h.json: another task, ImageNet" in answer.out
    assert len(Store(tmp_path / "results" / "runs" / "imported.jsonl").read()) == 1
    answer = bench("import", "entries/e_f_g_h.json")
    assert answer.code == 2
    assert "there is no entry of CIFAR10" in answer.err


@pytest.fixture
def lines(make_run):
    return b"".join(make_run(seed=seed).to_json_line() for seed in range(3))


def test_a_byte_order_mark_costs_no_run(bench, lines, tmp_path):
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    answer = bench("results", "merge", "marked.jsonl")
    assert (answer.code, answer.err) == (0, "")
    assert "marked.jsonl: 3 new" in answer.out.replace(" added", " new")
    assert (tmp_path / "results" / "runs" / "runs.jsonl").read_bytes() == lines
    shutil.copy(tmp_path / "marked.jsonl", tmp_path / "results" / "runs" / "more.jsonl")
    assert json.loads(bench("results", "-f", "json").out)[0]["seed"] == 0
    assert "3 already there" in bench("results", "merge", "marked.jsonl").out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda lines: gzip.compress(lines), "packed by gzip, and no lines of JSON; gunzip it first"),
        (lambda lines: lines.decode().encode("utf-16"), "UTF-16 text, and no lines of JSON; save it as UTF-8"),
        (lambda _: b"PK\x03\x04rest", "packed by zip"),
        (lambda _: b"PAR1rest", "a Parquet file"),
        (lambda _: b"seed,accuracy\n0,0.9\n", "no line of it is a run"),
    ],
    ids=["gzip", "utf-16", "zip", "parquet", "csv"],
)
def test_a_file_without_a_run_is_refused_with_a_remedy(content, words, bench, lines, tmp_path):
    (tmp_path / "foreign.jsonl").write_bytes(content(lines))
    answer = bench("results", "merge", "foreign.jsonl")
    assert answer.code == 3
    assert words in answer.err
    assert not (tmp_path / "results" / "runs" / "runs.jsonl").exists()


def test_an_empty_file_is_no_error(bench, tmp_path):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    assert bench("results", "merge", "empty.jsonl").code == 0
