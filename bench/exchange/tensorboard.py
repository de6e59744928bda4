"""Runs as folders for TensorBoard, by the writer that torch has for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.exchange.tracked_run import TrackedRun, client

PACKAGE = "tensorboard"


def log_runs(runs: Sequence[tuple[TrackedRun, str]], folder: Path) -> Iterator[tuple[TrackedRun, Path | None]]:
    """Write each run to the folder of its name; None in place of the folder for a run that is there already.

    Raises MissingError without the package, OSError where it cannot be written.
    """
    client("tensorboard", PACKAGE)
    writer = client("torch.utils.tensorboard", PACKAGE).SummaryWriter
    for one, name in runs:
        place = folder / name
        if place.exists() and any(place.iterdir()):
            yield one, None
            continue
        # Whole or not at all: a folder that broke off on its way would be taken for a run that is there.
        draft = place.with_name(f".{place.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        _log(writer, one, draft)
        if place.exists():
            place.rmdir()
        draft.rename(place)
        yield one, place


def _log(writer: Any, one: TrackedRun, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with writer(log_dir=str(place)) as board:
        last = 0
        for point in one.epochs():
            last = point.epoch
            for name, value in point.metrics.items():
                board.add_scalar(name, value, point.epoch, walltime=point.at_s)
        for name, value in one.metrics.items():
            board.add_scalar(f"final/{name}", value, last, walltime=one.ended_s)
        board.add_text("run", _table(one), walltime=one.ended_s)


def _table(one: TrackedRun) -> str:
    """Facts and parameters as a table in Markdown."""
    told = one.facts | {key: str(value) for key, value in one.params.items()}
    told |= {"tags": ", ".join(one.run.tags), "notes": " ".join(one.run.notes)}
    # A line break would end the table.
    lines = {key: " ".join(value.splitlines()).replace("|", "\\|") for key, value in told.items()}
    rows = [f"| {key} | {value} |" for key, value in lines.items() if value]
    return "\n".join(["| key | value |", "| --- | --- |", *rows])
