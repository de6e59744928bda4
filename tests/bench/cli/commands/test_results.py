"""`bench results` on a small store, and in real processes where a pipe or an exit code matters."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.report.terminal.results import fitted
from bench.runs.run import Run
from bench.runs.store import Store
from bench.text.console import LastingConsole
from tests import command
from tests.bench.cli.conftest import Answer

MakeRun = Callable[..., Run]


@pytest.fixture
def results(tmp_path: Path, make_run: MakeRun) -> Path:
    """Five runs: three of digits of which one crashed, two of cifar94 in a sweep; written in another order."""
    runs = [
        make_run(
            run_id=f"2026112{day}T100000.000000Z-{day:08x}",
            started_at=f"2026-11-2{day}T10:00:00Z",
            recipe="digits" if day < 3 else "cifar94",
            sweep=None if day < 3 else "precision",
            cell="ab" * 8 if day < 3 else "cd" * 8,
            seed=day,
            status="crashed" if day == 1 else "ok",
            command=f"bench run digits --seeds {day}",
            log_tail=["the last words [not markup]"],
            price_per_hour=3.6,
            config={"epochs": 8, "model": {"name": "tiny"}},
            metrics={} if day == 1 else {"accuracy": 0.9 + day / 100, "train_s": 10.0 * day, "total_s": 100.0},
            spans=[{"name": "train", "start_s": 0.5, "end_s": 1.5, "epoch": 1, "device_s": None, "rank_s": [1.0, 0.9]}],
            epochs=[{"epoch": 1, "loss": 0.25, "lr": None}],
        )
        for day in (2, 0, 1, 4, 3)
    ]
    store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
    for run in runs:
        store.append(run)
    return tmp_path / "results"


@pytest.fixture
def call(bench: Callable[..., Answer], results: Path) -> Callable[..., str]:
    """What `bench results` prints where it ends well."""

    def call(*arguments: object) -> str:
        answer = bench("results", *arguments)
        assert answer.code == 0, answer.err
        return answer.out

    return call


def options(conditions: dict[str, object]) -> list[str]:
    """`--where … --where … --recipe …` of a filter."""
    pairs = [
        (name, one) for name, value in conditions.items() for one in (value if isinstance(value, list) else [value])
    ]
    return [part for name, one in pairs for part in (f"--{name}", str(one))]


def test_the_newest_run_is_the_last(call, results):
    lines = call().splitlines()
    rows = [line.split() for line in lines if "2026-" in line]
    assert [row[2] for row in rows] == [f"{day:08x}" for day in range(5)]
    assert rows[0][3:9] == ["digits", "–", "abababab", "0", "ok", "90.00"]
    assert "94.00 %" in lines[-3]
    assert "40.0 s" in lines[-3]
    assert "$0.1" in lines[-3]
    assert lines[-1] == "5 runs"


def test_a_column_that_says_nothing_is_left_out(call, results):
    assert "sweep" in call()
    assert "sweep" not in call("--recipe", "digits")
    assert "measure" not in call()


def test_a_narrow_terminal_goes_without_columns_rather_than_letters(
    call: Callable[..., str], monkeypatch: pytest.MonkeyPatch, results: Path
) -> None:
    monkeypatch.setattr("bench.cli.commands.results.unfolded_console", lambda: LastingConsole(width=80))
    text = call()
    assert "…" not in text
    assert "94.00 %" in text
    assert "too narrow for cell, sweep" in text


def test_limit_and_sort(call, results):
    text = call("--columns", "seed,accuracy", "--sort=-accuracy", "--limit", 2)
    assert [line.split()[0] for line in text.splitlines() if "%" in line] == ["2", "0"]
    assert "5 runs, the last 2 shown: --limit 0 shows all" in text
    assert "shown" not in call("--limit", 0)


@pytest.mark.parametrize(
    ("conditions", "seeds"),
    [
        ({"recipe": "digits"}, [0, 1, 2]),
        ({"sweep": "precision"}, [3, 4]),
        ({"status": ["crashed"]}, [1]),
        ({"status": ["crashed", "ok"], "where": ["seed>=3"]}, [3, 4]),
        ({"since": "2026-11-23T10:00"}, [3, 4]),
        ({"where": ["accuracy>=0.92", "accuracy<0.94"]}, [2, 3]),
        ({"where": ["cost_dollars>0.05", "config.model.name~TIN"]}, [0, 2, 3, 4]),
    ],
)
def test_filters(call, results, conditions, seeds):
    listed = csv.DictReader(io.StringIO(call(*options(conditions), "-f", "csv")))
    assert [int(row["seed"]) for row in listed] == seeds


def test_an_age(call, results, make_run):
    hours_ago = pd.Timestamp.now("UTC") - pd.Timedelta(5, "h")
    Store(results / "runs" / "new.jsonl").append(make_run(seed=77, started_at=f"{hours_ago:%Y-%m-%dT%H:%M:%S}Z"))
    assert " 77 " in call("--since", "6h")
    assert " 77 " not in call("--since", "290m")


def test_nothing_that_meets_the_conditions(call, results):
    assert "None of the 5 runs in" in call("--where", "accuracy>1")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"where": ["acuracy>0"]}, "did you mean 'accuracy'.*bench results columns"),
        ({"status": ["okay"]}, r"--status okay: no run has it \(did you mean 'ok'\?\); there are: crashed, ok"),
        ({"recipe": "digit"}, r"--recipe digit: no run has it \(did you mean 'digits'\?\); there are: cifar94, digits"),
        ({"since": "soon"}, "--since soon: give a UTC date"),
        ({"since": "xd"}, "--since xd: give a UTC date"),
    ],
)
def test_questions_that_cannot_be(
    bench: Callable[..., Answer], results: Path, conditions: dict[str, object], message: str
) -> None:
    answer = bench("results", *options(conditions))
    assert answer.code == 2
    assert re.search(message, answer.err)


def test_groups_of_runs(call, results):
    groups = csv.DictReader(io.StringIO(call("--by", "recipe", "-f", "csv")))
    rows = {(row["recipe"], row["metric"]): row for row in groups}
    digits = rows["digits", "accuracy"]
    assert (digits["n"], float(digits["mean"])) == ("2", pytest.approx(0.91))
    assert float(digits["sd"]) == pytest.approx(0.02 / 2**0.5)
    assert float(rows["cifar94", "train_s"]["median"]) == 35.0
    table = call("--by", "recipe,status", "--columns", "train_s")
    assert [line.split()[:4] for line in table.splitlines() if "train_s" in line] == [
        ["cifar94", "ok", "train_s", "2"],
        ["digits", "ok", "train_s", "2"],
    ]


def test_values_for_programs_are_bare_and_whole(call, results):
    records = json.loads(call("--columns", "run_id,accuracy,started_at", "-f", "json"))
    assert len(records) == 5
    assert records[1]["accuracy"] is None
    assert records[4]["accuracy"] == pytest.approx(0.94)
    assert records[4]["started_at"].startswith("2026-11-24T10:00:00")
    (row,) = csv.DictReader(io.StringIO(call("-f", "csv", "--limit", 1)))
    assert row["run_id"] == "20261124T100000.000000Z-00000004"
    assert row["config.model.name"] == "tiny"


def test_json_holds_every_digit_of_a_number(call, results, make_run):
    small_s = 1.2345678901234567e-5
    Store(results / "runs" / "new.jsonl").append(make_run(seed=77, metrics={"train_s": small_s}))
    assert {"seed": 77, "train_s": small_s} in json.loads(call("--columns", "seed,train_s", "-f", "json"))


def test_columns(call, results):
    lines = call("columns").splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert found["accuracy"] == ["float64", "4"]
    assert found["config.model.name"] == ["string", "5"]


@pytest.mark.parametrize("wanted", ["20261122", "00000002", "20261122T100000.000000Z-00000002"])
def test_one_run_in_full(call, results, wanted):
    text = call("show", wanted)
    for part in (
        "20261122T100000.000000Z-00000002",
        "bench run digits --seeds 2",
        "92.00 %",
        "model.name",
        "0.5000",
        "the last words [not markup]",
        "runs.jsonl",
        "rank_s",
    ):
        assert part in text
    assert "device_s" not in text


def test_the_last_run_and_the_record_itself(call, results):
    assert json.loads(call("show", "last", "--json"))["seed"] == 4


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("2026112", "(?s)beginning of 5 run ids; add digits:.*20261120"), ("fff", "no run in .* begins with 'fff'")],
)
def test_a_run_that_is_not_meant_clearly(
    bench: Callable[..., Answer], results: Path, wanted: str, message: str
) -> None:
    answer = bench("results", "show", wanted)
    assert answer.code == 2
    assert re.search(message, answer.err)


def test_export(call, results, tmp_path):
    assert "3 runs" in call("export", "runs.parquet", "--recipe", "digits")
    assert pd.read_parquet(tmp_path / "runs.parquet")["seed"].tolist() == [0, 1, 2]
    assert "2 epochs" in call("export", "epochs.csv", "--epochs", "--recipe", "cifar94")
    epochs = pd.read_csv(tmp_path / "epochs.csv")
    assert epochs["run_id"].str[:8].tolist() == ["20261124", "20261123"]
    assert epochs["loss"].tolist() == [0.25, 0.25]


def test_merge(call, results, tmp_path):
    source, elsewhere = results / "runs" / "runs.jsonl", tmp_path / "elsewhere"
    assert "5 runs would be added" in call("merge", source, "--dry-run", "--results", elsewhere)
    assert "5 runs added" in call("merge", source, "--results", elsewhere)
    assert "0 added, 5 already there" in call("merge", source, "--results", elsewhere)
    assert (elsewhere / "runs" / "runs.jsonl").read_bytes() == source.read_bytes()


def test_merge_says_what_cannot_be(bench, tmp_path, make_run):
    source = tmp_path / "theirs.jsonl"
    source.write_bytes(b"".join(make_run(metrics={"total_s": -1.0}).to_json_line() for _ in range(7)))
    told = bench("results", "merge", source).out
    assert told.count("its total_s is -1, below zero; no board ranks it") == 5
    assert "2 more runs have such numbers" in told


def test_an_empty_store_says_what_to_do(bench, tmp_path):
    answer = bench("results")
    assert answer.code == 3
    assert re.search("no runs in .*bench run digits.*--results", answer.err)


def test_a_pipe_gets_plain_whole_lines(results):
    done = command.bench("results", cwd=results.parent, check=True)
    rows = [line for line in done.stdout.splitlines() if "2026-" in line]
    assert len(rows) == 5
    assert all("$" in row or "crashed" in row for row in rows)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_reader_that_has_seen_enough(results, make_run):
    many = results / "runs" / "many.jsonl"
    many.write_bytes(b"".join(make_run().to_json_line() for _ in range(1000)))  # more than a pipe holds
    for arguments in (("--limit", "0"), ("-f", "csv")):
        process = subprocess.Popen(
            command.line("results", *arguments, "--results", results), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)


def test_mistakes_are_one_line(results):
    done = command.bench("results", "--where", "nosuch=1", cwd=results.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: --where nosuch=1: there is no column")
    assert done.stderr.count("\n") == 1


def test_an_option_of_the_list_is_not_lost_before_a_command(
    bench: Callable[..., Answer], results: Path, tmp_path: Path
) -> None:
    answer = bench("results", "--recipe", "digits", "export", "runs.csv")
    assert answer.code == 2
    assert "--recipe stands before export" in answer.err
    assert not (tmp_path / "runs.csv").exists()


def test_a_span_whose_usage_is_no_object_is_shown_without(bench, make_run, tmp_path):
    spans = [{"name": "train", "start_s": 0.0, "end_s": 1.0, "host": "busy"}]
    Store(tmp_path / "results" / "runs" / "runs.jsonl").append(make_run(spans=spans))
    answer = bench("results", "show", "last")
    assert (answer.code, "train" in answer.out) == (0, True)


def test_a_narrow_terminal_keeps_ids_status_marks_and_tags() -> None:
    shown = pd.DataFrame(
        {
            "started_at": pd.to_datetime(["2026-11-27T01:34:41Z"]),
            "run_id": ["3ddcf413"],
            "recipe": ["digits"],
            "cell": ["0a1b2c3d"],
            "seed": [0],
            "status": ["not_reached"],
            "contended": [True],
            "accuracy": [0.5],
            "train_s": [1.0],
            "tags": ["final"],
        }
    )
    kept, hidden = fitted(shown, LastingConsole(width=80))
    assert hidden == ["cell", "started_at", "train_s"]
    assert [*kept.columns] == ["run_id", "recipe", "seed", "status", "contended", "accuracy", "tags"]
