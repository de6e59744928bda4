"""The tables of a sweep: its plan at the beginning, and the results by cell at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.host import provenance
from bench.report.terminal.arms import compare_arms
from bench.report.terminal.predictors import FORWARD_FLOPS, predictors
from bench.report.terminal.summary import summarise
from bench.runs.disturbed import disturbed
from bench.runs.run import FINISHED, Run
from bench.scores.scaling import efficiency, one_device_config
from bench.spec.matrix import Cell, short
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.statistics import LEAST_FOR_INTERVAL
from bench.text import units
from bench.text.console import say
from bench.text.fitting import print_table

Show = Callable[[float | None], str]

# Lines of a failed run's log: enough to see an exception, which is at the end.
LOG_LINES = 3
# The columns that a narrow terminal loses, first to last.
OPTIONAL_COLUMNS = (
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
# Peak memory of the device if it has its own, else of the host.
PEAK = "peak_bytes"

# The main figures of each measure: label, metric and format.
HEADLINES: dict[str, Sequence[tuple[str, str, Show]]] = {
    "time_to_accuracy": (
        ("accuracy", "accuracy", units.percent),
        ("training", "train_s", units.duration),
    ),
    "throughput": (
        ("samples/s", "samples_per_s", units.rate),
        ("without loader", "samples_per_s_without_loader", units.rate),
    ),
    "inference": (
        ("latency p50", "latency_p50_ms", units.milliseconds),
        ("latency p99", "latency_p99_ms", units.milliseconds),
    ),
    "loading": (
        ("first epoch", "first_epoch_images_per_s", units.rate),
        ("later epochs", "images_per_s", units.rate),
    ),
    "memory": (("activations", "activation_bytes", units.size),),
    "find_lr": (("suggested rate", "suggested_lr", units.number), ("at its best", "best_lr", units.number)),
    "surface": (("roughness", "roughness", units.number), ("loss", "centre_loss", units.number)),
    "resize": (("images/s", "images_per_s", units.rate), ("stored", "stored_images_per_s", units.rate)),
    "neighbours": (
        ("brute force", "brute_s", units.duration),
        ("approximate", "approximate_s", units.duration),
        ("ratio", "speed_up", units.number),
        ("recall", "recall", units.percent),
    ),
    "checkerboard": (("variation by phase", "phase_variation", units.number),),
}
# The counted costs of a network, shown if the cells differ in them.
ON_PAPER: Sequence[tuple[str, str, Show]] = (
    ("parameters", "parameters", units.count),
    ("FLOP/example", FORWARD_FLOPS, units.count),
)


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
            *values_of(cell, keys),
            ", ".join(f"{count} {status}" for status, count in statuses.items()) or "0",
            to_run + (f", {actions['later']} later" if actions["later"] else ""),
            expected if actions["run"] else "",
        )
    return table


def summary_table(plan: SweepPlan, keys: Sequence[str], measure: str) -> Table:
    """A row for each cell: the runs by status, and the measured figures as mean ± 95 % interval over the seeds."""
    table = Table(*headings(keys), caption="mean ± half of the 95 % interval, over the seeds; of two, both")
    table.caption_justify = "left"
    table.add_column("runs", no_wrap=True)
    headlines = [
        *(column for column in ON_PAPER if _differs(plan, column[1])),
        *HEADLINES[measure],
        ("total", "total_s", units.duration),
        ("peak memory", PEAK, units.size),
    ]
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
            *values_of(cell, keys),
            (", ".join(f"{count} {status}" for status, count in statuses.items()) or units.MISSING) + _marks(runs),
            *(summarise([_metric(run, metric) for run in measured], show) for _, metric, show in headlines),
            *([efficiencies.get(cell.id, units.MISSING)] if efficiencies else []),
        )
    return table


def _efficiencies(plan: SweepPlan) -> dict[str, str]:
    """The scaling efficiency by id of each cell on several devices, if the plan also has its one-device cell."""
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
            told = found.high is not None and found.n >= LEAST_FOR_INTERVAL
            margin = f" ± {units.percent(found.high - found.value)}" if told and found.high is not None else ""
            shown[cell.id] = f"{units.percent(found.value)}{margin} (n = {found.n}, {len(speeds[one])})"
    return shown


def print_summary(console: Console, plan: SweepPlan, keys: Sequence[str], measure: str, results: Path) -> None:
    """Print the table by cell, the comparison of arms, failures with their reasons, and the counts of statuses.

    `results` is the folder of the logs.
    """
    print_table(console, summary_table(plan, keys, measure), OPTIONAL_COLUMNS)
    for line in compare_arms(plan, HEADLINES[measure][0]) + predictors(plan, measure):
        say(console, line)
    for line in troubles(plan, results):
        say(console, line)
    codes = [entry.run.code for entry in plan.entries if entry.run is not None]
    for line in dict.fromkeys(remark for code in codes for remark in provenance.remarks(code)):
        say(console, line)
    for cell in plan.cells:
        if told := disturbed([entry.run for entry in plan.entries if entry.cell.id == cell.id and entry.run]):
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


def headings(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or the whole key if that part is not unique."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for name, key in zip(last, keys, strict=True)]


def values_of(cell: Cell, keys: Sequence[str]) -> list[Text]:
    """The cell's value of each key, in the order of `headings`."""
    return [Text(short(cell.values[key]) if key in cell.values else units.MISSING) for key in keys]


def _differs(plan: SweepPlan, metric: str) -> bool:
    return (
        len({entry.run.metrics.get(metric) for entry in plan.entries if entry.run and entry.run.status in FINISHED}) > 1
    )


def _marks(runs: Sequence[Run]) -> str:
    """Marks on these runs that a reader must know before the numbers."""
    counts = {
        "contended": sum(map(_is_contended, runs)),
        "cut short by the sampling's time-out": sum(run.is_cut_short for run in runs),
    }
    marks = ", ".join(f"{count} {mark}" for mark, count in counts.items() if count)
    return f" ({marks})" if marks else ""


def _is_contended(run: Run) -> bool:
    return bool(run.metrics.get("contended"))


def _metric(run: Run, name: str) -> float | None:
    if name == PEAK:
        return run.metrics.get("peak_device_bytes") or run.metrics.get("peak_host_bytes")
    return run.metrics.get(name)
