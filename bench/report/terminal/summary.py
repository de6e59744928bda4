"""The table at the end of `bench run`: results, where the time went, and where they are recorded."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.host import provenance
from bench.report.terminal.host_notes import host_notes
from bench.runs.disturbed import disturbed
from bench.runs.readings import hosts_of, readings
from bench.runs.run import FINISHED, Run
from bench.statistics import LEAST_FOR_INTERVAL
from bench.statistics.reading import Reading
from bench.text import units
from bench.text.console import say

SPANS = (
    "start",
    "import",
    "device",
    "data",
    "build",
    "init",
    "compile",
    "warm_up",
    "train",
    "eval",
    "final_eval",
    "checkpoint",
    "lost",
    "exact_index",
    "approximate_index",
    "measure",
    "stored",
    "surface",
)
NEGLIGIBLE_S = 0.0005
AT_BATCH_SIZE = "samples_per_s_at_"


def mean_and_margin(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the half-width of its 95 % interval by Student's t, None for fewer than two values."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    from scipy import special  # imports in a third of the time of scipy.stats

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(special.stdtrit(len(values) - 1, 0.975)) * deviation / math.sqrt(len(values))


def summarise(numbers: Sequence[float | None], show: Callable[[float | None], str], runs: Sequence[Run] = ()) -> str:
    """`mean ± margin` of the existing numbers; fewer than three, or equal ones, are listed themselves.

    The interval of two numbers is some thirteen times as wide as their distance, which is useless. If the `runs` that
    made the numbers are of several hosts, each host counts once, with the mean of its runs.
    """
    if len(hosts_of(runs)) > 1:
        return _over_hosts(readings(runs, numbers), show)
    present = [number for number in numbers if number is not None]
    if not present:
        return units.MISSING
    if len(set(present)) == 1:  # whose mean may differ by rounding
        return show(present[0])
    if len(present) < LEAST_FOR_INTERVAL:
        return ", ".join(map(show, present))
    mean, margin = mean_and_margin(present)
    return f"{show(mean)} ± {show(margin)}" if margin else show(mean)


def _over_hosts(found: Sequence[Reading], show: Callable[[float | None], str]) -> str:
    from bench.statistics import clustered

    if not clustered.is_clustered(found):
        return summarise([reading.value for reading in found], show)
    mean = clustered.mean(found)
    if len({reading.value for reading in found}) == 1:  # whose mean may differ by rounding
        return show(found[0].value)
    if mean.values:
        return ", ".join(map(show, mean.values))
    return show(mean.value) if mean.high is None else f"{show(mean.value)} ± {show(mean.high - mean.value)}"


def _whole(number: float | None) -> str:
    return units.MISSING if number is None else f"{number:,.0f}"


# The metrics of measures other than time to accuracy, in the order of the table.
FIGURES: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("samples/s without the loader", "samples_per_s_without_loader", units.rate),
    ("the loader's share", "loader_cost_fraction", units.percent),
    ("step, median", "step_median_s", units.duration),
    ("step, p95", "step_p95_s", units.duration),
    ("images/s", "images_per_s", units.rate),
    ("images/s, first epoch", "first_epoch_images_per_s", units.rate),
    ("latency, mean", "latency_mean_ms", units.milliseconds),
    ("latency, p50", "latency_p50_ms", units.milliseconds),
    ("latency, p95", "latency_p95_ms", units.milliseconds),
    ("latency, p99", "latency_p99_ms", units.milliseconds),
    ("suggested learning rate", "suggested_lr", units.number),
    ("rate of the steepest fall", "steepest_lr", units.number),
    ("rate of the smallest loss", "best_lr", units.number),
    ("images/s, stored pixels", "stored_images_per_s", units.rate),
    ("a query by brute force", "brute_s", units.duration),
    ("a query by the index", "approximate_s", units.duration),
    ("ratio of the two", "speed_up", units.number),
    ("recall", "recall", units.percent),
    ("variation by phase", "phase_variation", units.number),
    ("roughness of the surface", "roughness", units.number),
    ("relief of the surface", "relief", units.number),
    ("loss at its centre", "centre_loss", units.number),
)
# The quality of one run's figures, which is not averaged.
QUALITY: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("samples", "n", _whole),
    ("relative standard error", "relative_error", units.percent),
    ("requests", "latency_n", _whole),
    ("relative standard error, latency", "latency_relative_error", units.percent),
)


# As many runs fit side by side in a terminal of ordinary width.
MOST_COLUMNS = 5


def table(runs: Sequence[Run]) -> Table:
    """One column for each run and, if at least three completed, their mean with its 95 % interval. If there are many
    runs, columns of the least and the largest values replace those of the runs.
    """
    first, many = runs[0], len(runs) > MOST_COLUMNS
    complete = [position for position, run in enumerate(runs) if run.status in FINISHED]
    averages = many or len(complete) >= LEAST_FOR_INTERVAL
    averaged_runs = [runs[position] for position in complete]
    result = Table()
    result.add_column("")
    for heading in ("least", "most") if many else (f"seed {run.seed}" for run in runs):
        result.add_column(heading, justify="right")
    if averages:
        hosts = len(hosts_of(averaged_runs))
        counted = f"n = {len(complete)}, {hosts} hosts" if hosts > 1 else f"n = {len(complete)}"
        result.add_column(f"mean ± 95 % ({counted})", justify="right")

    def row(label: str, values: Sequence[float | None], show: Callable[[float | None], str]) -> None:
        if any(value is not None for value in values):
            averaged = [values[position] for position in complete]
            present = [value for value in averaged if value is not None]
            shown = [min(present, default=None), max(present, default=None)] if many else values
            mean = [summarise(averaged, show, averaged_runs)] if averages else []
            result.add_row(label, *map(show, shown), *mean)

    def metric(label: str, name: str, show: Callable[[float | None], str]) -> None:
        row(label, [run.metrics.get(name) for run in runs], show)

    counts = Counter(run.status for run in runs)
    told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    result.add_row("status", *(("", "", told) if many else (run.status for run in runs)))
    metric("accuracy", "accuracy", units.percent)
    metric("target", "target_accuracy", units.percent)
    metric("cross-entropy", "cross_entropy", units.number)
    if any(run.metrics.get("target_loss") is not None for run in runs):
        metric("training loss", "loss", units.number)
        metric("target loss", "target_loss", units.number)
    if quality := units.get(first.config, "resolved", "quality", "name"):
        metric(quality.replace("_", " "), quality, units.number)
        metric("target quality", "target_quality", units.number)
    metric("samples/s, training", "samples_per_s", units.rate)
    metric("time to the target", "time_to_target_s", units.duration)
    metric("epochs", "epochs", lambda epochs: units.MISSING if epochs is None else f"{epochs:.3g}")
    for label, name, show in FIGURES:
        metric(label, name, show)
    for size in sorted({size for run in runs for size in _batch_sizes(run)}):
        metric(f"samples/s, batch size {size}", f"{AT_BATCH_SIZE}{size}", units.rate)
    for label, name, show in QUALITY:
        if not many and any(name in run.metrics for run in runs):
            result.add_row(label, *(show(run.metrics.get(name)) for run in runs))
    if any(run.is_cut_short for run in runs):
        shown = ["by its time-out" if run.is_cut_short else "no" for run in runs]
        told = f"{len(runs) - shown.count('no')} of {len(runs)}"
        result.add_row("cut short", *(("", "") if many else shown), *([told] if averages else []))
    result.add_section()
    others = dict.fromkeys(span["name"] for run in runs for span in run.spans if span["name"] not in SPANS)
    spent = {name: [span_s(run, name) for run in runs] for name in (*SPANS, *others)}
    for name, seconds in spent.items():
        if any(value is not None and value > NEGLIGIBLE_S for value in seconds):
            row(f"{name} time", seconds, units.duration)
    devices = first.config.get("devices") or 1
    for rank in range(devices):
        metric(f"train time, rank {rank}", f"train_s_rank{rank}", units.duration)
    metric("total time", "total_s", units.duration)
    if any(run.metrics.get("contended") for run in runs):
        row("CPU time of others", [run.metrics.get("others_cpu_s") for run in runs], units.duration)
        row("CPU time of its own", [run.metrics.get("own_cpu_s") for run in runs], units.duration)
        shown = ["?" if (one := run.metrics.get("contended")) is None else "yes" if one else "no" for run in runs]
        told = f"{shown.count('yes')} of {len(runs)}"
        result.add_row("contended", *(("", "") if many else shown), *([told] if averages else []))
    if first.price_per_hour is not None:
        row(f"cost at ${first.price_per_hour:g}/h", [_cost(run) for run in runs], units.dollars)
        row("cost of 10,000 images", [_cost_of_images(run, 10_000) for run in runs], units.dollars)
    metric("energy, training", "train_energy_j", units.energy)
    metric("energy, whole run", "energy_j", units.energy)
    result.add_section()
    whose = " of one rank" if devices > 1 else ""
    metric(f"peak memory, host{whose}", "peak_host_bytes", units.size)
    metric(f"peak memory, device{whose}", "peak_device_bytes", units.size)
    metric("parameters", "parameters", units.count)
    metric("forward FLOP/example", "forward_flops_per_example", units.count)
    metric("training FLOP", "train_flops", units.count)
    return result


def print_summary(console: Console, runs: Sequence[Run], store: Path) -> None:
    """Print the table, its footnotes, and where the records are."""
    console.print(f"{runs[0].recipe}: {_what(runs[0])}", style="bold", highlight=False, soft_wrap=True)
    console.print(table(runs))
    for run in runs:
        if run.reason:
            log = f"; its log is {store.parent.parent / run.log}" if run.log_tail and run.log else ""
            line = f"seed {run.seed}: {run.status}: {run.reason}{log}"
            say(console, line)
    if runs[0].data and runs[0].data["official"] is None:
        say(console, f"Data: {runs[0].data['name']}, your own; runs on the same data are ranked together.")
    elif runs[0].data and not runs[0].data["official"]:
        say(
            console,
            f"Data: not the publisher's files ({runs[0].data['fingerprint'][:12]}); say so with any result.",
        )
    for line in _footnotes(runs):
        say(console, line)
    ids = ", ".join(run.run_id for run in runs) if len(runs) <= MOST_COLUMNS else f"{len(runs)} runs"
    say(console, f"Recorded in {store} as {ids}")


def _footnotes(runs: Sequence[Run]) -> list[str]:
    """Notes on prices, energy and other figures in the table."""
    notes = []
    price = units.get(runs[0].config, "resolved", "price_source") or {}
    if "name" in price:
        notes.append(f"Price: {price['name']}, {price['kind'].replace('_', ' ')}, as of {price['date']}.")
    for run in runs:
        if kept := units.get(run.config, "resolved", "kept_weights"):
            how = f"--measure inference --weights {run.run_id}"
            notes.append(f"Weights of seed {run.seed}: {kept['file']}; the same command with {how} times them.")
        if pictures := units.get(run.config, "resolved", "pictures"):
            notes.append(f"Pictures of seed {run.seed}: {len(pictures)}, the last one {pictures[-1]['file']}.")
    if any(run.shares_process for run in runs):
        notes.append(
            "The seeds shared one process, which loaded, built and compiled once, in the total of the first one. "
            "The speedrun rule takes such runs; cold start, DAWNBench and MLPerf do not."
        )
    if any(run.keeps_compiled for run in runs):
        notes.append("Compiled programs were kept from earlier runs, which cold start does not take.")
    if runs[0].measure == "inference":
        if weights := units.get(runs[0].config, "resolved", "weights"):
            made = f", of run {weights['run_id']}" if weights["run_id"] else ""
            mirrors = units.get(runs[0].config, "inference", "mirror")
            view = "An image and its mirror image at once" if mirrors else "One view an image"
            notes.append(f"Weights: {weights['file']}, SHA-256 {weights['sha256'][:16]}…{made}. {view}.")
        else:
            notes.append("Untrained weights: no accuracy. Train with --keep-weights, then time with --weights RUN.")
    notes += host_notes(runs)
    notes += dict.fromkeys(remark for run in runs for remark in provenance.remarks(run.code))
    if told := disturbed(runs):
        notes.append(f"Contended: {told}. Such times are longer than the machine's own; run it again when it is quiet.")
    if any(run.metrics.get("train_energy_coarse") for run in runs):
        notes.append("Energy: training took less than a second, which is too short for the counter.")
    return notes


def _what(run: Run) -> str:
    if run.is_script:
        return shlex.join(run.config["command"])
    threads = units.get(run.config, "resolved", "threads") or "all"
    cpu = f"{threads} CPU thread{'' if threads == 1 else 's'}"
    where = cpu if run.config.get("device") == "cpu" else "CUDA"
    if devices := run.config.get("devices"):
        where = f"{devices} ranks of {where}"
    precision = units.get(run.config, "resolved", "precision") or run.config.get("precision")
    # A measure without training has no network, or no data.
    named = " on ".join(run.config[part]["name"] for part in ("model", "data") if part in run.config)
    return ", ".join(filter(None, (named or run.measure, precision if "model" in run.config else None, where)))


def span_s(run: Run, name: str) -> float | None:
    """Seconds in all spans of that name; None if there was none."""
    seconds = [span["end_s"] - span["start_s"] for span in run.spans if span["name"] == name]
    return math.fsum(seconds) if seconds else None


def _cost(run: Run) -> float | None:
    total_s = run.metrics.get("total_s")
    return None if total_s is None or run.price_per_hour is None else total_s / 3600 * run.price_per_hour


def _cost_of_images(run: Run, images: int) -> float | None:
    """Dollars for this many images, one at a time."""
    latency_ms = run.metrics.get("latency_mean_ms")
    if latency_ms is None or run.price_per_hour is None:
        return None
    return images * latency_ms / 3.6e6 * run.price_per_hour


def _batch_sizes(run: Run) -> list[int]:
    return [int(name.removeprefix(AT_BATCH_SIZE)) for name in run.metrics if name.startswith(AT_BATCH_SIZE)]
