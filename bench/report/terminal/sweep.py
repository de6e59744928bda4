"""The tables of a sweep: its plan at the beginning, and the results by cell at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.host import provenance
from bench.report.terminal.arms import compare_arms
from bench.report.terminal.host_notes import host_notes
from bench.report.terminal.predictors import predictors
from bench.report.terminal.sweep_table import figures_of, headings, results_of, sweep_table, values_of
from bench.runs.disturbed import disturbed
from bench.runs.run import FINISHED
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.text import units
from bench.text.console import say
from bench.text.fitting import print_table

# Lines of a failed run's log: enough to see an exception, which is at the end.
LOG_LINES = 3
# The columns that a narrow terminal loses, first to last.
OPTIONAL_COLUMNS = (
    "cross-entropy",
    "peak memory",
    "total",
    "parameters",
    "FLOP/example",
    "without loader",
    "latency p99",
    "first epoch",
    "training",
)
# The same for the table of a plan.
OPTIONAL_IN_PLAN = ("expected", "done", "cell")


def print_plan(console: Console, plan: SweepPlan, keys: Sequence[str]) -> None:
    """Print the table of the plan, and why some cells cannot run."""
    print_table(console, plan_table(plan, keys), OPTIONAL_IN_PLAN)
    skipped: dict[str, list[str]] = {}
    for cell in plan.cells:
        if cell.skip is not None:
            skipped.setdefault(cell.skip, []).append(cell.label)
    for reason, labels in skipped.items():
        say(console, f"{'; '.join(labels)}: skipped: {reason}")


def plan_table(plan: SweepPlan, keys: Sequence[str]) -> Table:
    """A row for each cell: the beginning of its id, how many runs are done and due, and how long these take."""
    table = Table()
    table.add_column("cell", no_wrap=True)
    for heading in headings(keys):
        table.add_column(heading)
    for name in ("done", "to run", "expected"):
        table.add_column(name, justify="right")
    for cell in plan.cells:
        entries = [entry for entry in plan.entries if entry.cell.id == cell.id]
        actions = Counter(entry.action for entry in entries)
        expected = units.duration(entries[0].expected_s) if entries[0].expected_s is not None else "unknown"
        statuses = Counter(entry.run.status for entry in entries if entry.action == "done" and entry.run)
        to_run = "skipped" if cell.skip is not None else str(actions["run"])
        table.add_row(
            cell.id[: units.ID_DIGITS],
            *map(Text, values_of(cell.values, keys)),
            ", ".join(f"{count} {status}" for status, count in statuses.items()) or "0",
            to_run + (f", {actions['later']} later" if actions["later"] else ""),
            expected if actions["run"] else "",
        )
    return table


def summary_table(plan: SweepPlan, keys: Sequence[str], measure: str) -> Table:
    """The results as a table of a terminal."""
    made = sweep_table(results_of(plan), keys, measure)
    table = Table(*made.keys, caption=made.caption)
    table.caption_justify = "left"
    table.add_column("runs", no_wrap=True)
    for label in made.figures:
        table.add_column(label, justify="right", no_wrap=True)
    for row in made.rows:
        table.add_row(*map(Text, row))
    return table


def print_summary(console: Console, plan: SweepPlan, keys: Sequence[str], measure: str, results: Path) -> None:
    """Print the table by cell, the comparison of arms, failures with their reasons, and the counts of statuses.

    `results` is the folder of the logs.
    """
    print_table(console, summary_table(plan, keys, measure), OPTIONAL_COLUMNS)
    figures = figures_of(results_of(plan), measure)
    for line in (compare_arms(plan, figures[0]) if figures else []) + predictors(plan, measure):
        say(console, line)
    for line in troubles(plan, results):
        say(console, line)
    codes = [entry.run.code for entry in plan.entries if entry.run is not None]
    for line in dict.fromkeys(remark for code in codes for remark in provenance.remarks(code)):
        say(console, line)
    for cell in plan.cells:
        its = [entry.run for entry in plan.entries if entry.cell.id == cell.id and entry.run]
        for note in host_notes(its):
            say(console, f"{cell.label}: {note}")
        if told := disturbed(its):
            say(console, f"{cell.label}: contended: {told}")
    runs = [entry.run for entry in plan.entries if entry.run is not None]
    counts = Counter(run.status for run in runs)
    interrupted = [run for run in runs if run.status == "interrupted"]
    open_count = sum(entry.action != "done" or entry.run in interrupted for entry in plan.entries)
    counted = [f"{count} {status}" for status, count in counts.most_common()]
    say(console, ", ".join(counted + ([f"{open_count} still to run"] if open_count else [])))


def troubles(plan: SweepPlan, results: Path) -> list[str]:
    """Every run with a reason, grouped by cell and reason; failures with the end of their log."""
    alike: dict[tuple[str, str, str], list[PlannedRun]] = {}
    for entry in plan.entries:
        if entry.run is not None and entry.run.reason is not None:
            alike.setdefault((entry.cell.id, entry.run.status, entry.run.reason), []).append(entry)
    lines = []
    for (_, status, reason), entries in alike.items():
        seeds = ", ".join(str(entry.seed) for entry in entries)
        run = entries[-1].run
        assert run is not None
        lines.append(f"{entries[0].cell.label}, seed{'s' if len(entries) > 1 else ''} {seeds}: {status}: {reason}")
        # A refusal is explained by its reason; its log only shows where in the code it was noticed.
        if status not in (*FINISHED, "skipped") and run.log is not None and run.log_tail:
            lines += [f"    {line}" for line in run.log_tail[-LOG_LINES:]]
            lines.append(f"    ({results / run.log})")
    return lines
