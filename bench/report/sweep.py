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
from bench.report.arms import compare_arms
from bench.report.fitting import fitted, print_table
from bench.report.progress import PLAIN_EVERY_S, Progress
from bench.report.summary import summarise
from bench.run import FINISHED, Run
from bench.scaling import efficiency, one_device_config
from bench.sweep import Entry, Plan

Show = Callable[[float | None], str]

# Lines of a live table's surroundings: title, heads, rules and the line below.
AROUND_TABLE_LINES = 8
# Of a failure's log: enough to see an exception, which is at the end.
LOG_LINES = 3
# What a narrow terminal can do without, the most dispensable first.
OPTIONAL_COLUMNS = ("peak memory", "total", "without loader", "latency p99", "first epoch", "training")
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
    """Where a sweep stands; rendered, it is the table of its runs around the present ones."""

    def __init__(self, name: str, plan: Plan, keys: Sequence[str], measure: str, jobs: int = 1) -> None:
        self.name, self.plan, self.keys, self.measure, self.jobs = name, plan, keys, measure, jobs
        self.running: dict[tuple[str, int], Progress] = {}
        self.note = ""
        self.count = plan.actions["run"]
        self._begun = 0
        self._seeds = len({entry.seed for entry in plan.entries}) > 1

    def begin(self, entry: Entry) -> Progress:
        self._begun += 1
        recipe = entry.cell.recipe
        target = recipe.target_accuracy if recipe and self.measure == "time_to_accuracy" else None
        title = f"{self.name}, run {self._begun} of {self.count}"
        progress = self.running[entry.key] = Progress(title, target, None, time.monotonic())
        return progress

    def take(self, entry: Entry, event: dict[str, Any]) -> bool:
        """Take note of what a run tells; whether there is a new `note` to all of them."""
        before = self.note
        if event["kind"] == "finishing":
            runs = "this run" if len(self.running) < 2 else "these runs"
            self.note = f"stopping after {runs}; Ctrl-C again stops now"
        elif event["kind"] == "stopping":
            self.note = "stopping now; Ctrl-C again kills the workers"
        else:
            self.running[entry.key].take(event)
        return self.note != before

    def end(self, entry: Entry) -> None:
        # A new mapping, because a live display draws in a thread of its own.
        self.running = {key: progress for key, progress in self.running.items() if key != entry.key}

    @property
    def title(self) -> str:
        if not self._begun:
            return f"{self.name}, {self.count} to run: importing once for all"
        others = f", {len(self.running)} at once" if len(self.running) > 1 else ""
        return f"{self.name}, run {self._begun} of {self.count}{others}"

    @property
    def left_s(self) -> float | None:
        """Seconds until the last run ends, None where no cell has ever run."""
        if (left_s := self.plan.left_s) is None:
            return None
        return max(left_s - sum(progress.elapsed_s for progress in self.running.values()), 0.0) / self.jobs

    def describe(self, entry: Entry) -> str:
        seed = f", seed {entry.seed}" if self._seeds else ""
        return f"{entry.cell.label}{seed}"

    def __rich_console__(self, console: Console, _: object) -> Any:
        # Once, because a live display draws in a thread of its own.
        entries, running = self.plan.entries, self.running
        height = max(console.height - AROUND_TABLE_LINES, 4)
        at = max((i for i, entry in enumerate(entries) if entry.key in running), default=len(entries) - 1)
        start = max(0, min(at - height // 2, len(entries) - height))
        (label, metric, show), *_ = HEADLINES[self.measure]
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
                *_values(entry.cell, self.keys),
                *([str(entry.seed)] if self._seeds else []),
                Text(status, style=STYLES.get(status, "yellow")),
                doing,
                show(value),
                text.duration(spent_s),
            )
        hidden = len(entries) - height
        more = f", {hidden} runs not shown" if hidden > 0 else ""
        left = text.duration(self.left_s) if self.left_s is not None else "unknown until the first run ends"
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
        self._live = Live(progress, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveSweep:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, entry: Entry) -> None:
        self._progress.begin(entry)

    def take(self, entry: Entry, event: dict[str, Any]) -> None:
        self._progress.take(entry, event)

    def end(self, entry: Entry) -> None:
        self._progress.end(entry)


class PlainSweep:
    """A line when a run begins and when it ends, and every half minute between; for logs and pipes."""

    def __init__(self, console: Console, progress: SweepProgress) -> None:
        self._console, self._progress = console, progress
        self._next_s: dict[tuple[str, int], float] = {}

    def __enter__(self) -> PlainSweep:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, entry: Entry) -> None:
        run = self._progress.begin(entry)
        self._next_s[entry.key] = time.monotonic() + PLAIN_EVERY_S
        self._say(f"{run.title}: {self._progress.describe(entry)}")

    def take(self, entry: Entry, event: dict[str, Any]) -> None:
        if self._progress.take(entry, event):
            self._say(self._progress.note)
        elif time.monotonic() >= self._next_s[entry.key]:
            self._next_s[entry.key] = time.monotonic() + PLAIN_EVERY_S
            self._say(self._progress.running[entry.key].line())

    def end(self, entry: Entry) -> None:
        progress, run = self._progress, entry.run
        title = progress.running[entry.key].title
        progress.end(entry)
        if run is not None:
            label, metric, show = HEADLINES[progress.measure][0]
            result = f", {label} {show(run.metrics[metric])}" if run.metrics.get(metric) is not None else ""
            reason = f" ({run.reason})" if run.reason else ""
            self._say(
                f"{title}: {run.status}{reason}{result}, {text.duration(run.metrics.get('total_s'))}; "
                f"left {text.duration(progress.left_s)}"
            )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def view(console: Console, progress: SweepProgress) -> LiveSweep | PlainSweep:
    """The view that suits where the output goes."""
    return LiveSweep(console, progress) if console.is_terminal else PlainSweep(console, progress)


# The same for a plan.
OPTIONAL_IN_PLAN = ("expected", "done", "cell")


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
    efficiencies = _efficiencies(plan)
    if efficiencies:
        table.add_column("efficiency", justify="right", no_wrap=True)
        table.caption = f"{table.caption}; efficiency: samples/s by device, of those of the one-device cell"
    for cell in plan.cells:
        runs = [entry.run for entry in plan.entries if entry.cell.id == cell.id and entry.run is not None]
        statuses = Counter(run.status for run in runs)
        measured = [run for run in runs if run.status in FINISHED]
        table.add_row(
            *_values(cell, keys),
            ", ".join(f"{count} {status}" for status, count in statuses.items()) or text.MISSING,
            *(summarise([_metric(run, metric) for run in measured], show) for _, metric, show in headlines),
            *([efficiencies.get(cell.id, text.MISSING)] if efficiencies else []),
        )
    return table


def _efficiencies(plan: Plan) -> dict[str, str]:
    """By id of each cell on several devices, its scaling efficiency, where the plan has its one-device cell too."""
    speeds: dict[str, list[float]] = {}
    for entry in plan.entries:
        run = entry.run
        if run is not None and run.status in FINISHED and run.metrics.get("samples_per_s"):
            speeds.setdefault(entry.cell.id, []).append(float(run.metrics["samples_per_s"] or 0))
    alone = {one_device_config(cell.config): cell.id for cell in plan.cells if not cell.config.get("devices")}
    shown = {}
    for cell in plan.cells:
        one = alone.get(one_device_config(cell.config))
        if cell.config.get("devices") and cell.id in speeds and one in speeds:
            found = efficiency(speeds[cell.id], cell.config["devices"], speeds[one])
            margin = f" ± {text.percent(found.high - found.value)}" if found.high is not None else ""
            shown[cell.id] = f"{text.percent(found.value)}{margin} (n = {found.n}, {len(speeds[one])})"
    return shown


def print_summary(console: Console, plan: Plan, keys: Sequence[str], measure: str) -> None:
    """The table by cell, how the arms compare, what failed and why, and how often each status came."""
    print_table(console, summary_table(plan, keys, measure), OPTIONAL_COLUMNS)
    for line in compare_arms(plan, HEADLINES[measure][0]):
        _say(console, line)
    for line in troubles(plan):
        _say(console, line)
    runs = [entry.run for entry in plan.entries if entry.run is not None]
    counts = Counter(run.status for run in runs)
    interrupted = [run for run in runs if run.status == "interrupted"]
    open_count = sum(entry.action != "done" or entry.run in interrupted for entry in plan.entries)
    counted = [f"{count} {status}" for status, count in counts.most_common()]
    _say(console, ", ".join(counted + ([f"{open_count} still to run"] if open_count else [])))


def troubles(plan: Plan) -> list[str]:
    """Every run that has a reason to give, those of a cell with the same one together; failures with their log."""
    alike: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in plan.entries:
        if entry.run is not None and entry.run.reason is not None:
            alike.setdefault((entry.cell.id, entry.run.status, entry.run.reason), []).append(entry)
    lines = []
    for (_, status, reason), entries in alike.items():
        seeds = ", ".join(str(entry.seed) for entry in entries)
        run = entries[-1].run
        assert run is not None
        lines.append(f"{entries[0].cell.label}, seed{'s' if len(entries) > 1 else ''} {seeds}: {status}: {reason}")
        if status not in FINISHED and run.log is not None and run.log_tail:
            lines += [f"    {line}" for line in run.log_tail[-LOG_LINES:]]
            lines.append(f"    ({run.log})")
    return lines


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
