"""One run for each of several seeds: what `bench run` and `bench time` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from bench.errors import STOPPED
from bench.execution.measured import Measured
from bench.execution.recording import Attempt, Recorder
from bench.runs.run import Run
from bench.spec.prices import Price
from bench.text import units
from bench.text.console import say


class SeedRuns:
    """The runs of one cell with `seeds`, in order; those that are recorded are in `finished`."""

    def __init__(
        self,
        recorder: Recorder,
        console: Console,
        seeds: Sequence[int],
        identity: tuple[dict[str, Any], str],
        measure: str,
        price: Price | None,
    ) -> None:
        """`identity` is the config that records hold, and the id of the cell."""
        self.recorder, self.console, self.seeds, self.price = recorder, console, seeds, price
        self.config, self.cell = identity
        self.measure = measure
        # Of this command, and of earlier ones whose seeds are not run again.
        self.finished: list[Run] = []
        self.earlier: list[Run] = []

    @property
    def runs(self) -> list[Run]:
        """The runs of all seeds that were asked for, in the order of the seeds."""
        return sorted([*self.earlier, *self.finished], key=lambda run: run.seed)

    @property
    def price_per_hour(self) -> float | None:
        """Dollars."""
        return self.price.usd_per_hour if self.price else None

    @property
    def counted_seeds(self) -> str:
        """`1 seed`, `3 seeds`."""
        return units.counted(len(self.seeds), "seed")

    def title(self, seed: int) -> str:
        """What the run with this seed is called."""
        count = len(self.seeds)
        position = f" ({self.seeds.index(seed) + 1} of {count})" if count > 1 else ""
        return f"{self.recorder.recipe}, seed {seed}{position}"

    def keep(self, attempt: Attempt, measured: Measured, seed: int) -> Run:
        """Record a run. Raises `StoreError` if that is impossible."""
        run = self.recorder.record(
            attempt,
            measured,
            cell=self.cell,
            config=self.config,
            seed=seed,
            measure=self.measure,
            price_per_hour=self.price_per_hour,
            price_source=self.price.source if self.price else None,
        )
        self.finished.append(run)
        return run

    def outcome(self, run: Run) -> str:
        """`digits, seed 0: ok, accuracy 99.72 %, 3.2 s`."""
        accuracy = run.metrics.get("accuracy")
        reached = f", accuracy {units.percent(accuracy)}" if accuracy is not None else ""
        return f"{self.title(run.seed)}: {run.status}{reached}, {units.duration(run.metrics.get('total_s'))}"

    def exit_code(self) -> int:
        """That of the worst run; STOPPED, with a message, if some seeds were not run."""
        done = sum(run.status != "interrupted" for run in self.finished)
        if done < len(self.seeds):
            self.say(f"Stopped: {done} of {self.counted_seeds} done")
            return STOPPED
        return max(0 if run.status == "ok" else 1 for run in self.runs)

    def say(self, line: str) -> None:
        say(self.console, line)
