from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs import shape
from bench.runs.run import MIGRATIONS, SCHEMA, RecordError, Run, cell_id, migrate, new_run_id
from bench.text.canonical import canonical_json

MakeRun = Callable[..., Run]

integers = st.integers(-(2**63), 2**63 - 1)
finite = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text()
scalars = finite | st.floats()


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def configs(leaves: st.SearchStrategy[Any] = finite) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text(), nested(leaves))


def shuffled(value: Any, rng: random.Random) -> Any:
    """An equal value with its keys in another order and its whole floats as ints, its ints as floats."""
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: shuffled(item, rng) for key, item in items}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is int and int(float(value)) == value:
        return float(value)
    return value


@given(configs(), st.randoms(use_true_random=False))
def test_canonical_json_is_one_text_for_equal_values(config: dict[str, Any], rng: random.Random) -> None:
    assert canonical_json(shuffled(config, rng)) == canonical_json(config)


@given(configs())
def test_canonical_json_loses_nothing(config: dict[str, Any]) -> None:
    assert json.loads(canonical_json(config)) == config


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": True}, {"a": 1}), ({"a": "1"}, {"a": 1}), ({"a": None}, {"a": 0}), ({"a": 0.1}, {"a": 0.2})],
)
def test_different_configs_are_different_cells(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cell_id(one) != cell_id(other)


def test_a_key_that_is_null_renames_no_cell() -> None:
    assert cell_id({"a": {"b": 1, "c": None}, "d": None}) == cell_id({"a": {"b": 1}})


def test_cell_ignores_seed_price_and_words_at_the_top_alone() -> None:
    config = {"epochs": 8, "data": {"name": "random", "seed": 1}}
    assert cell_id(config | {"seed": 3, "price_per_hour": 2.5, "summary": "…"}) == cell_id(config)
    assert cell_id(config | {"data": {"name": "random", "seed": 2}}) != cell_id(config)


def test_cell_is_the_same_in_every_version() -> None:
    # Written down, because a change of this text would make every kept run a stranger.
    assert cell_id({"epochs": 8.0, "lr": 0.24, "model": {"widths": [64, 256]}}) == "33954d32dae0aa07"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_cell_refuses_numbers_that_json_does_not_know(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        cell_id({"lr": value})


def test_cell_refuses_keys_that_are_not_text() -> None:
    with pytest.raises(TypeError, match="1"):
        cell_id({"groups": {1: 2}})


def test_run_ids_sort_by_time_and_do_not_repeat() -> None:
    start = datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC)
    ids = [new_run_id(start + timedelta(microseconds=i)) for i in range(100)]
    assert ids == sorted(ids)
    assert len({new_run_id(start) for _ in range(1000)}) == 1000


# Others have a type of their own, which a wrong value does not get past.
FREE_NAMES = st.text().filter(lambda name: shape._is_flag(name) is None)
FREE_IN_AN_EPOCH = st.text().filter(lambda name: name not in shape._Epoch.__struct_fields__)


@given(
    config=configs(scalars),
    metrics=st.dictionaries(FREE_NAMES, st.none() | st.booleans() | st.integers() | st.floats()),
    epochs=st.lists(st.dictionaries(FREE_IN_AN_EPOCH, scalars)),
    end_s=st.floats(),
)
def test_a_line_reads_back_as_the_same_run(
    make_run: MakeRun, config: Any, metrics: Any, epochs: Any, end_s: float
) -> None:
    span = {"name": "train", "start_s": 0.0, "end_s": end_s, "epoch": 1, "device_s": None}
    run = make_run(config=config, metrics=metrics, epochs=epochs, spans=[span])
    line = run.to_json_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert repr(Run.from_json_line(line)) == repr(run)  # repr, because a NaN does not equal itself
    json.loads(line, parse_constant=pytest.fail)  # strict JSON: no NaN, no Infinity


def test_numbers_that_are_not_finite_are_null_and_named(make_run: MakeRun) -> None:
    line = make_run(metrics={"loss/train": math.nan, "loss~": -math.inf, "steps": 3}).to_json_line()
    record = json.loads(line)
    assert record["metrics"] == {"loss/train": None, "loss~": None, "steps": 3}
    assert record["non_finite"] == {"/metrics/loss~1train": "nan", "/metrics/loss~0": "-inf"}


def test_numpy_scalars_and_paths_are_recorded(make_run: MakeRun) -> None:
    run = make_run(metrics={"a": np.float32(0.5), "n": np.int64(3), "inf": np.float64("inf")}, config={"p": Path("x")})
    back = Run.from_json_line(run.to_json_line())
    assert back.metrics == {"a": 0.5, "n": 3, "inf": math.inf}
    assert back.config == {"p": "x"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "fine"},
        {"seed": "1"},
        {"started_at": "yesterday"},
        {"metrics": {"a": "b"}},
        {"config": {"a": object()}},
    ],
)
def test_what_could_not_be_read_back_is_not_written(make_run: MakeRun, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make_run(**wrong).to_json_line()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("run_id"), "run_id"),
        (lambda record: record.update(surprise=1), "surprise"),
        (lambda record: record.update(status="fine"), "fine"),
        (lambda record: record.update(schema=SCHEMA + 1), f"newer version: schema {SCHEMA + 1}"),
        (lambda record: record.update(schema=0), "schema is 0"),
        (lambda record: record.update(schema=True), "schema is True"),
        (lambda record: record.update(schema=[1]), "schema is"),
        (lambda record: record.update(non_finite={"/metrics/none/deep": "nan"}), "none"),
        (lambda record: record.update(non_finite=3), "not a run"),
    ],
)
def test_a_record_that_is_not_understood_is_refused(
    make_run: MakeRun, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    record = json.loads(make_run().to_json_line())
    change(record)
    for read in (Run.from_dict, lambda damaged: Run.from_json_line(json.dumps(damaged).encode())):
        with pytest.raises(RecordError, match=message):
            read(record)


@given(st.binary())
def test_any_bytes_are_refused_by_the_same_error(line: bytes) -> None:
    with pytest.raises(RecordError):
        Run.from_json_line(line)


def test_older_records_are_migrated_step_by_step() -> None:
    def rename(record: dict[str, Any]) -> dict[str, Any]:
        return {("accuracy" if key == "acc" else key): value for key, value in record.items()}

    def to_fraction(record: dict[str, Any]) -> dict[str, Any]:
        return record | {"accuracy": record["accuracy"] / 100}

    steps = (rename, to_fraction)
    assert migrate({"schema": 1, "acc": 94}, 3, steps) == {"schema": 3, "accuracy": 0.94}
    assert migrate({"schema": 2, "accuracy": 94}, 3, steps) == {"schema": 3, "accuracy": 0.94}
    assert migrate({"schema": 3, "accuracy": 0.94}, 3, steps) == {"schema": 3, "accuracy": 0.94}
    with pytest.raises(RecordError, match=r"schema 4.*up to 3"):
        migrate({"schema": 4}, 3, steps)


def test_there_is_a_migration_from_every_older_schema() -> None:
    assert len(MIGRATIONS) == SCHEMA - 1


def test_a_run_of_a_sweep_is_repeated_by_asking_for_its_cell(make_run):
    assert make_run(command="bench run digits --seeds 2").repeated_by == "bench run digits --seeds 2"
    swept = make_run(command="bench sweep digits --limit 3", cell="ab" * 8)
    assert swept.repeated_by == "bench sweep digits --limit 3 --rerun abababababababab"
    assert make_run(command="bench sweep digits --rerun all").repeated_by == "bench sweep digits --rerun all"
