"""The results of a sweep by cell, as text: the same table stands in a terminal and on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from bench.host.contention import Usage
from bench.report.terminal.predictors import FORWARD_FLOPS
from bench.report.terminal.summary import summarise
from bench.runs.run import FINISHED, Run
from bench.scores.scaling import efficiency, one_device_config
from bench.spec.matrix import short
from bench.spec.sweep_plan import PlannedRun, SweepPlan
from bench.statistics import LEAST_FOR_INTERVAL
from bench.text import units
from bench.text.values import show_metric

Show = Callable[[float | None], str]

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
# Numbers that a record has whatever is measured.
OF_EVERY_RUN = {
    *(field.name for field in fields(Usage)),
    "total_s",
    "energy_j",
    "contended",
    "peak_host_bytes",
    "peak_device_bytes",
    "huge_page_bytes",
}
# Of a user's own measure.
MOST_OWN_FIGURES = 4
# The counted costs of a network, shown if the cells differ in them.
ON_PAPER: Sequence[tuple[str, str, Show]] = (
    ("parameters", "parameters", units.count),
    ("FLOP/example", FORWARD_FLOPS, units.count),
)
# Steadier than the accuracy, where it is recorded.
CROSS_ENTROPY = ("cross-entropy", "cross_entropy", units.number)


@dataclass(frozen=True)
class CellResults:
    """A cell of a sweep: its values of the axes, its config, and the newest run of each of the `planned` seeds."""

    values: Mapping[str, Any]
    config: Mapping[str, Any]
    runs: tuple[Run, ...]
    planned: int

    @property
    def measured(self) -> list[Run]:
        return [run for run in self.runs if run.status in FINISHED]

    def numbers(self, metric: str) -> list[float | None]:
        """The metric of each finished run, None where it has none."""
        return [metric_of(run, metric) for run in self.measured]

    @property
    def state(self) -> str:
        """Such as `2 ok, 1 oom (1 contended)`."""
        counts = Counter(run.status for run in self.runs)
        return (", ".join(f"{count} {status}" for status, count in counts.items()) or units.MISSING) + _marks(self.runs)

    @property
    def contended(self) -> int:
        """How many runs were disturbed by something else on the machine."""
        return sum(bool(run.metrics.get("contended")) for run in self.runs)

    @property
    def is_unfinished(self) -> bool:
        """Whether runs are missing or failed."""
        return bool(self._lacks)

    @property
    def marks(self) -> list[str]:
        """What a reader must know before the numbers: runs that are missing, failed, cut short or contended."""
        return self._lacks + _told_marks(self.runs)

    @property
    def _lacks(self) -> list[str]:
        due = self.planned - sum(run.status != "interrupted" for run in self.runs)
        failed = Counter(run.status for run in self.runs if run.status not in (*FINISHED, "interrupted"))
        told = [f"{due} of {self.planned} still to run"] if due > 0 else []
        return told + [f"{count} {status}" for status, count in failed.items()]


@dataclass(frozen=True)
class SweepTable:
    """The table of a sweep as text: `keys` are the headings of the axes, `figures` those of the measured columns."""

    keys: list[str]
    figures: list[str]
    rows: list[list[str]]
    caption: str


def results_of(plan: SweepPlan) -> list[CellResults]:
    """The cells of a plan with what is known of them."""
    entries: dict[str, list[PlannedRun]] = {}
    for entry in plan.entries:
        entries.setdefault(entry.cell.id, []).append(entry)
    return [
        CellResults(
            of[0].cell.values, of[0].cell.config, tuple(entry.run for entry in of if entry.run is not None), len(of)
        )
        for of in entries.values()
    ]


def sweep_table(cells: Sequence[CellResults], keys: Sequence[str], measure: str) -> SweepTable:
    """A row for each cell: the runs by status, and the measured figures as mean ± 95 % interval over the seeds."""
    caption = "mean ± half of the 95 % interval, over the seeds; of two, both"
    columns = [
        *(column for column in ON_PAPER if _differs(cells, column[1])),
        *figures_of(cells, measure),
        *([CROSS_ENTROPY] if _differs(cells, CROSS_ENTROPY[1]) else []),
        ("total", "total_s", units.duration),
        ("peak memory", PEAK, units.size),
    ]
    figures = [label for label, _, _ in columns]
    efficiencies = _efficiencies(cells)
    if efficiencies:
        figures.append("efficiency")
        caption = f"{caption}; efficiency: samples/s by device, of those of the one-device cell"
    rows = [
        [
            *values_of(cell.values, keys),
            cell.state,
            *(summarise(cell.numbers(metric), show, cell.measured) for _, metric, show in columns),
            *([efficiencies.get(position, units.MISSING)] if efficiencies else []),
        ]
        for position, cell in enumerate(cells)
    ]
    return SweepTable(headings(keys), figures, rows, caption)


def figures_of(cells: Sequence[CellResults], measure: str) -> list[tuple[str, str, Show]]:
    """The main figures of the measure; trainings judged by another quality have that instead of an accuracy."""
    resolved = (units.get(run.config, "resolved", "quality", "name") for cell in cells for run in cell.runs)
    qualities = [(name.replace("_", " "), name, units.number) for name in dict.fromkeys(resolved) if name]
    known = headlines(measure, [run for cell in cells for run in cell.runs])
    return [*qualities, *(one for one in known if not qualities or one[1] != "accuracy")]


def headlines(measure: str, runs: Iterable[Run]) -> Sequence[tuple[str, str, Show]]:
    """The main figures of a measure; of a user's own, the first numbers that its runs recorded."""
    if measure in HEADLINES:
        return HEADLINES[measure]
    numbers = (name for run in runs for name, value in run.metrics.items() if isinstance(value, int | float))
    own: dict[str, None] = {}
    for name in numbers:
        if len(own) == MOST_OWN_FIGURES:
            break
        if name not in OF_EVERY_RUN:
            own[name] = None
    return [(name.replace("_", " "), name, partial(show_metric, name)) for name in own]


def _efficiencies(cells: Sequence[CellResults]) -> dict[int, str]:
    """The scaling efficiency of each cell on several devices, by its position, if the one-device cell is there too."""
    if not any(cell.config.get("devices") for cell in cells):
        return {}
    speeds: dict[int, list[float]] = {}
    for position, cell in enumerate(cells):
        if found := [speed for speed in cell.numbers("samples_per_s") if speed]:
            speeds[position] = found
    alone = {
        one_device_config(cell.config): position
        for position, cell in enumerate(cells)
        if not cell.config.get("devices")
    }
    shown = {}
    for position, cell in enumerate(cells):
        one = alone.get(one_device_config(cell.config))
        if cell.config.get("devices") and position in speeds and one in speeds:
            found_one = efficiency(speeds[position], cell.config["devices"], speeds[one])
            told = found_one.high is not None and found_one.n >= LEAST_FOR_INTERVAL
            margin = f" ± {units.percent(found_one.high - found_one.value)}" if told and found_one.high else ""
            shown[position] = f"{units.percent(found_one.value)}{margin} (n = {found_one.n}, {len(speeds[one])})"
    return shown


def headings(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or the whole key if that part is not unique."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for name, key in zip(last, keys, strict=True)]


def values_of(values: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """A cell's value of each key, in the order of `headings`."""
    return [short(values[key]) if key in values else units.MISSING for key in keys]


def metric_of(run: Run, name: str) -> float | None:
    """A metric by its name; PEAK is that of the device if it has memory of its own."""
    if name == PEAK:
        return run.metrics.get("peak_device_bytes") or run.metrics.get("peak_host_bytes")
    return run.metrics.get(name)


def _differs(cells: Sequence[CellResults], metric: str) -> bool:
    return len({run.metrics.get(metric) for cell in cells for run in cell.measured}) > 1


def _marks(runs: Sequence[Run]) -> str:
    """Marks on these runs that a reader must know before the numbers."""
    told = _told_marks(runs)
    return f" ({', '.join(told)})" if told else ""


def _told_marks(runs: Sequence[Run]) -> list[str]:
    counts = {
        "contended": sum(bool(run.metrics.get("contended")) for run in runs),
        "cut short by the sampling's time-out": sum(run.is_cut_short for run in runs),
    }
    return [f"{count} {mark}" for mark, count in counts.items() if count]
