from __future__ import annotations

import math
import statistics
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from bench.errors import UsageError
from bench.runs.selection import aggregate, export, select, sort
from bench.runs.store import StoreError


@pytest.fixture
def runs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recipe": pd.array(["digits", "digits", "cifar94", None], dtype="string"),
            "config.epochs": pd.array([8, 9, None, 10], dtype="Int64"),
            "accuracy": [0.9, math.nan, 0.94, 0.96],
            "reached": pd.array([False, None, True, True], dtype="boolean"),
            "started_at": pd.to_datetime([f"2026-11-2{day}T10:00Z" for day in range(4)]),
        }
    )


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("recipe=digits", [0, 1]),
        ("recipe!=digits", [2, 3]),
        ("recipe=null", [3]),
        ("recipe!=null", [0, 1, 2]),
        ("recipe~IGIT", [0, 1]),
        ("recipe~.", []),
        ("recipe=nosuch", []),
        ("config.epochs=8.0", [0]),
        ("config.epochs>=9", [1, 3]),
        ("config.epochs!=9", [0, 2, 3]),
        ("config.epochs=null", [2]),
        ("config.epochs~1", [3]),
        ("accuracy>0.9", [2, 3]),
        ("accuracy <= 0.94", [0, 2]),
        ("accuracy!=null", [0, 2, 3]),
        ("reached=true", [2, 3]),
        ("reached!=true", [0, 1]),
        ("started_at<2026-11-21T10:00", [0]),
        ("started_at>=2026-11-22T11:00+01:00", [2, 3]),
    ],
)
def test_conditions(runs: pd.DataFrame, condition: str, rows: list[int]) -> None:
    assert select(runs, [condition]).index.tolist() == rows


def test_large_seeds_are_told_apart() -> None:
    seeds = [2**53, 2**53 + 1]
    frame = pd.DataFrame({"seed": seeds})
    for runs in (frame, frame.convert_dtypes()):
        assert [select(runs, [f"seed={seed}"]).index.tolist() for seed in seeds] == [[0], [1]]


def test_every_condition_counts(runs: pd.DataFrame) -> None:
    assert select(runs, []).index.tolist() == [0, 1, 2, 3]
    assert select(runs, ["recipe=digits", "accuracy>0"]).index.tolist() == [0]
    # Of no rows, a column is still of its type.
    assert select(runs.iloc[:0], ["reached=true", "accuracy>1"]).empty


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("config.epoch=8", r"no column 'config\.epoch'.*did you mean 'config\.epochs'"),
        ("config.epochs=many", r"config\.epochs is never 'many': the column holds numbers"),
        ("reached=1", "reached is never '1'"),
        ("started_at>yesterday evening", "started_at is never"),
        ("accuracy", "give COLUMN=VALUE"),
    ],
)
def test_conditions_that_cannot_be(runs: pd.DataFrame, condition: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(runs, [condition])


def test_sort(runs: pd.DataFrame) -> None:
    assert sort(runs, ["accuracy"]).index.tolist() == [1, 0, 2, 3]
    assert sort(runs, ["-accuracy"]).index.tolist() == [1, 3, 2, 0]
    assert sort(runs, ["-recipe", "-config.epochs"]).index.tolist() == [3, 1, 0, 2]
    with pytest.raises(UsageError, match="--sort: there is no column 'acuracy'"):
        sort(runs, ["-acuracy"])


def test_groups() -> None:
    runs = pd.DataFrame({"cell": ["a", "a", "b", "a", None], "accuracy": [0.9, 0.94, 0.5, math.nan, 0.1]})
    groups = aggregate(runs, ["cell"], ["accuracy"])
    assert groups["cell"].fillna("-").tolist() == ["a", "b", "-"]
    assert groups["n"].tolist() == [2, 1, 1]
    first = groups.iloc[0]
    assert first["mean"] == pytest.approx(0.92)
    assert first["median"] == pytest.approx(0.92)
    assert first["sd"] == pytest.approx(statistics.stdev([0.9, 0.94]))
    assert math.isnan(groups["sd"][1])
    assert aggregate(runs.iloc[3:4], ["cell"], ["accuracy"]).empty
    with pytest.raises(UsageError, match=r"--columns cell: text has no mean"):
        aggregate(runs, ["cell"], ["cell"])
    with pytest.raises(UsageError, match="--by: there is no column 'cel'"):
        aggregate(runs, ["cel"], ["accuracy"])


def test_metrics_of_a_group_stand_in_the_order_of_the_question() -> None:
    runs = pd.DataFrame({"cell": ["b", "a"], "z": [1, 2], "y": [3.0, 4.0]})
    groups = aggregate(runs, ["cell"], ["z", "y"])
    assert groups[["cell", "metric"]].values.tolist() == [["a", "z"], ["a", "y"], ["b", "z"], ["b", "y"]]


def test_export_reads_back(runs: pd.DataFrame, tmp_path: Path) -> None:
    export(runs, tmp_path / "runs.parquet")
    assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), runs)
    epochs = pd.DataFrame({"epoch": [1], "note": ['Ü, "quoted"\n']})
    export(epochs, tmp_path / "epochs.csv")
    assert_frame_equal(pd.read_csv(tmp_path / "epochs.csv"), epochs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs.csv", "runs.parquet"]


def test_export_to_what_cannot_be(runs: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.parquet or \.jsonl"):
        export(runs, tmp_path / "runs.xlsx")
    for suffix in ("csv", "parquet"):
        with pytest.raises(StoreError, match="cannot export to"):
            export(runs, tmp_path / "nowhere" / f"runs.{suffix}")


def test_a_column_may_be_named_as_recipes_name_its_value():
    frame = pd.DataFrame(
        {
            "config.model.width": [8, 16, 16],
            "config.model.name": ["a", "b", "b"],
            "model.x": [1, 2, 3],
            "t": [1.0, 2.0, 4.0],
        }
    )
    assert len(select(frame, ["model.width=16", "model=b", "model.x>2"])) == 1
    assert list(sort(frame, ["-model.width", "t"])["t"]) == [2.0, 4.0, 1.0]
    groups = aggregate(frame, ["model.width"], ["t"])
    assert list(groups["config.model.width"]) == [8, 16]
    assert list(groups["mean"]) == [1.0, 3.0]
    with pytest.raises(UsageError, match=r"no column 'model.widht' in these runs \(did you mean 'model.width'"):
        select(frame, ["model.widht=1"])


@pytest.mark.parametrize(
    ("by", "metrics", "words"),
    [
        (["a", "a"], ["t"], "--by: a stands twice"),
        (["a", "config.a"], ["t"], "--by: config.a stands twice"),
        (["a"], ["t", "t"], "--columns: t stands twice"),
        (["t"], ["t"], "--columns t: stands in --by too"),
        (["n"], ["t"], "--by n: a column of the answer has this name"),
    ],
)
def test_a_column_that_stands_twice_is_refused(by, metrics, words):
    frame = pd.DataFrame({"config.a": [1, 2], "n": [1, 2], "t": [1.0, 2.0]})
    with pytest.raises(UsageError, match=words):
        aggregate(frame, by, metrics)
    with pytest.raises(UsageError, match="stands twice"):
        sort(frame, ["t", "-t"])


@pytest.mark.parametrize("text", ["nan", "1_0", "٣", "", "1e999", "9" * 5000])
def test_a_number_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="is never"):
        select(pd.DataFrame({"t": [1.0, 2.0]}), [f"t>={text}"])
