"""Live progress of a sweep: one table of its runs on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.report.terminal.progress import PLAIN_EVERY_S, Progress
from bench.report.terminal.sweep_table import Show, headings, headlines, values_of
from bench.runs.run import FINISHED
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.text import units
from bench.text.console import say
from bench.text.fitting import fitted

# Lines around a live table: title, headings, rules and the line below.
AROUND_TABLE_LINES = 8
# Drawing a table takes some twenty milliseconds on the cores that are being timed.
REDRAWS_PER_S = 1
# What a run does until a host of a cluster begins it.
WAITING = ("queued", "waiting for its node")
STYLES = {"ok": "green", "to run": "dim", "later": "dim", "running": "bold cyan"}


class SweepProgress:
    """The state of a sweep; rendered as a table of the runs around the present ones."""

    def __init__(self, name: str, plan: SweepPlan, keys: Sequence[str], measure: str, jobs: int = 1) -> None:
        self.name, self.plan, self.keys, self.measure, self.jobs = name, plan, keys, measure, jobs
        self.running: dict[tuple[str, int], Progress] = {}
        self.note = ""
        self.count = plan.actions["run"]
        self._begun = 0
        self._seeds = len({entry.seed for entry in plan.entries}) > 1

    def begin(self, entry: PlannedRun) -> Progress:
        self._begun += 1
        target = entry.cell.target_accuracy if self.measure == "time_to_accuracy" else None
        title = f"{self.name}, run {self._begun} of {self.count}"
        progress = self.running[entry.key] = Progress(title, target, None, time.monotonic())
        return progress

    def take(self, entry: PlannedRun, event: dict[str, Any]) -> bool:
        """Process a run's message; returns whether there is a new `note` for the whole sweep."""
        before = self.note
        if event["kind"] == "finishing":
            runs = "this run" if len(self.running) < 2 else "these runs"
            self.note = f"stopping after {runs}; Ctrl-C again stops now"
        elif event["kind"] == "stopping":
            self.note = "stopping now; Ctrl-C again kills the workers"
        else:
            run = self.running[entry.key]
            if run.phase in WAITING:  # its time counts from when its host begins it
                run.origin_s = time.monotonic()
            run.take(event)
        return self.note != before

    def end(self, entry: PlannedRun) -> None:
        if entry.action == "run":  # its host was lost, and it begins again
            self.count += 1
        # A new mapping, because a live display draws in its own thread.
        self.running = {key: progress for key, progress in self.running.items() if key != entry.key}

    @property
    def title(self) -> str:
        if not self._begun:
            return f"{self.name}, {self.count} to run: importing once for all"
        others = f", {len(self.running)} at once" if len(self.running) > 1 else ""
        return f"{self.name}, run {self._begun} of {self.count}{others}"

    @property
    def left_s(self) -> float | None:
        """Seconds until the last run ends; None if no cell has run before."""
        if (left_s := self.plan.left_s) is None:
            return None
        spent_s = sum(progress.elapsed_s for progress in self.running.values() if progress.phase not in WAITING)
        return max(left_s - spent_s, 0.0) / self.jobs

    @property
    def headline(self) -> tuple[str, str, Show]:
        """The measure's first figure; a user's own may have none before its first run has ended."""
        known = headlines(self.measure, (entry.run for entry in self.plan.entries if entry.run is not None))
        return known[0] if known else ("result", "", units.number)

    def describe(self, entry: PlannedRun) -> str:
        seed = f", seed {entry.seed}" if self._seeds else ""
        return f"{entry.cell.label}{seed}"

    def __rich_console__(self, console: Console, _: object) -> Any:
        # Read once, because a live display draws in its own thread.
        entries, running = self.plan.entries, self.running
        height = max(console.height - AROUND_TABLE_LINES, 4)
        first_due = next((i for i, entry in enumerate(entries) if entry.action == "run"), len(entries) - 1)
        at = max((i for i, entry in enumerate(entries) if entry.key in running), default=first_due)
        start = max(0, min(at - height // 2, len(entries) - height))
        label, metric, show = self.headline
        table = Table(*headings(self.keys), *(["seed"] if self._seeds else []), "status")
        for name, justify in (("progress", "left"), (label, "right"), ("time", "right")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for entry in entries[start : start + height]:
            status, doing = _state(entry), ""
            value, spent_s = (entry.run.metrics.get(name) if entry.run else None for name in (metric, "total_s"))
            if (run := running.get(entry.key)) is not None:
                status, value, spent_s = "running", run.accuracy, run.elapsed_s
                doing = run.phase + (f" {run.step}/{run.total_steps}" if run.total_steps else "")
            table.add_row(
                *map(Text, values_of(entry.cell.values, self.keys)),
                *([str(entry.seed)] if self._seeds else []),
                Text(status, style=STYLES.get(status, "yellow")),
                doing,
                show(value),
                units.duration(spent_s),
            )
        hidden = len(entries) - height
        more = f", {hidden} runs not shown" if hidden > 0 else ""
        left = units.duration(self.left_s) if self.left_s is not None else "unknown until the first run ends"
        yield Group(
            Text(f"{self.title}{more}", style="bold"),
            fitted(table, console.width, ("time", label, "progress")),
            Text(f"left: {left}  "),
            Text(self.note, "yellow"),
        )


class LiveSweep:
    """Redraws the table in place; for terminals."""

    def __init__(self, console: Console, progress: SweepProgress) -> None:
        self._progress = progress
        self._live = Live(progress, console=console, refresh_per_second=REDRAWS_PER_S, transient=True)

    def __enter__(self) -> LiveSweep:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, entry: PlannedRun) -> None:
        self._progress.begin(entry)

    def take(self, entry: PlannedRun, event: dict[str, Any]) -> None:
        self._progress.take(entry, event)

    def end(self, entry: PlannedRun) -> None:
        self._progress.end(entry)


class PlainSweep:
    """Prints a line when a run starts and ends, and every half minute between; for logs and pipes."""

    def __init__(self, console: Console, progress: SweepProgress) -> None:
        self._console, self._progress = console, progress
        self._next_s: dict[tuple[str, int], float] = {}

    def __enter__(self) -> PlainSweep:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, entry: PlannedRun) -> None:
        run = self._progress.begin(entry)
        self._next_s[entry.key] = time.monotonic() + PLAIN_EVERY_S
        self._say(f"{run.title}: {self._progress.describe(entry)}")

    def take(self, entry: PlannedRun, event: dict[str, Any]) -> None:
        if self._progress.take(entry, event):
            self._say(self._progress.note)
        elif time.monotonic() >= self._next_s[entry.key]:
            self._next_s[entry.key] = time.monotonic() + PLAIN_EVERY_S
            self._say(self._progress.running[entry.key].line())

    def end(self, entry: PlannedRun) -> None:
        progress, run = self._progress, entry.run
        title = progress.running[entry.key].title
        progress.end(entry)
        if run is not None:
            label, metric, show = progress.headline
            result = f", {label} {show(run.metrics[metric])}" if run.metrics.get(metric) is not None else ""
            # Remarks on figures are printed once, at the end.
            reason = f" ({run.reason})" if run.reason and run.status not in FINISHED else ""
            self._say(
                f"{title}: {run.status}{reason}{result}, {units.duration(run.metrics.get('total_s'))}; "
                f"left {units.duration(progress.left_s)}"
            )

    def _say(self, line: str) -> None:
        say(self._console, line)


def view(console: Console, progress: SweepProgress) -> LiveSweep | PlainSweep:
    """The view that suits where the output goes."""
    return LiveSweep(console, progress) if console.is_terminal else PlainSweep(console, progress)


def _state(entry: PlannedRun) -> str:
    if entry.action == "done" and entry.run is not None:
        return entry.run.status
    return "later" if entry.action == "later" else "to run"
