"""Our runs as DAWNBench entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError
from bench.exchange.dawnbench import checked
from bench.exchange.entry import TARGET_PERCENT, Entry, EntryRow, InferenceEntry, TrainEntry, Unfit
from bench.host import provenance
from bench.runs.disturbed import disturbed
from bench.runs.labels import hardware
from bench.runs.run import FINISHED, Run
from bench.scores.rules.dawnbench import epoch_rows
from bench.scores.rules.task import data_name
from bench.text import units

MS_PER_HOUR = 3.6e6


@dataclass(frozen=True)
class Submitter:
    """Facts that a run does not record, and replacements for some that it does."""

    author: str | None = None
    email: str | None = None
    hardware: str | None = None
    model: str | None = None
    framework: str | None = None
    code_url: str | None = None


def entry_of(run: Run, submitter: Submitter) -> Entry:
    """A run of CIFAR-10 that reached 94 %, as an entry: of training, or of inference for that measure.

    Raises `Unfit` with the reason if DAWNBench has no such entries, `UsageError` if the author is missing.
    """
    dataset = units.get(run.config, "data", "name")
    if dataset != "cifar10" or (dataset := data_name(run)) != "cifar10":
        raise _refused(run, f"it is of {dataset}, and these are DAWNBench's CIFAR10 tasks")
    if run.measure not in ("time_to_accuracy", "inference"):
        raise _refused(run, f"it measured {run.measure}; DAWNBench has entries of training and of inference")
    if run.status not in FINISHED:
        raise _refused(run, f"it ended as {run.status}")
    for what in provenance.faults(run.code).values():
        raise _refused(run, what)
    if not submitter.author or not submitter.email:
        raise UsageError("an entry names who made it: give --author and --email")
    values = _submission(run, submitter)
    entry = _inference(run, values) if run.measure == "inference" else _train(run, values)
    try:
        return checked(entry, f"run {run.run_id}")
    except UsageError as error:
        raise Unfit(str(error)) from None


def stem(entry: Entry) -> str:
    """[author]_[model]_[hardware]_[framework], in characters that every file system accepts."""
    parts = (entry.author, entry.model, entry.hardware, entry.framework)
    return "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-")[:40] for part in parts)


def remarks(run: Run) -> list[str]:
    """Remarks for readers of the entry."""
    notes = []
    if run.measure == "inference" and (run.metrics.get("latency_images") or 0) < (run.data.get("test_count") or 1):
        requests = run.metrics.get("latency_n")
        notes.append(f"the latency is the mean of {requests} requests for test images, not of each image once")
    if not run.data.get("official"):
        notes.append("the data were not checked against the publisher's files")
    if run.code.get("dirty"):
        notes.append("the code had uncommitted changes, so nobody else has it")
    if run.resumed:
        notes.append(
            "it was interrupted and went on from a checkpoint; its time holds the work that was lost, and no pause"
        )
    if told := disturbed([run]):
        notes.append(f"the machine was busy beside it: {told}")
    if not run.price_per_hour:
        notes.append("no price is known, so the entry has no cost; --price names one when running")
    if (units.get(run.config, "resolved", "price_source", "kind") or "on_demand") != "on_demand":
        notes.append("the price was not one on demand, which DAWNBench asks for; the entry has no cost")
    return notes


def _train(run: Run, values: dict[str, Any]) -> TrainEntry:
    if run.shares_process:
        raise _refused(run, "it shared its process with other seeds, and loading and compilation count")
    if any(part.get("lost_s") is None for part in run.resumed):
        raise _refused(run, "it went on from a checkpoint after a command that was killed, and the work lost counts")
    rows = _rows(run)
    best = max((row.top1_percent for row in rows), default=0.0)
    if best < TARGET_PERCENT:
        raise _refused(run, f"its best accuracy is {best:.2f} %, and {TARGET_PERCENT:g} % is needed")
    return TrainEntry(**values, rows=rows, cost_per_hour=_price(run))


def _inference(run: Run, values: dict[str, Any]) -> InferenceEntry:
    accuracy, latency_ms = run.metrics.get("accuracy"), run.metrics.get("latency_mean_ms")
    if latency_ms is None or accuracy is None:
        missing = "latency" if latency_ms is None else "accuracy, because its weights were not trained"
        raise _refused(run, f"it has no {missing}")
    if 100 * accuracy < TARGET_PERCENT:
        raise _refused(run, f"its accuracy is {accuracy:.2%}, and {TARGET_PERCENT:g} % is needed")
    price = _price(run)
    cost = None if price is None else latency_ms / MS_PER_HOUR * price
    return InferenceEntry(**values, latency_ms=latency_ms, top1_percent=_percent(accuracy), cost_usd=cost)


def _rows(run: Run) -> tuple[EntryRow, ...]:
    """A row for each evaluated epoch, on the clock of our rule book for DAWNBench."""
    if run.is_script:
        if "epochs" not in run.reported:
            raise _refused(run, "the script does not report when its epochs ended")
        return tuple(EntryRow(float(row.epoch), row.time_s / 3600, _percent(row.accuracy)) for row in epoch_rows(run))
    steps = {row["epoch"]: float(row.get("steps") or 0) for row in run.epochs}
    # The last epoch may be incomplete.
    if not all(steps.values()) or not run.metrics.get("epochs") or not run.metrics.get("steps"):
        raise _refused(run, "it does not say how many steps its epochs had")
    epochs_per_step = float(run.metrics["epochs"] or 0) / float(run.metrics["steps"] or 1)
    return tuple(
        EntryRow(round(steps[row.epoch] * epochs_per_step, 6), row.time_s / 3600, _percent(row.accuracy))
        for row in epoch_rows(run)
    )


def _framework(run: Run) -> str:
    if run.is_script:
        raise UsageError(f"run {run.run_id} is of a script, which does not say what it is made with: give --framework")
    return f"PyTorch {run.versions.get('torch', 'of unknown version')}"


def _percent(accuracy: float) -> float:
    return round(100 * accuracy, 6)


def _price(run: Run) -> float | None:
    kind = units.get(run.config, "resolved", "price_source", "kind") or "on_demand"
    return (run.price_per_hour or None) if kind == "on_demand" else None


def _submission(run: Run, submitter: Submitter) -> dict[str, Any]:
    config, infers = run.config, run.measure == "inference"
    mirrors = bool(units.get(config, "inference", "mirror"))
    misc = {
        "recipe": run.recipe,
        "command": run.command,
        "run": run.run_id,
        "seed": run.seed,
        "batchSize": 1 if infers else run.global_batch_size,
        "precision": units.get(config, "resolved", "precision"),
        "optimizer": units.get(config, "optimizer", "name"),
        "testTimeAugmentation": int(mirrors) if infers else units.get(config, "evaluation", "tta"),
        "requests": run.metrics.get("latency_n") if infers else None,
        "weights": units.get(config, "resolved", "weights", "sha256"),
        "weightsOfRun": units.get(config, "resolved", "weights", "run_id"),
        "parameters": run.metrics.get("parameters"),
        "dataFingerprint": run.data.get("fingerprint"),
        "dataOfficial": run.data.get("official"),
        "sources": run.code.get("sources_sha256"),
        "uncommittedChanges": run.code.get("dirty"),
        "CUDA version": run.machine.get("torch_cuda"),
        "CuDNN version": run.machine.get("torch_cudnn"),
    }
    return {
        "author": submitter.author,
        "author_email": submitter.email,
        "framework": submitter.framework or _framework(run),
        "model": submitter.model or units.get(config, "model", "name") or run.recipe,
        "hardware": submitter.hardware or hardware(run),
        "timestamp": run.started_at[:10],
        "code_url": submitter.code_url,
        "commit_hash": run.code.get("commit"),
        "misc": {key: value for key, value in misc.items() if value is not None},
    }


def _refused(run: Run, why: str) -> Unfit:
    return Unfit(f"run {run.run_id} makes no DAWNBench entry: {why}")
