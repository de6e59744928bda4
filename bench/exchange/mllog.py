"""A run as MLPerf log lines: `:::MLLOG {json}`, as MLPerf's training rules describe them.

The lines are made from the record, so their times are those of the run. The clock starts before the data is touched,
and at the latest after the free time for initialisation, as in our rule book `mlperf`. Our runs load data before they
build the network. `init_stop` and `run_start` are therefore at the beginning of the `data` span, and compilation, which
comes later, counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bench.exchange.entry import Unfit
from bench.host import provenance
from bench.runs.labels import hardware
from bench.runs.run import FINISHED, Run
from bench.scores.rules.mlperf import FREE_INITIALISATION_S
from bench.scores.rules.timing import RunTimeline, TimedEvaluation
from bench.text import units

START, END, POINT = "INTERVAL_START", "INTERVAL_END", "POINT_IN_TIME"

# Seconds since the command, type of event, key, value, and metadata.
Event = tuple[float, str, str, Any, dict[str, Any]]


def log_lines(run: Run) -> list[str]:
    """The lines of one run in order of time, until the target was known to be reached.

    Raises `Unfit` for a run without a target or without spans.
    """
    if run.measure != "time_to_accuracy" or run.metrics.get("target_accuracy") is None:
        raise _refused(run, "it trained to no target")
    if run.status not in FINISHED:
        raise _refused(run, f"it ended as {run.status}")
    for what in provenance.faults(run.code).values():
        raise _refused(run, what)
    if run.shares_process:
        raise _refused(
            run, "it shared its process with other seeds, and its clock starts at the first touch of the data"
        )
    if run.resumed:
        raise _refused(run, "it was interrupted and went on from a checkpoint, and the clock has no pause")
    data = next((span for span in run.spans if span["name"] == "data"), None)
    if data is None and run.is_script:
        raise _refused(
            run,
            "the script does not report when it first touched its data, where this clock starts: send events of the "
            "span data",
        )
    if data is None:
        raise _refused(run, "it has no spans of its own, as one that was imported")
    started_ms = datetime.fromisoformat(run.started_at).timestamp() * 1000
    line = RunTimeline(run)
    first = line.first_at(float(run.metrics["target_accuracy"] or 0))
    begin_s = min(data["start_s"], FREE_INITIALISATION_S)
    end_s = first.piece.end_s if first else line.end_s
    events: list[Event] = [
        *((0.0, POINT, key, value, {}) for key, value in _facts(run).items()),
        (0.0, POINT, "cache_clear", False, {}),
        (0.0, START, "init_start", None, {}),
        (begin_s, END, "init_stop", None, {}),
        (begin_s, START, "run_start", None, {}),
        *_training(line, first),
        (end_s, END, "run_stop", None, {"status": "success" if first else "aborted"}),
    ]
    return [_line(started_ms + 1000 * time_s, *event) for time_s, *event in events]


def _facts(run: Run) -> dict[str, Any]:
    config = run.config
    return {
        "submission_benchmark": run.recipe,
        "submission_org": "none",
        "submission_division": "open",
        "submission_status": "research",
        "submission_platform": hardware(run),
        "seed": run.seed,
        "global_batch_size": run.global_batch_size,
        "gradient_accumulation_steps": config.get("accumulate") or 1,
        "train_samples": run.data.get("train_count"),
        "eval_samples": run.data.get("test_count"),
        "opt_name": units.get(config, "optimizer", "name"),
        "opt_base_learning_rate": units.get(config, "optimizer", "lr"),
    }


def _training(line: RunTimeline, last: TimedEvaluation | None) -> Iterator[Event]:
    """Epochs and evaluations, in order of time, until the end of the `last` evaluation; without one, all."""
    looks = {look.piece: look for look in line.evaluations}
    epoch = 0
    for piece in line.pieces:
        if piece.name == "train":
            epoch += 1
            yield piece.start_s, START, "epoch_start", None, {"epoch_num": epoch}
            yield piece.end_s, END, "epoch_stop", None, {"epoch_num": epoch}
        elif look := looks.get(piece):
            yield piece.start_s, START, "eval_start", None, {"epoch_num": look.epoch}
            yield piece.end_s, POINT, "eval_accuracy", look.accuracy, {"epoch_num": look.epoch}
            yield piece.end_s, END, "eval_stop", None, {"epoch_num": look.epoch}
            if last is not None and piece == last.piece:
                return


def _line(time_ms: float, event_type: str, key: str, value: Any, metadata: dict[str, Any]) -> str:
    # There is no source line: the log is made from a record.
    place = {"file": "runs.jsonl", "lineno": 0}
    return ":::MLLOG " + json.dumps(
        {
            "namespace": "",
            "time_ms": round(time_ms),
            "event_type": event_type,
            "key": key,
            "value": value,
            "metadata": place | metadata,
        }
    )


def _refused(run: Run, why: str) -> Unfit:
    return Unfit(f"run {run.run_id} makes no MLPerf log: {why}")
