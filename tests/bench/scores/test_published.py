"""The published results: their schema, and that DAWNBench's rows are what its real entries say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.entry import InferenceEntry, TrainEntry
from bench.exchange.to_runs import run_of
from bench.scores.published import COLUMNS, RECORDS, PublishedResult, load_records
from bench.scores.rules import rule

GOOD = {
    "id": "mine",
    "task": "cifar10/train",
    "system": "ResNet-9",
    "date": "2026-11",
    "hardware": "1 V100",
    "target_accuracy": "0.94",
    "time_s": "3600",
    "accuracy": "0.94",
    "accuracy_kind": "mean",
    "n": "50",
    "cost_usd": "3.06",
    "price_per_hour": "3.06",
    "rule": "speedrun",
    "source": "https://example.org/run",
}


def write(folder: Path, *rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "some.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([row.get(name, "") for name in COLUMNS] for row in rows)
    return path


def refusal(folder: Path, **changes: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_records([write(folder, GOOD, GOOD | {"id": "other"} | changes)])
    return str(caught.value).replace(str(folder), "FOLDER")


def test_the_records_are_valid_and_tidy() -> None:
    records = load_records()
    assert len(records) >= 60
    assert len({record.id for record in records}) == len(records)
    assert {record.task for record in records} == {"cifar10/train", "cifar10/inference"}
    for path in RECORDS.glob("*.csv"):
        assert b"\r" not in path.read_bytes()


# Seconds, epochs, accuracy, its number of runs, hardware, rule; as the sources in the file say.
KNOWN = {
    "hiverge": (1.99, 7.59, 0.94008, 2000, "A100", "speedrun"),
    "airbench94_muon": (2.59, 8, 0.9401, 200, "A100", "speedrun"),
    "airbench94_compiled": (3.09, 9.9, 0.9401, 1000, "A100", "speedrun"),
    "airbench94": (3.83, 9.9, 0.9401, 1000, "A100", "speedrun"),
    "airbench95": (10.4, 15, 0.9501, None, "A100", "speedrun"),
    "airbench96": (34.7, 37, 0.9603, None, "A100", "speedrun"),
    "airbench96_faster": (27.3, 45, 0.96, None, "A100", "speedrun"),
    "hlb_cifar10": (6.2, 12.1, 0.94, 25, "A100", None),
    "page_bag_of_tricks": (26, 10, 0.941, 50, "V100", None),
    "ffcv": (36, 24, 0.926, None, "A100", None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_speedruns_facts(name: str) -> None:
    record = next(record for record in load_records() if record.id == name)
    found = (record.time_s, record.epochs, record.accuracy, record.n, record.hardware, record.rule)
    assert found == KNOWN[name]


def test_the_known_facts_of_dawnbench_are_there() -> None:
    records = {record.id: record for record in load_records()}
    dawn = [record for record in records.values() if record.rule == "dawnbench"]
    assert len(dawn) == 31 + 21
    fastest = min((record for record in dawn if record.time_s), key=lambda record: record.time_s or 0)
    assert (fastest.time_s, fastest.devices, fastest.epochs) == (9.429, 8, 15)
    cheapest = min((record for record in dawn if record.time_s and record.cost_usd), key=lambda r: r.cost_usd or 0)
    assert (cheapest.time_s, cheapest.cost_usd) == (71.82, 0.021211)
    on_cpu = min((record for record in dawn if record.devices == 0 and record.time_s), key=lambda r: r.time_s or 0)
    assert (round(on_cpu.time_s or 0), on_cpu.epochs, round(on_cpu.cost_usd or 0)) == (286014, 141, 42)
    quickest = min((record for record in dawn if record.latency_ms), key=lambda record: record.latency_ms or 0)
    assert (quickest.latency_ms, quickest.accuracy) == (0.1345, 0.942)


def test_dawnbench_rows_are_what_the_entries_say(real_entries: Path) -> None:
    records = {record.id: record for record in load_records()}
    files = [*sorted(real_entries.glob("train/*.json")), *sorted(real_entries.glob("inference/*.json"))]
    assert len(files) == 31 + 21
    for path in files:
        entry, record = dawnbench.load(path), records[f"dawnbench/{path.parent.name}/{path.stem}"]
        assert (record.author, record.system, record.date) == (entry.author, entry.model, entry.timestamp)
        assert (record.hardware, record.framework) == (entry.hardware, entry.framework)
        if isinstance(entry, InferenceEntry):
            assert record.latency_ms == pytest.approx(entry.latency_ms, abs=1e-6)
            assert record.accuracy == pytest.approx(entry.top1_percent / 100, abs=1e-6)
        else:
            _same_training(record, entry)
        assert record.cost_usd == (None if entry.cost_usd is None else pytest.approx(entry.cost_usd, rel=1e-4))


def _same_training(record: PublishedResult, entry: TrainEntry) -> None:
    assert record.time_s == pytest.approx(entry.time_s, abs=1e-3)
    assert record.accuracy == pytest.approx(entry.result.top1_percent / 100, abs=1e-6)
    assert (record.epochs, record.price_per_hour) == (entry.result.epoch, entry.cost_per_hour)


def test_our_rule_book_gives_every_entry_its_own_result(real_entries: Path) -> None:
    records = {record.id: record for record in load_records()}
    for path in [*real_entries.glob("train/*.json"), *real_entries.glob("inference/*.json")]:
        run, record = run_of(dawnbench.load(path), path.stem), records[f"dawnbench/{path.parent.name}/{path.stem}"]
        score = rule("dawnbench", run.measure).score([run])
        assert score.qualifies, (path, score.reasons)
        assert (score.time_s and score.time_s.value) == (record.time_s and pytest.approx(record.time_s, abs=1e-3))
        assert (score.latency_ms and score.latency_ms.value) == (record.latency_ms and pytest.approx(record.latency_ms))
        assert (score.cost_usd and score.cost_usd.value) == (
            record.cost_usd and pytest.approx(record.cost_usd, rel=1e-4)
        )


def test_a_good_row(tmp_path: Path) -> None:
    (record,) = load_records([write(tmp_path, GOOD)])
    assert (record.time_s, record.n, record.note, record.latency_ms) == (3600, 50, None, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source": ""}, "source: is empty"),
        ({"source": "a blog"}, "source: is 'a blog'"),
        ({"time_s": "2 min"}, "time_s: is '2 min'"),
        ({"time_s": "-1"}, "time_s: is '-1'"),
        ({"time_s": "nan"}, "time_s: is 'nan'"),
        ({"time_s": ""}, "time_s: cifar10/train has this"),
        ({"latency_ms": "1"}, "time_s: cifar10/train has this, and no latency_ms"),
        ({"task": "cifar10/inference"}, "latency_ms: cifar10/inference has this"),
        ({"task": "CIFAR"}, "task: is 'CIFAR'"),
        ({"date": "20 Nov 2026"}, "date: is '20 Nov 2026'"),
        ({"date": "2026-02-30"}, "date: is '2026-02-30'; day is out of range"),
        ({"accuracy": "94.03"}, "accuracy: is '94.03'"),
        ({"accuracy": "nan"}, "accuracy: is 'nan'"),
        ({"accuracy_kind": "best"}, "accuracy_kind: is 'best'"),
        ({"n": "0"}, "n: is '0'"),
        ({"rule": "mlpref"}, "rule: there is no rule book 'mlpref'"),
        (
            {"task": "cifar10/inference", "time_s": "", "cost_usd": "", "latency_ms": "1"},
            "rule: speedrun does not score cifar10/inference; who does: dawnbench, or nothing",
        ),
        ({"target_accuracy": ""}, "target_accuracy: is empty, and without it no board of speedrun has the record"),
        ({"accuracy_kind": "share"}, "reached: stands where accuracy_kind is share"),
        ({"accuracy_kind": "share", "reached": "51"}, "reached: 51 of n = 50 runs"),
        ({"cost_usd": "4"}, "cost_usd: 4, but time_s and price_per_hour make 3.06"),
        ({"id": "mine"}, "id: 'mine' stands at FOLDER/some.csv:2 too"),
    ],
)
def test_a_bad_row_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert refusal(tmp_path, **changes).startswith(f"FOLDER/some.csv:3: {told}")


def test_a_table_of_another_shape(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"some.csv:1: the header should be id,task,"):
        load_records([write(tmp_path, GOOD, header=("id", "time"))])
    path = write(tmp_path, GOOD)
    path.write_text(path.read_text() + "short,row\n")
    with pytest.raises(UsageError, match=r"some.csv:3: has 2 fields, should have 24"):
        load_records([path])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        load_records([path])
    with pytest.raises(UsageError, match="cannot be read"):
        load_records([tmp_path / "none.csv"])
