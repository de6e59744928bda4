"""Runs as a driver sends them to a host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.execution.executors.executor import Assignment, Place
from bench.execution.recording import Attempt
from bench.host.share import Share
from bench.spec import recipes
from bench.spec.job import Job
from bench.spec.matrix import Cell
from bench.spec.sweep_plan import PlannedRun

SHORT = ("epochs=0.2", "target_accuracy=null", "threads=1")


def task_of(
    folder: Path, *settings: str, name: str = "digits", common: Sequence[str] = SHORT, **of_job: Any
) -> Assignment:
    """A run of a recipe, by default of a short one."""
    recipe = recipes.load(name, "cpu", (*common, *settings))
    job = Job(recipe, 0, "cpu", None, folder / "cache", folder / "run.log", time.monotonic(), **of_job)
    attempt = Attempt("its-id", datetime.now(UTC), job.log, recipe, own=recipe.own_things())
    cell = Cell({}, "0" * 16, recipe.config(), recipe)
    return Assignment(PlannedRun(cell, 0, None, "run"), attempt, Place(Share()), job)
