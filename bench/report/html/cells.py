"""The cells of a report: groups of repeated runs, each with a name, a page and the figures of its table row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.charts.epochs import quality_name, words
from bench.runs.labels import hardware, is_imported
from bench.runs.readings import readings
from bench.runs.run import INVALID, Run
from bench.scores.rules import Kind, groups, repeats
from bench.scores.rules.task import task
from bench.scores.rules.timing import number
from bench.scores.rules.trials import representative
from bench.statistics import LEAST_FOR_INTERVAL, clustered
from bench.statistics.reading import Reading
from bench.text import units
from bench.text.values import show_metric

# The main figure of each measure.
HEADLINES = {
    "time_to_accuracy": "train_s",
    "throughput": "samples_per_s",
    "inference": "latency_p50_ms",
    "loading": "images_per_s",
    "find_lr": "suggested_lr",
    "surface": "roughness",
    "resize": "images_per_s",
    "neighbours": "approximate_s",
    "checkerboard": "phase_variation",
}


@dataclass(frozen=True)
class CellPage:
    """`page` is its file's name in the report, without the suffix."""

    label: str
    page: str
    runs: tuple[Run, ...]

    @cached_property
    def first(self) -> Run:
        """One that stands for all: the first that got as far as its data, if one did."""
        return representative(self.runs)

    @property
    def kind(self) -> Kind:
        return Kind.of(self.first)

    @property
    def is_imported(self) -> bool:
        return is_imported(self.first)

    @cached_property
    def task(self) -> str:
        return task(self.first)

    @property
    def hardware(self) -> str:
        return str(self.first.machine.get("hardware") or "unknown") if self.is_imported else hardware(self.first)

    @property
    def counted(self) -> list[Run]:
        """The runs that nobody declared invalid."""
        return [run for run in self.runs if run.status != INVALID]

    @property
    def reached(self) -> int:
        return sum(bool(run.metrics.get("reached")) for run in self.counted)

    @property
    def newest(self) -> str:
        return max(run.run_id for run in self.runs)

    @property
    def date(self) -> str:
        return max(run.started_at for run in self.runs)[:10]

    @property
    def statuses(self) -> str:
        """Such as `20 ok` or `3 ok, 1 oom`."""
        return ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in self.runs).items())

    @property
    def headline(self) -> tuple[str, float] | None:
        """The main figure of its measure, as text with unit and as a number."""
        name = HEADLINES.get(self.first.measure, "")
        value = self._average(name)
        return None if value is None else (show_metric(name, value), value)

    @property
    def margin(self) -> str:
        """`± 0.4 s`, half of the 95 % interval of the headline; empty where the runs do not allow one."""
        name = HEADLINES.get(self.first.measure, "")
        found = self._readings(name)
        ends = clustered.mean(found).useful_ends if len(found) >= LEAST_FOR_INTERVAL else None
        return "" if ends is None else f"± {show_metric(name, (ends[1] - ends[0]) / 2)}"

    @property
    def accuracy(self) -> float | None:
        return self._average("accuracy")

    @cached_property
    def quality(self) -> str | None:
        """The metric by which its task is judged; None of a classifier."""
        return next((name for run in self.counted if (name := quality_name(run)) is not None), None)

    @property
    def judged(self) -> str:
        """The mean accuracy as text, or the mean quality with its name."""
        if self.quality is None:
            return units.percent(self.accuracy)
        return f"{show_metric(self.quality, self._average(self.quality))} {words(self.quality)}"

    def _average(self, metric: str) -> float | None:
        found = self._readings(metric)
        if clustered.is_clustered(found):
            return clustered.mean(found).value
        return sum(reading.value for reading in found) / len(found) if found else None

    def _readings(self, metric: str) -> list[Reading]:
        return readings(self.counted, [number(run, metric) for run in self.counted])


def cells_of(runs: Iterable[Run]) -> list[CellPage]:
    """A cell for each group of repeats, the newest first."""
    found = groups(runs)
    names = repeats.names(found)
    pages = _pages(group[0] for group in found)
    cells = [CellPage(name, page, tuple(group)) for name, page, group in zip(names, pages, found, strict=True)]
    return sorted(cells, key=lambda cell: cell.newest, reverse=True)


def featured(cells: Sequence[CellPage], task_name: str, most: int) -> list[CellPage]:
    """The cells of a task that fit into a plot: those that reached the target first, then the newest."""
    own = [cell for cell in cells if cell.task == task_name and not cell.is_imported and cell.first.spans]
    return sorted(own, key=lambda cell: cell.reached == 0)[:most]


def _pages(runs: Iterable[Run]) -> Iterator[str]:
    """A safe file name for each cell, independent of the cell ids in the records."""
    taken: set[str] = set()
    for run in runs:
        machine = str(run.machine.get("id") or "")[:6]
        stem = re.sub(r"[^A-Za-z0-9-]+", "_", f"{run.cell[:64]}-{machine}" if machine else run.cell[:64])
        yield free_name(stem, taken)


def free_name(stem: str, taken: set[str]) -> str:
    """The stem, with a number where a file is called so already; it is taken from now on."""
    name, count = stem, 1
    while name.lower() in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name.lower())
    return name
