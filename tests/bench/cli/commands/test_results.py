"""`bench results` on a small store, and in real processes where a pipe or an exit code matters."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.cli.commands.results import (
    Filter,
    Listing,
    export_runs,
    list_columns,
    list_runs,
    merge_files,
    show_run,
)
from bench.errors import UsageError
from bench.runs.run import Run
from bench.runs.store import Store, StoreError

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


def said(call: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=300)
    call(console)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def listed(results: Path, listing: Listing = Listing(), **conditions: object) -> str:
    return said(lambda console: list_runs(Filter(results, **conditions), listing, console))  # type: ignore[arg-type]


def test_the_newest_run_is_the_last(results: Path) -> None:
    lines = listed(results).splitlines()
    rows = [line.split() for line in lines if "2026-" in line]
    assert [row[2] for row in rows] == [f"{day:08x}" for day in range(5)]
    assert rows[0][3:9] == ["digits", "–", "abababab", "0", "ok", "90.00"]
    assert "94.00 %" in lines[-3]
    assert "40.0 s" in lines[-3]
    assert "$0.1" in lines[-3]
    assert lines[-1] == "5 runs"


def test_a_column_that_says_nothing_is_left_out(results: Path) -> None:
    assert "sweep" in listed(results)
    assert "sweep" not in listed(results, recipe="digits")
    assert "measure" not in listed(results)


def test_a_narrow_terminal_goes_without_columns_rather_than_letters(results: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    list_runs(Filter(results), Listing(), console)
    output = console.file
    assert isinstance(output, io.StringIO)
    text = output.getvalue()
    assert "…" not in text
    assert "94.00 %" in text
    assert "too narrow for cell, sweep" in text


def test_limit_and_sort(results: Path) -> None:
    text = listed(results, Listing(("seed", "accuracy"), ("-accuracy",), 2))
    assert [line.split()[0] for line in text.splitlines() if "%" in line] == ["2", "0"]
    assert "5 runs, the last 2 shown: --limit 0 shows all" in text
    assert "shown" not in listed(results, Listing(limit=0))


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
def test_filters(results: Path, conditions: dict[str, object], seeds: list[int]) -> None:
    assert Filter(results, **conditions).apply(Filter(results).load().runs)["seed"].tolist() == seeds  # type: ignore[arg-type]


def test_an_age(results: Path, make_run: MakeRun) -> None:
    hours_ago = pd.Timestamp.now("UTC") - pd.Timedelta(5, "h")
    Store(results / "runs" / "new.jsonl").append(make_run(seed=77, started_at=f"{hours_ago:%Y-%m-%dT%H:%M:%S}Z"))
    runs = Filter(results).load().runs
    assert 77 in Filter(results, since="6h").apply(runs)["seed"].tolist()
    assert 77 not in Filter(results, since="290m").apply(runs)["seed"].tolist()


def test_nothing_that_meets_the_conditions(results: Path) -> None:
    assert "None of the 5 runs in" in listed(results, where=["accuracy>1"])


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"where": ["acuracy>0"]}, "did you mean 'accuracy'.*bench results columns"),
        ({"status": ["okay"]}, "--status okay: no run has it; there are crashed, ok"),
        ({"recipe": "digit"}, "--recipe digit: no run has it; there are cifar94, digits"),
        ({"since": "soon"}, "--since soon: give a UTC date"),
        ({"since": "xd"}, "--since xd: give a UTC date"),
    ],
)
def test_questions_that_cannot_be(results: Path, conditions: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        listed(results, **conditions)


def test_groups_of_runs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(results, Listing(by=("recipe",), format="csv"))
    rows = {(row["recipe"], row["metric"]): row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    digits = rows["digits", "accuracy"]
    assert (digits["n"], float(digits["mean"])) == ("2", pytest.approx(0.91))
    assert float(digits["sd"]) == pytest.approx(0.02 / 2**0.5)
    assert float(rows["cifar94", "train_s"]["median"]) == 35.0
    table = listed(results, Listing(by=("recipe", "status"), columns=("train_s",)))
    assert [line.split()[:4] for line in table.splitlines() if "train_s" in line] == [
        ["cifar94", "ok", "train_s", "2"],
        ["digits", "ok", "train_s", "2"],
    ]


def test_values_for_programs_are_bare_and_whole(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(results, Listing(("run_id", "accuracy", "started_at"), format="json"))
    records = json.loads(capsys.readouterr().out)
    assert len(records) == 5
    assert records[1]["accuracy"] is None
    assert records[4]["accuracy"] == 0.94
    assert records[4]["started_at"].startswith("2026-11-24T10:00:00")
    listed(results, Listing(format="csv", limit=1))
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["run_id"] == "20261124T100000.000000Z-00000004"
    assert row["config.model.name"] == "tiny"


def test_columns(results: Path) -> None:
    lines = said(lambda console: list_columns(Filter(results), console)).splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert found["accuracy"] == ["float64", "4"]
    assert found["config.model.name"] == ["string", "5"]


@pytest.mark.parametrize("wanted", ["20261122", "00000002", "20261122T100000.000000Z-00000002"])
def test_one_run_in_full(results: Path, wanted: str) -> None:
    text = said(lambda console: show_run(results, wanted, False, console))
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


def test_the_last_run_and_the_record_itself(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(results, "last", True, Console())
    assert json.loads(capsys.readouterr().out)["seed"] == 4


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("2026112", "(?s)beginning of 5 run ids; add digits:.*20261120"), ("fff", "no run in .* begins with 'fff'")],
)
def test_a_run_that_is_not_meant_clearly(results: Path, wanted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        said(lambda console: show_run(results, wanted, False, console))


def test_export(results: Path, tmp_path: Path) -> None:
    assert "3 runs" in said(
        lambda console: export_runs(Filter(results, recipe="digits"), tmp_path / "runs.parquet", False, console)
    )
    assert pd.read_parquet(tmp_path / "runs.parquet")["seed"].tolist() == [0, 1, 2]
    assert "2 epochs" in said(
        lambda console: export_runs(Filter(results, recipe="cifar94"), tmp_path / "epochs.csv", True, console)
    )
    epochs = pd.read_csv(tmp_path / "epochs.csv")
    assert epochs["run_id"].str[:8].tolist() == ["20261124", "20261123"]
    assert epochs["loss"].tolist() == [0.25, 0.25]


def test_merge(results: Path, tmp_path: Path) -> None:
    source, elsewhere = results / "runs" / "runs.jsonl", tmp_path / "elsewhere"
    assert "5 runs would be added" in said(lambda console: merge_files(elsewhere, [source], True, console))
    assert "5 runs added" in said(lambda console: merge_files(elsewhere, [source], False, console))
    assert "0 added, 5 already there" in said(lambda console: merge_files(elsewhere, [source], False, console))
    assert (elsewhere / "runs" / "runs.jsonl").read_bytes() == source.read_bytes()


def test_merge_says_what_cannot_be(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    source = tmp_path / "theirs.jsonl"
    source.write_bytes(b"".join(make_run(metrics={"total_s": -1.0}).to_json_line() for _ in range(7)))
    told = said(lambda console: merge_files(tmp_path / "results", [source], False, console))
    assert told.count("its total_s is -1, below zero; no board ranks it") == 5
    assert "2 more runs have such numbers" in told


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no runs in .*bench run digits.*--results") as caught:
        listed(tmp_path)
    assert caught.value.exit_code == 3


def call(results: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench", "results", *arguments, "--results", str(results)]


def test_a_pipe_gets_plain_whole_lines(results: Path) -> None:
    done = subprocess.run(call(results), capture_output=True, text=True, timeout=60, check=True)
    rows = [line for line in done.stdout.splitlines() if "2026-" in line]
    assert len(rows) == 5
    assert all("$" in row or "crashed" in row for row in rows)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_reader_that_has_seen_enough(results: Path, make_run: MakeRun) -> None:
    many = results / "runs" / "many.jsonl"
    many.write_bytes(b"".join(make_run().to_json_line() for _ in range(1000)))  # more than a pipe holds
    for arguments in (("--limit", "0"), ("-f", "csv")):
        process = subprocess.Popen(call(results, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)


def test_mistakes_are_one_line(results: Path) -> None:
    done = subprocess.run(call(results, "--where", "nosuch=1"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: --where nosuch=1: there is no column")
    assert done.stderr.count("\n") == 1


def test_an_option_of_the_list_is_not_lost_before_a_command(results: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "bench", "results", "--recipe", "digits", "export", str(tmp_path / "runs.csv")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--recipe stands before export" in done.stderr
    assert not (tmp_path / "runs.csv").exists()


def test_a_span_whose_usage_is_no_object_is_shown_without(bench, make_run, tmp_path):
    spans = [{"name": "train", "start_s": 0.0, "end_s": 1.0, "host": "busy"}]
    Store(tmp_path / "results" / "runs" / "runs.jsonl").append(make_run(spans=spans))
    answer = bench("results", "show", "last")
    assert (answer.code, "train" in answer.out) == (0, True)
