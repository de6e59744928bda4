"""`bench run`: one recipe, one run for each seed, each recorded as soon as it ends."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from rich.console import Console

import bench
from bench import recipe as recipes
from bench.recipe import Recipe
from bench.report import text
from bench.report.progress import Progress, view
from bench.report.summary import print_summary
from bench.run import Run, cell_id, new_run_id
from bench.runner import Measured, execute
from bench.store import Store
from bench.worker import Job

# Much more than one record takes, and too little to notice.
ROOM_FOR_A_RECORD_BYTES = 1 << 20
MEASURE = "time_to_accuracy"
EXIT_BY_STATUS = {"ok": 0, "interrupted": 130}


@dataclass(frozen=True)
class RunOptions:
    """The command line of `bench run`."""

    recipe: str
    settings: Sequence[str] = ()
    seeds: int | None = None
    first_seed: int = 0
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")
    price_per_hour: float | None = None


def run(options: RunOptions, console: Console) -> int:
    """Run every seed and print the table; returns the exit code.

    Raises `UsageError` for a recipe that does not fit, `MissingError` for data, hardware or room for
    the results that is missing. Both come before any training.
    """
    from bench.machine import default_device

    device = default_device() if options.device == "auto" else options.device
    recipe = recipes.load(options.recipe, device, options.settings)
    store = Store(options.results / "runs" / "runs.jsonl")
    store.check_writable(ROOM_FOR_A_RECORD_BYTES)
    campaign = Campaign(options, recipe, device, store, console)
    campaign.announce()
    finished = campaign.run_all()
    print_summary(console, finished, store.path)
    return max((EXIT_BY_STATUS.get(one.status, 1) for one in finished), default=0)


class Campaign:
    """The runs of one command."""

    def __init__(self, options: RunOptions, recipe: Recipe, device: str, store: Store, console: Console) -> None:
        from bench.provenance import code_identity

        self.options, self.recipe, self.device = options, recipe, device
        self.store, self.console = store, console
        self.name = Path(options.recipe).stem
        self.config = {**recipe.config(), "device": device}
        self.cell = cell_id(self.config | {"measure": MEASURE})
        self.code = code_identity()
        self.price_per_hour = options.price_per_hour if options.price_per_hour is not None else recipe.price_per_hour

    @property
    def seeds(self) -> range:
        first = self.options.first_seed
        return range(first, first + (self.options.seeds or self.recipe.seeds))

    def announce(self) -> None:
        """Say what will run, towards what, and how long it took before."""
        recipe, count = self.recipe, len(self.seeds)
        target = f" to {text.percent(recipe.target_accuracy)}" if recipe.target_accuracy is not None else ""
        self._say(
            f"{self.name}: {recipe.model.name} on {recipe.data.name}{target}, {recipe.epochs:g} epochs on "
            f"{self.device}, {count} seed{'s' if count > 1 else ''}"
        )
        self._say(f"Expected: {self._expectation()}")

    def run_all(self) -> list[Run]:
        """One run a seed, in order; an interrupted one is the last."""
        finished: list[Run] = []
        for position, seed in enumerate(self.seeds):
            origin_s = bench.STARTED_S if position == 0 else time.monotonic()
            finished.append(self._run_one(seed, origin_s, self._title(position)))
            if finished[-1].status == "interrupted":
                break
        return finished

    def _title(self, position: int) -> str:
        count = len(self.seeds)
        return f"{self.name}, seed {self.seeds[position]}" + (f" ({position + 1} of {count})" if count > 1 else "")

    def _run_one(self, seed: int, origin_s: float, title: str) -> Run:
        run_id, started_at = new_run_id(), datetime.now(UTC)
        log = self.options.results / "logs" / f"{run_id}.log"
        job = Job(
            self.recipe,
            seed,
            self.device,
            self.options.data_dir,
            self.options.results / "cache",
            log,
            origin_s,
        )
        progress = Progress(title, self.recipe.target_accuracy, self.price_per_hour, origin_s)
        with view(self.console, progress) as follow:
            measured = execute(job, follow)
        record = self._record(run_id, started_at, seed, measured, log)
        self.store.append(record)
        accuracy = text.percent(record.metrics.get("accuracy"))
        total = text.duration(record.metrics.get("total_s"))
        self._say(f"{title}: {record.status}, accuracy {accuracy}, {total} in all")
        return record

    def _record(self, run_id: str, started_at: datetime, seed: int, measured: Measured, log: Path) -> Run:
        facts = measured.facts
        return Run(
            run_id=run_id,
            cell=self.cell,
            recipe=self.name,
            seed=seed,
            status=measured.status,
            reason=measured.reason,
            log=os.path.relpath(log, self.options.results),
            log_tail=measured.log_tail,
            command=shlex.join(["bench", *sys.argv[1:]]),
            started_at=started_at.isoformat(timespec="milliseconds"),
            measure=MEASURE,
            config=self.config | {"resolved": facts.get("resolved", {})},
            price_per_hour=self.price_per_hour,
            metrics=measured.metrics,
            spans=measured.spans,
            epochs=measured.epochs,
            machine=facts.get("machine", {}),
            code=self.code,
            data=facts.get("data", {}),
            versions=facts.get("versions", {}),
        )

    def _expectation(self) -> str:
        from bench.machine import fingerprint

        here = fingerprint()["id"]
        here_s: list[float] = []
        elsewhere_s: list[float] = []
        for run in self.store.read():
            if run.cell == self.cell and run.status in ("ok", "not_reached"):
                known = here_s if run.machine.get("id") == here else elsewhere_s
                known.append(float(run.metrics["total_s"] or 0))
        if here_s:
            return f"{text.duration(fmean(here_s))} a seed, the mean of {len(here_s)} earlier on this machine"
        if elsewhere_s:
            return f"unknown here; on another machine {text.duration(fmean(elsewhere_s))} a seed"
        return "unknown, this machine has not run it before; the time left is shown after the first steps"

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
