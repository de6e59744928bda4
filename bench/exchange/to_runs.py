"""Converts imported entries to runs that are marked as imported, and back.

`config.imported` distinguishes them from our own runs. Only undivided hours are known of their time, so the spans have
a name of their own that only DAWNBench's rule uses.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from bench.exchange.dawnbench import document, from_document
from bench.exchange.entry import TARGET_PERCENT, Entry, EntryRow, InferenceEntry, Unfit
from bench.exchange.from_runs import MS_PER_HOUR
from bench.runs.run import Run, cell_id
from bench.scores.rules.timing import UNDIVIDED
from bench.text.canonical import canonical_json

SOURCE = "dawnbench"
UNKNOWN_SEED = -1


def run_of(entry: Entry, name: str) -> Run:
    """The entry as a run; equal entries give equal runs."""
    measure = "inference" if isinstance(entry, InferenceEntry) else "time_to_accuracy"
    facts = document(entry)
    rows = [] if isinstance(entry, InferenceEntry) else entry.rows
    digest = hashlib.sha256(canonical_json([facts, [_numbers(row) for row in rows]]).encode()).hexdigest()
    imported = {
        "source": SOURCE,
        "name": name,
        "author": entry.author,
        # One column instead of a hundred, because `misc` has no common form.
        "document": msgspec.json.encode(facts).decode(),
    }
    config = {"data": {"name": "cifar10"}, "model": {"name": entry.model}, "imported": imported}
    return Run(
        run_id=f"{entry.timestamp.replace('-', '')}T000000.000000Z-{digest[:8]}",
        cell=cell_id(config | {"measure": measure, "entry": digest}),
        recipe=name,
        seed=UNKNOWN_SEED,
        status="ok",
        started_at=f"{entry.timestamp}T00:00:00Z",
        measure=measure,
        config=config,
        price_per_hour=_price_per_hour(entry),
        metrics=_metrics(entry),
        spans=_spans(rows),
        epochs=[_epoch(number, row) for number, row in enumerate(rows, 1)],
        machine={"id": None, "hardware": entry.hardware},
        code={"commit": entry.commit_hash, "url": entry.code_url},
        data={"name": "cifar10", "official": None},
        versions={"framework": entry.framework},
    )


def entry_back(run: Run) -> Entry:
    """The entry from which `run_of` made a run. Raises Unfit for any other run."""
    try:
        facts = msgspec.json.decode(run.config["imported"]["document"], type=dict[str, Any])
        rows = tuple(
            EntryRow(
                float(row["imported_epoch"] or 0), float(row["imported_hours"] or 0), float(row["imported_top1"] or 0)
            )
            for row in run.epochs
        )
        return from_document(facts, rows if run.measure != "inference" else None, Path(run.recipe))
    except (LookupError, TypeError, ValueError, RecursionError):
        raise Unfit(f"run {run.run_id} is marked as imported, and holds no entry that could be written") from None


def _metrics(entry: Entry) -> dict[str, float | int | bool | None]:
    if isinstance(entry, InferenceEntry):
        return {"accuracy": entry.top1_percent / 100, "latency_mean_ms": entry.latency_ms}
    return {
        "target_accuracy": TARGET_PERCENT / 100,
        "accuracy": entry.rows[-1].top1_percent / 100,
        "reached": True,
        "epochs": len(entry.rows),
        "time_to_target_s": entry.time_s,
    }


def _price_per_hour(entry: Entry) -> float | None:
    if not isinstance(entry, InferenceEntry):
        return entry.cost_per_hour
    # An inference entry states the cost of an image, which gives the price of an hour.
    return None if entry.cost_usd is None else entry.cost_usd / (entry.latency_ms / MS_PER_HOUR)


def _spans(rows: Any) -> list[dict[str, Any]]:
    spans, start_s = [], 0.0
    for number, row in enumerate(rows, 1):
        end_s = row.hours * 3600
        spans.append({"name": UNDIVIDED, "start_s": start_s, "end_s": end_s, "epoch": number, "device_s": None})
        start_s = end_s
    return spans


def _epoch(number: int, row: EntryRow) -> dict[str, Any]:
    epoch, hours, top1 = _numbers(row)
    accuracy = row.top1_percent / 100
    return {
        "epoch": number,
        "accuracy": accuracy,
        "imported_epoch": epoch,
        "imported_hours": hours,
        "imported_top1": top1,
    }


def _numbers(row: EntryRow) -> tuple[float, float, float]:
    return row.epoch, row.hours, row.top1_percent
