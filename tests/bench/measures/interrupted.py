"""Runs that were interrupted and go on, as tests of checkpoints have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.host.clock import Clock
from bench.host.fingerprint import fingerprint
from bench.measures.lookup import measure_class
from bench.runs import checkpoint
from bench.runs.checkpoint import Checkpoint, CheckpointPlace, Ended
from bench.spec.job import Job

Told = list[dict[str, Any]]


def place_of(folder: Path, run_id: str = "20260101T000000.000000Z-00000000") -> CheckpointPlace:
    folder.mkdir(exist_ok=True)
    return CheckpointPlace(folder, run_id, "digits", "0123456789abcdef", 0, {}, {"sources_sha256": "s"}, fingerprint())


def left_by(place: CheckpointPlace) -> Checkpoint:
    """The checkpoint that a finished run has left, as only the command removes it, with a note of an interruption."""
    made = checkpoint.read(place.path)
    at_s = made.values.elapsed_s + 2.5
    made.ended(Ended(made.values.run_id, "interrupted", at_s, 1000.0))
    return checkpoint.read(place.path)


def resumed(job: Job, made: Checkpoint) -> Job:
    return replace(job, resume=made, parts=made.parts(1060.0))


def run_resumed(job: Job) -> Told:
    """What such a job told; the clock begins as a worker begins it."""
    told: Told = []
    clock = Clock()
    assert job.resume is not None
    clock.spans += job.resume.spans()
    clock.origin_s -= clock.spans[-1].end_s
    measure = measure_class(job.measure)(job, clock, lambda kind, **values: told.append({"kind": kind, **values}))
    measure.run()
    return told


def last(told: Told, kind: str = "end") -> dict[str, Any]:
    return [event for event in told if event["kind"] == kind][-1]


def rows(told: Told) -> Told:
    """The rows of epochs, without their seconds."""
    return [
        {key: value for key, value in event.items() if key not in ("kind", "train_s")}
        for event in told
        if event["kind"] == "epoch"
    ]
