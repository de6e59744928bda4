"""The page of a sweep: its cells as in the terminal's table, and the charts of what its axes do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.charts.chart import DotChart, HeatMap, XYChart
from bench.report.charts.epochs import quality_name
from bench.report.html.cells import CellPage, free_name
from bench.report.html.plots.effects import cell_dots, effects, how_to_read, interactions
from bench.report.html.plots.quality import quality_chart
from bench.report.html.plots.sample import Sample
from bench.report.html.plots.sweep_curves import sweep_curves
from bench.report.terminal.sweep_table import (
    CellResults,
    Show,
    SweepTable,
    figures_of,
    headings,
    results_of,
    sweep_table,
    values_of,
)
from bench.runs import slow_hosts
from bench.runs.labels import differing, hardware, usual_values
from bench.runs.readings import hosts_of
from bench.runs.run import INVALID, Run
from bench.spec.sweep_plan import SweepPlan
from bench.text import units

# The figures of a measure that have charts, and the axes that are compared.
MOST_FIGURES = 2
MOST_AXES = 8
USUAL = "all as usual"


@dataclass(frozen=True)
class SweepPage:
    """A sweep on one machine; `page` is the name of its file, `links` are those of its cells' pages."""

    name: str
    page: str
    measure: str
    keys: tuple[str, ...]
    cells: tuple[CellResults, ...]
    links: tuple[str | None, ...]

    @property
    def runs(self) -> list[Run]:
        return [run for cell in self.cells for run in cell.runs]

    @property
    def recipe(self) -> str:
        return self.runs[0].recipe if self.runs else ""

    @property
    def hardware(self) -> str:
        return hardware(self.runs[0]) if self.runs else ""

    @property
    def date(self) -> str:
        return max((run.started_at for run in self.runs), default="")[:10]

    @property
    def size(self) -> str:
        """Such as `16 cells × 3 seeds`."""
        seeds = max((cell.planned for cell in self.cells), default=0)
        return f"{units.counted(len(self.cells), 'cell')} × {units.counted(seeds, 'seed')}"

    @property
    def axes(self) -> list[str]:
        """The axes and how many values each has: `width (2)`."""
        names = headings(self.keys)
        return [
            f"{name} ({len(set(column))})" for name, column in zip(names, zip(*self._levels, strict=True), strict=True)
        ]

    @property
    def marks(self) -> list[tuple[str, str]]:
        """The cells that need a warning, by what varies, and the warning."""
        return [
            (label, ", ".join(cell.marks)) for label, cell in zip(self.labels, self.cells, strict=True) if cell.marks
        ]

    @property
    def marks_by_reason(self) -> list[tuple[str, list[str]]]:
        """Each warning with the cells that it is of."""
        found: dict[str, list[str]] = defaultdict(list)
        for label, why in self.marks:
            found[why].append(label)
        return list(found.items())

    @property
    def notes(self) -> list[str]:
        """How the runs count if they are of several hosts, and which host is slow."""
        hosts, off = len(hosts_of(self.runs)), slow_hosts.told(self.runs)
        told = [f"The runs are of {hosts} hosts, and each host counts once."] if hosts > 1 else []
        return told + ([f"Slow hosts: {off}."] if off else [])

    @cached_property
    def usual(self) -> dict[str, str]:
        """The value that most cells have, by axis, where each axis has one: such a sweep changes little at a time."""
        columns = dict(zip(headings(self.keys), zip(*self._levels, strict=True), strict=True))
        return usual_values(columns) if len(columns) > 1 else {}

    @property
    def usual_told(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self.usual.items() if value != units.MISSING)

    @cached_property
    def labels(self) -> list[str]:
        """A name for each cell, of what varies alone; values that are usual are left out."""
        names = headings(self.keys)
        pairs = [list(zip(names, levels, strict=True)) for levels in self._levels]
        short = [[(name, value) for name, value in told if self.usual.get(name) != value] for told in pairs]
        told = [", ".join(f"{name} = {value}" for name, value in one) or USUAL for one in short]
        if self.usual and len(set(told)) == len(told):
            return told
        return [", ".join(f"{name} = {value}" for name, value in one) or self.recipe for one in pairs]

    @cached_property
    def table(self) -> SweepTable:
        return sweep_table(self.cells, self.keys, self.measure)

    @cached_property
    def curves(self) -> XYChart | None:
        """Accuracy against time, or the quality of trainings that are judged by another one."""
        groups = [(label, cell.measured) for label, cell in zip(self.labels, self.cells, strict=True)]
        found = sweep_curves(self._sample(""), self.labels)
        return found or quality_chart(f"{self.page}-quality", "", groups)

    @property
    def curves_heading(self) -> str:
        return "Quality against time" if any(map(quality_name, self.runs)) else "Accuracy against time"

    @cached_property
    def effects(self) -> list[tuple[str, list[DotChart]]]:
        """The charts of each axis; where no axis can be compared alone, those of the cells."""
        samples = self._samples
        names = headings(self.keys)[:MOST_AXES]
        found = [
            (name, [effects(sample, axis, colour) for colour, sample in enumerate(samples)])
            for axis, name in enumerate(names)
        ]
        kept = [(name, [chart for chart in charts if chart is not None]) for name, charts in found]
        kept = [(name, charts) for name, charts in kept if charts]
        return kept or [("Cells", [chart for sample in samples if (chart := cell_dots(sample, self.labels))])]

    @property
    def how_to_read(self) -> str:
        """What the intervals of the effects are for; empty where each cell stands for itself."""
        known = any(found.estimates for one in self._samples for found in one.margins)
        return how_to_read(self._samples) if known else ""

    @cached_property
    def interactions(self) -> list[HeatMap]:
        return [chart for sample in self._samples for chart in interactions(sample)]

    @cached_property
    def _levels(self) -> list[tuple[str, ...]]:
        return [tuple(values_of(cell.values, self.keys)) for cell in self.cells]

    @cached_property
    def _samples(self) -> list[Sample]:
        found = [
            self._sample(metric, label, show)
            for label, metric, show in figures_of(self.cells, self.measure)[:MOST_FIGURES]
        ]
        return [sample for sample in found if any(sample.values)]

    def _sample(self, metric: str, label: str = "", show: Show = units.number) -> Sample:
        told = f"{label} time" if metric.endswith("_s") and not metric.endswith("per_s") else label
        return Sample(self.page, self.keys, tuple(self._levels), self.cells, metric, told, show)


def sweep_pages(cells: Sequence[CellPage]) -> list[SweepPage]:
    """A page for each sweep on each machine, the newest first."""
    groups: dict[tuple[str, str, str], list[CellPage]] = defaultdict(list)
    for cell in cells:
        if cell.first.sweep and not cell.is_imported:
            groups[cell.first.sweep, cell.first.measure, str(cell.first.machine.get("id"))].append(cell)
    taken: set[str] = set()
    return [_page(name, free_name(plain(name), taken), measure, of) for (name, measure, _), of in groups.items()]


def plain(name: str) -> str:
    """A name as that of a file."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name[:64])


def sweep_of_plan(name: str, plan: SweepPlan, keys: Sequence[str], measure: str) -> SweepPage:
    """The page of a sweep that has just run, with the cells that have not."""
    cells = tuple(results_of(plan))
    return SweepPage(name, plain(name), measure, tuple(keys), cells, (None,) * len(cells))


def _page(name: str, page: str, measure: str, members: Sequence[CellPage]) -> SweepPage:
    """The first run of each cell was made in the matrix's order."""
    members = sorted(members, key=lambda cell: min(run.run_id for run in cell.runs))
    varied = differing([cell.first.config for cell in members])
    newest = [tuple({run.seed: run for run in sorted(cell.runs, key=_age)}.values()) for cell in members]
    planned = max(len(runs) for runs in newest)
    cells = tuple(
        CellResults(
            {key: of[place] for key, of in varied.items() if of[place] is not None}, cell.first.config, runs, planned
        )
        for place, (cell, runs) in enumerate(zip(members, newest, strict=True))
    )
    return SweepPage(name, page, measure, tuple(varied), cells, tuple(cell.page for cell in members))


def _age(run: Run) -> tuple[bool, str]:
    """Those that were declared invalid come before all others."""
    return run.status != INVALID, run.run_id
