from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import bench
from bench.runs.frames import EPOCH_DTYPES, RUN_DTYPES, Frames, load
from bench.runs.run import Run
from bench.runs.store import Store, StoreError, StoreWarning

MakeRun = Callable[..., Run]


def write(path: Path, runs: list[Run]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(run.to_json_line() for run in runs))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def frames_of(results: Path, runs: list[Run]) -> Frames:
    write(results / "runs" / "runs.jsonl", runs)
    return load(results=results)


def span(name: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"name": name, "start_s": start_s, "end_s": end_s, "epoch": None, "device_s": None}


def test_a_row_a_run_and_a_row_an_epoch(results: Path, make_run: MakeRun) -> None:
    full = make_run(
        seed=7,
        config={"epochs": 8, "model": {"name": "speedrun", "widths": [64, 256]}},
        metrics={"accuracy": 0.94, "reached": True},
        spans=[span("train", 1, 3), span("eval", 3, 4), span("train", 4, 7.5)],
        epochs=[{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5, "accuracy": 0.94}],
        machine={"id": "abc", "gpus": [{"name": "X", "count": 2}]},
        data={"official": False},
    )
    skipped = make_run(status="skipped", reason="needs 8 GPUs, found 1", started_at="2026-11-20T10:00:01+00:00")
    runs, epochs = frames_of(results, [full, skipped])
    first, second = runs.iloc[0], runs.iloc[1]
    assert first["run_id"] == full.run_id
    assert first["config.epochs"] == 8
    assert first["config.model.name"] == "speedrun"
    assert first["config.model.widths"] == "[64, 256]"
    assert first["accuracy"] == 0.94
    assert first["span.train_s"] == 5.5
    assert first["span.eval_s"] == 1
    assert json.loads(first["machine.gpus"]) == [{"name": "X", "count": 2}]
    assert second["reason"] == "needs 8 GPUs, found 1"
    assert second[["config.epochs", "accuracy", "reached", "span.train_s", "data.official"]].isna().all()
    assert runs["started_at"].tolist() == [pd.Timestamp(f"2026-11-20T10:00:0{i}Z") for i in range(2)]
    assert epochs["run_id"].tolist() == [full.run_id] * 2
    assert epochs["epoch"].tolist() == [1, 2]
    assert epochs["loss"].tolist() == [2.5, 1.5]
    assert math.isnan(epochs["accuracy"][0])


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1, None], "Int64", [1, None]),
        ([1, 2.5], "float64", [1, 2.5]),
        ([2**70, 1], "float64", [2.0**70, 1]),
        ([2**70, None], "float64", [2.0**70, None]),
        ([2.5, None], "float64", [2.5, None]),
        ([True, False], "bool", [True, False]),
        ([True, None], "boolean", [True, None]),
        (["a", None], "string", ["a", None]),
        ([None, None], "float64", [None, None]),
        ([[1, 2], None], "string", ["[1, 2]", None]),
        (["auto", 2], "string", ["auto", "2"]),
        ([True, 2], "string", ["true", "2"]),
        ([math.inf, math.nan], "float64", [math.inf, None]),
    ],
)
def test_types_of_columns(results: Path, make_run: MakeRun, values: list[Any], dtype: str, expected: list[Any]) -> None:
    runs, _ = frames_of(results, [make_run(config={"x": value}) for value in values])
    column = runs["config.x"]
    assert column.dtype == dtype
    assert [None if pd.isna(value) else value for value in column] == expected


def test_a_key_that_is_a_mapping_in_some_runs_alone(results: Path, make_run: MakeRun) -> None:
    configs = [{"loss": {"name": "ce"}}, {"loss": "ce"}, {"loss": None}, {}]
    runs, _ = frames_of(results, [make_run(config=config) for config in configs])
    assert runs["config.loss.name"].fillna("-").tolist() == ["ce", "-", "-", "-"]
    assert runs["config.loss"].fillna("-").tolist() == ["-", "ce", "-", "-"]


def test_metrics_do_not_hide_what_a_run_is(results: Path, make_run: MakeRun) -> None:
    runs, _ = frames_of(results, [make_run(seed=3, metrics={"seed": 99, "train_s": 1.0}, spans=[span("train", 0, 2)])])
    assert runs.loc[0, ["seed", "metric.seed", "train_s", "span.train_s"]].tolist() == [3, 99, 1.0, 2.0]


@pytest.mark.parametrize("make_folder", [True, False])
def test_an_empty_store_gives_the_standard_columns(results: Path, make_folder: bool) -> None:
    if make_folder:
        (results / "runs").mkdir(parents=True)
    runs, epochs = load(results=results)
    assert (len(runs), len(epochs)) == (0, 0)
    assert runs.dtypes.astype(str).to_dict() == RUN_DTYPES
    assert epochs.dtypes.astype(str).to_dict() == EPOCH_DTYPES


def test_standard_columns_keep_their_types_whatever_they_hold(results: Path, make_run: MakeRun) -> None:
    runs, _ = frames_of(results, [make_run(price_per_hour=None), make_run(price_per_hour=2)])
    assert {name: str(runs[name].dtype) for name in RUN_DTYPES} == RUN_DTYPES
    assert list(runs.columns[: len(RUN_DTYPES)]) == list(RUN_DTYPES)


def test_all_files_of_the_folder_and_each_run_once(results: Path, make_run: MakeRun) -> None:
    here, there = make_run(epochs=[{"epoch": 1}]), make_run()
    write(results / "runs" / "runs.jsonl", [here])
    write(results / "runs" / "other.jsonl", [there, here])
    frames = load(results=results)
    assert sorted(frames.runs["run_id"]) == sorted([here.run_id, there.run_id])
    assert len(frames.epochs) == 1
    assert load([results / "runs" / "runs.jsonl"]).runs["run_id"].tolist() == [here.run_id]


def test_a_path_that_is_not_there_is_an_error(results: Path) -> None:
    with pytest.raises(StoreError, match="no results at"):
        load([results / "typo.jsonl"])


json_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(["a", "b", "c", "seed"])
parts = st.dictionaries(keys, json_scalars | st.lists(json_scalars, max_size=2) | st.dictionaries(keys, json_scalars))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "config": parts,
                "machine": parts,
                "metrics": st.dictionaries(keys, st.none() | st.booleans() | st.integers() | st.floats()),
                "epochs": st.lists(st.dictionaries(keys, json_scalars), max_size=3),
            }
        ),
        max_size=4,
    )
)
def test_the_fast_way_and_the_slow_way_agree(
    tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, fields: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("ways")
    runs = [make_run(**field) for field in fields]
    fast = write(folder / "fast.jsonl", runs)
    # Only the slow way understands `non_finite`, so an empty one sends a line there.
    lines = [line for line in fast.read_bytes().split(b"\n") if line]
    slow = folder / "slow.jsonl"
    slow.write_bytes(
        b"".join(line[:-1] + b',"non_finite":{}}\n' if b"non_finite" not in line else line + b"\n" for line in lines)
    )
    for one, other in zip(load([fast]), load([slow]), strict=True):
        assert_frame_equal(one, other)
    assert load([fast]).runs["run_id"].tolist() == [run.run_id for run in runs]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"machine":{}', b'"machine":3'),
        (b'"machine":{}', b'"machine":{"a":\xff}'),
        (b'"seed":0', b'"seed":"0"'),
        (b'"spans":[]', b'"spans":[{"name":"train"}]'),
        (b'"schema":1', b'"schema":2'),
        (b'"log_tail":[]', b'"log_tail":3'),
    ],
)
def test_a_corrupt_line_is_named_and_the_rest_is_there(
    results: Path, make_run: MakeRun, old: bytes, new: bytes
) -> None:
    path = write(results / "runs" / "runs.jsonl", [make_run(seed=1), make_run(seed=0), make_run(seed=2)])
    lines = path.read_bytes().splitlines(keepends=True)
    assert old in lines[1]
    path.write_bytes(lines[0] + lines[1].replace(old, new) + lines[2])
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:2: left out"):
        runs, epochs = load(results=results)
    assert runs["seed"].tolist() == [1, 2]
    assert epochs.empty


@pytest.mark.parametrize("damage", [b"[3]", b'[{"epoch":[]}]', b'[{"accuracy":"z"}]', b'[{"epoch":true}]'])
def test_a_run_with_corrupt_epochs_is_left_out_and_named(results: Path, make_run: MakeRun, damage: bytes) -> None:
    damaged, good = make_run(), make_run(epochs=[{"epoch": 1}])
    path = write(results / "runs" / "runs.jsonl", [damaged, good])
    path.write_bytes(path.read_bytes().replace(b'"epochs":[]', b'"epochs":' + damage))
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out: .*epochs"):
        frames = load(results=results)
    assert frames.runs["run_id"].tolist() == frames.epochs["run_id"].tolist() == [good.run_id]


def test_epochs_that_are_no_text_are_named_once_they_are_asked_for(results: Path, make_run: MakeRun) -> None:
    damaged, good = make_run(), make_run(epochs=[{"epoch": 1}])
    path = write(results / "runs" / "runs.jsonl", [damaged, good])
    path.write_bytes(path.read_bytes().replace(b'"epochs":[]', b'"epochs":[{"note":"\xff"}]'))
    frames = load(results=results)
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out"):
        assert frames.epochs["run_id"].tolist() == [good.run_id]


def test_what_is_not_finite_comes_back(results: Path, make_run: MakeRun) -> None:
    run = make_run(metrics={"loss": math.inf}, epochs=[{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": -math.inf}])
    runs, epochs = frames_of(results, [run])
    assert runs["loss"].tolist() == [math.inf]
    assert epochs["loss"].tolist() == [2.0, -math.inf]


def test_the_store_and_bench_load_meet(results: Path, make_run: MakeRun) -> None:
    run = make_run()
    Store(results / "runs" / "runs.jsonl").append(run)
    assert bench.load(results=results).runs["run_id"].tolist() == [run.run_id]
