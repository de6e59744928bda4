"""A sweep as people follow it: one live table of its runs, plain lines in a log, and a table by cell at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.matrix import Cell, short
from bench.report import text
from bench.report.progress import PLAIN_EVERY_S, Progress
from bench.report.summary import summarise
from bench.run import FINISHED, Run
from bench.sweep import Entry, Plan

Show = Callable[[float | None], str]

# Lines of a live table's surroundings: title, heads, rules and the line below.
AROUND_TABLE_LINES = 8
LOG_WIDTH = 160
# Of the device where it has memory of its own, else of the host.
PEAK = "peak_bytes"
STYLES = {"ok": "green", "to run": "dim", "later": "dim", "running": "bold cyan"}


# What each measure is about: label, metric, and how it is written.
HEADLINES: dict[str, Sequence[tuple[str, str, Show]]] = {
    "time_to_accuracy": (
        ("accuracy", "accuracy", text.percent),
        ("training", "train_s", text.duration),
    ),
    "throughput": (
        ("samples/s", "samples_per_s", text.rate),
        ("without loader", "samples_per_s_without_loader", text.rate),
    ),
    "inference": (
        ("latency p50", "latency_p50_ms", text.milliseconds),
        ("latency p99", "latency_p99_ms", text.milliseconds),
    ),
    "loading": (
        ("first epoch", "first_epoch_images_per_s", text.rate),
        ("later epochs", "images_per_s", text.rate),
    ),
}


class SweepProgress:
    """Where a sweep stands; rendered, it is the table of its runs around the present one."""

    def __init__(self, name: str, plan: Plan, keys: Sequence[str], measure: str) -> None:
        self.name, self.plan, self.keys, self.measure = name, plan, keys, measure
        self.entry: Entry | None = None
        self.run: Progress | None = None
        self.note = ""
        self.position = 0
        self.count = plan.actions["run"]
        self._seeds = len({entry.seed for entry in plan.entries}) > 1

    def begin(self, entry: Entry) -> None:
        self.position += 1
        recipe = entry.cell.recipe
        target = recipe.target_accuracy if recipe and self.measure == "time_to_accuracy" else None
        self.entry, self.run = entry, Progress(self.title, target, None, time.monotonic())

    def take(self, event: dict[str, Any]) -> None:
        if event["kind"] == "finishing":
            self.note = "stopping after this run; Ctrl-C again stops it now"
        elif event["kind"] == "stopping":
            self.note = "stopping now; Ctrl-C again kills the worker"
        elif self.run is not None:
            self.run.take(event)

    def end(self) -> None:
        self.entry = self.run = None

    @property
    def title(self) -> str:
        return f"{self.name}, run {self.position} of {self.count}"

    @property
    def left_s(self) -> float | None:
        """Seconds until the last run ends, None where no cell has ever run."""
        left_s = self.plan.left_s
        run = self.run
        return left_s if left_s is None or run is None else max(left_s - run.elapsed_s, 0.0)

    def describe(self, entry: Entry) -> str:
        seed = f", seed {entry.seed}" if self._seeds else ""
        return f"{entry.cell.label}{seed}"

    def __rich_console__(self, console: Console, _: object) -> Any:
        # Once, because a live display draws in a thread of its own.
        entries, current, run = self.plan.entries, self.entry, self.run
        height = max(console.height - AROUND_TABLE_LINES, 4)
        at = next((i for i, entry in enumerate(entries) if entry is current), len(entries) - 1)
        start = max(0, min(at - height // 2, len(entries) - height))
        table = Table(*headings(self.keys), *(["seed"] if self._seeds else []), "status", "progress")
        (label, metric, show), *_ = HEADLINES[self.measure]
        table.add_column(label, justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        for entry in entries[start : start + height]:
            status, progress = _state(entry), ""
            value, spent_s = (entry.run.metrics.get(name) if entry.run else None for name in (metric, "total_s"))
            if entry is current and run is not None:
                status, value, spent_s = "running", run.accuracy, run.elapsed_s
                progress = run.phase + (f" {run.step}/{run.total_steps}" if run.total_steps else "")
            table.add_row(
                *_values(entry.cell, self.keys),
                *([str(entry.seed)] if self._seeds else []),
                Text(status, style=STYLES.get(status, "yellow")),
                progress,
                show(value),
                text.duration(spent_s),
            )
        hidden = len(entries) - height
        more = f", {hidden} runs not shown" if hidden > 0 else ""
        left = text.duration(self.left_s) if self.left_s is not None else "unknown until the first run ends"
        yield Group(
            Text(f"{self.title}{more}", style="bold"), table, Text(f"left: {left}  "), Text(self.note, "yellow")
        )


class LiveSweep:
    """Redraws the table in place; for terminals."""

    def __init__(self, console: Console, progress: SweepProgress) -> None:
        self._progress = progress
        self._live = Live(progress, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveSweep:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, entry: Entry) -> None:
        self._progress.begin(entry)

    def take(self, event: dict[str, Any]) -> None:
        self._progress.take(event)

    def end(self, _: Entry) -> None:
        self._progress.end()


class PlainSweep:
    """A line when a run begins and when it ends, and every half minute between; for logs and pipes."""

    def __init__(self, console: Console, progress: SweepProgress) -> None:
        self._console, self._progress = console, progress
        self._next_s = 0.0

    def __enter__(self) -> PlainSweep:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, entry: Entry) -> None:
        self._progress.begin(entry)
        self._next_s = time.monotonic() + PLAIN_EVERY_S
        self._say(f"{self._progress.title}: {self._progress.describe(entry)}")

    def take(self, event: dict[str, Any]) -> None:
        progress = self._progress
        progress.take(event)
        if event["kind"] in ("finishing", "stopping"):
            self._say(progress.note)
        elif time.monotonic() >= self._next_s and progress.run is not None:
            self._next_s = time.monotonic() + PLAIN_EVERY_S
            self._say(progress.run.line())

    def end(self, entry: Entry) -> None:
        progress, run = self._progress, entry.run
        if run is not None:
            label, metric, show = HEADLINES[progress.measure][0]
            result = f", {label} {show(run.metrics[metric])}" if run.metrics.get(metric) is not None else ""
            reason = f" ({run.reason})" if run.reason else ""
            self._say(
                f"{progress.title}: {run.status}{reason}{result}, {text.duration(run.metrics.get('total_s'))}; "
                f"left {text.duration(progress.plan.left_s)}"
            )
        progress.end()

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def view(console: Console, progress: SweepProgress) -> LiveSweep | PlainSweep:
    """The view that suits where the output goes."""
    return LiveSweep(console, progress) if console.is_terminal else PlainSweep(console, progress)


def plan_table(plan: Plan, keys: Sequence[str]) -> Table:
    """A row for each cell: its id, what is done, what is to run, how long, or why it is skipped."""
    table = Table()
    table.add_column("cell", no_wrap=True)
    for heading in headings(keys):
        table.add_column(heading)
    for name in ("done", "to run"):
        table.add_column(name, justify="right")
    table.add_column("expected", justify="right")
    table.add_column("remark")
    for cell in plan.cells:
        entries = [entry for entry in plan.entries if entry.cell.id == cell.id]
        actions = Counter(entry.action for entry in entries)
        expected = text.duration(entries[0].expected_s) if entries[0].expected_s is not None else "unknown"
        statuses = Counter(entry.run.status for entry in entries if entry.action == "done" and entry.run)
        later = f"{actions['later']} beyond the limit" if actions["later"] else ""
        table.add_row(
            cell.id,
            *_values(cell, keys),
            ", ".join(f"{count} {status}" for status, count in statuses.items()) or "0",
            str(actions["run"]),
            expected if actions["run"] else "",
            Text(f"skipped: {cell.skip}" if cell.skip else later),
        )
    return table


def summary_table(plan: Plan, keys: Sequence[str], measure: str) -> Table:
    """A row for each cell: the runs by status, and what was measured as mean ± 95 % interval over the seeds."""
    table = Table(*headings(keys), caption="mean ± half of the 95 % interval, over the seeds")
    table.caption_justify = "left"
    table.add_column("runs", no_wrap=True)
    headlines = [*HEADLINES[measure], ("total", "total_s", text.duration), ("peak memory", PEAK, text.size)]
    for label, _, _ in headlines:
        table.add_column(label, justify="right", no_wrap=True)
    for cell in plan.cells:
        runs = [entry.run for entry in plan.entries if entry.cell.id == cell.id and entry.run is not None]
        statuses = Counter(run.status for run in runs)
        measured = [run for run in runs if run.status in FINISHED]
        table.add_row(
            *_values(cell, keys),
            ", ".join(f"{count} {status}" for status, count in statuses.items()) or text.MISSING,
            *(summarise([_metric(run, metric) for run in measured], show) for _, metric, show in headlines),
        )
    return table


def print_summary(console: Console, plan: Plan, keys: Sequence[str], measure: str) -> None:
    """The table by cell, the reason of every run that has one, and how often each status came."""
    print_table(console, summary_table(plan, keys, measure))
    runs = [entry.run for entry in plan.entries if entry.run is not None]
    for entry in plan.entries:
        if entry.run is not None and entry.run.reason is not None:
            log = f"; log: {entry.run.log}" if entry.run.log else ""
            _say(console, f"{entry.cell.label}, seed {entry.seed}: {entry.run.status}: {entry.run.reason}{log}")
    counts = Counter(run.status for run in runs)
    interrupted = [run for run in runs if run.status == "interrupted"]
    open_count = sum(entry.action != "done" or entry.run in interrupted for entry in plan.entries)
    counted = [f"{count} {status}" for status, count in counts.most_common()]
    _say(console, ", ".join(counted + ([f"{open_count} still to run"] if open_count else [])))


def print_table(console: Console, table: Table) -> None:
    """As wide as the terminal; in a log or a pipe, as wide as it needs."""
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, LOG_WIDTH))
    console.print(table)


def headings(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or all of it where that part is not unique."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for name, key in zip(last, keys, strict=True)]


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _state(entry: Entry) -> str:
    if entry.action == "done" and entry.run is not None:
        return entry.run.status
    return "later" if entry.action == "later" else "to run"


def _values(cell: Cell, keys: Sequence[str]) -> list[Text]:
    return [Text(short(cell.values[key]) if key in cell.values else text.MISSING) for key in keys]


def _metric(run: Run, name: str) -> float | None:
    if name == PEAK:
        return run.metrics.get("peak_device_bytes") or run.metrics.get("peak_host_bytes")
    return run.metrics.get(name)
