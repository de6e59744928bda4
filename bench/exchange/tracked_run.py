"""A run as experiment trackers have it: parameters, final metrics, and metrics of each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import import_module
from typing import Any

from bench.errors import MissingError
from bench.runs.labels import flat, hardware, is_imported, show
from bench.runs.run import FINISHED, Run


@dataclass(frozen=True)
class EpochPoint:
    """The numbers after an epoch, and when it ended in seconds since 1970."""

    epoch: int
    at_s: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrackedRun:
    run: Run

    @property
    def name(self) -> str:
        return f"{self.run.recipe}, seed {self.run.seed}"

    @property
    def group(self) -> str:
        """Runs that belong together: of a sweep, or of a recipe."""
        return self.run.sweep or self.run.recipe

    @property
    def is_finished(self) -> bool:
        return self.run.status in FINISHED

    @cached_property
    def params(self) -> dict[str, str | int | float | bool]:
        """The config by dotted keys, and what the run may be compared with."""
        run = self.run
        told = flat(run.config) | {
            "seed": run.seed,
            "recipe": run.recipe,
            "measure": run.measure,
            "cell": run.cell,
            "machine": run.machine.get("hardware") if is_imported(run) else hardware(run),
            "commit": run.code.get("commit"),
            "data": run.data.get("name"),
        }
        simple = (str, int, float, bool)
        return {
            key: value if isinstance(value, simple) else show(value) for key, value in told.items() if value is not None
        }

    @cached_property
    def facts(self) -> dict[str, str]:
        """How it ended, and which command repeats it."""
        run = self.run
        told = {"run_id": run.run_id, "status": run.status, "reason": run.reason, "command": run.command}
        return {f"bench.{key}": value for key, value in told.items() if value}

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The final metrics that are finite numbers; true is 1."""
        return _finite(self.run.metrics)

    @property
    def began_s(self) -> float:
        """Seconds since 1970."""
        return datetime.fromisoformat(self.run.started_at).timestamp()

    @property
    def ended_s(self) -> float:
        """Seconds since 1970."""
        ends: list[float] = [span["end_s"] for span in self.run.spans if math.isfinite(span["end_s"])]
        return self.began_s + max([*ends, self.metrics.get("total_s", 0.0), 0.0])

    def epochs(self) -> Iterator[EpochPoint]:
        """The rows of the record, in their order."""
        ends = self._epoch_ends()
        for position, row in enumerate(self.run.epochs, 1):
            epoch = row.get("epoch")
            number = epoch if isinstance(epoch, int) else position
            metrics = _finite({key: value for key, value in row.items() if key != "epoch"})
            yield EpochPoint(number, self.began_s + ends.get(number, 0.0), metrics)

    def _epoch_ends(self) -> dict[int, float]:
        """Seconds since the command at which each epoch ended, by the number in its row.

        The spans of older records count epochs from 0, and their rows from 1.
        """
        spans = [span for span in self.run.spans if isinstance(span.get("epoch"), int) and math.isfinite(span["end_s"])]
        from_0 = any(span["epoch"] == 0 for span in spans) and all(row.get("epoch") != 0 for row in self.run.epochs)
        ends: dict[int, float] = {}
        for span in spans:
            epoch = span["epoch"] + from_0
            ends[epoch] = max(span["end_s"], ends.get(epoch, 0.0))
        return ends


def client(module: str, package: str) -> Any:
    """A tracker's own Python module. Raises MissingError, with how to install it, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingError(
            f"{package} cannot be used here: {error}; `pip install {package}` into the environment of bench brings it"
        ) from None


def _finite(values: Any) -> dict[str, float]:
    return {
        key: float(value) for key, value in values.items() if isinstance(value, int | float) and math.isfinite(value)
    }
