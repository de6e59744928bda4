"""A figure of all cells of a sweep, as the charts of the sweep's page need it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from bench.report.charts.scale import Scale, is_share, scale_of
from bench.report.terminal.sweep_table import CellResults, Show, headings
from bench.runs.readings import readings
from bench.scores.rules.timing import number
from bench.statistics.estimates import Estimate
from bench.statistics.factors import ComparedCells, FactorCell, Margin, compared_within_blocks, margin
from bench.statistics.reading import Reading
from bench.text import units


@dataclass(frozen=True)
class Sample:
    """A figure of all cells of a sweep: `levels` are the texts of each cell's values, in the order of `keys`."""

    page: str
    keys: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    cells: tuple[CellResults, ...]
    metric: str
    label: str
    show: Show = units.number

    @cached_property
    def readings(self) -> list[list[Reading]]:
        """The finite values of each cell's finished runs, with their seeds and hosts."""
        return [readings(cell.measured, [number(run, self.metric) for run in cell.measured]) for cell in self.cells]

    @cached_property
    def values(self) -> list[tuple[float, ...]]:
        return [tuple(reading.value for reading in of) for of in self.readings]

    @cached_property
    def hosts(self) -> int:
        """How many hosts the values are known to be of."""
        return len({reading.host for of in self.readings for reading in of if reading.host is not None})

    @cached_property
    def measured_cells(self) -> list[FactorCell]:
        """The cells with a value of each seed or, of several hosts, with the mean of each host's runs."""
        return [
            _of_hosts(levels, of)
            if self.hosts > 1
            else FactorCell(levels, tuple(one.value for one in of), tuple(one.seed for one in of))
            for levels, of in zip(self.levels, self.readings, strict=True)
            if of
        ]

    @cached_property
    def compared(self) -> ComparedCells:
        """The same without what a seed, or a host, changes in all cells alike."""
        return compared_within_blocks(self.measured_cells, self.are_ratios)

    @property
    def is_blocked(self) -> bool:
        """Whether seeds, or hosts, could be told from noise."""
        return self.compared.degrees < math.inf

    @property
    def are_ratios(self) -> bool:
        """Whether effects are told as ratios, as of times; those of accuracies are differences."""
        return not is_share(self.metric)

    @cached_property
    def margins(self) -> list[Margin]:
        """The means at the levels of each axis."""
        return [self.margin_of(axis) for axis in range(len(self.keys))]

    def margin_of(self, *axes: int) -> Margin:
        """The means at the levels of an axis, or at each two levels of two."""
        of_hosts = self.hosts - 1 if self.hosts > 1 else math.inf
        return margin(self.compared.cells, axes, most_degrees=min(self.compared.degrees, of_hosts))

    @cached_property
    def scale(self) -> Scale:
        """One scale for the charts of all axes."""
        means = [at for found in self.margins for at in found.estimates.values()]
        values = [value for at in means for value in (at.value, *(at.useful_ends or ()))]
        if len(self.keys) == 1:
            values += [value for of in self.values for value in of]
        return scale_of(self.metric, values)

    @property
    def names(self) -> list[str]:
        return headings(self.keys)

    def ordered_levels(self, axis: int) -> list[str]:
        """The levels of an axis: numbers by size, then everything else in the order of the cells."""
        values = {of[axis]: cell.values.get(self.keys[axis]) for of, cell in zip(self.levels, self.cells, strict=True)}
        places = {text: place for place, text in enumerate(values)}

        def key(text: str) -> tuple[bool, float, int]:
            value = values[text]
            if isinstance(value, int | float) and not isinstance(value, bool):
                return False, float(value), places[text]
            return True, 0.0, places[text]

        return sorted(values, key=key)

    def detail(self, found: Estimate) -> str:
        """`± 0.4 s, n = 6`."""
        ends = found.useful_ends
        half = "" if ends is None else f"± {self.show((ends[1] - ends[0]) / 2)}, "
        return f"{half}n = {found.n}"

    def told(self, found: Estimate) -> str:
        """`12.3 s ± 0.4 s, n = 6`."""
        detail = self.detail(found)
        return f"{self.show(found.value)}{' ' if detail.startswith('±') else ', '}{detail}"

    def values_at(self, axis: int, level: str) -> tuple[float, ...]:
        """The value of each run at a level of an axis."""
        found = zip(self.levels, self.values, strict=True)
        return tuple(value for of, values in found if of[axis] == level for value in values)

    def marks_at(self, axis: int, level: str) -> str:
        """How many runs at a level were contended, and how many cells are not finished."""
        here = [cell for of, cell in zip(self.levels, self.cells, strict=True) if of[axis] == level]
        contended, unfinished = sum(cell.contended for cell in here), sum(cell.is_unfinished for cell in here)
        told = [f"{units.counted(contended, 'run')} contended"] if contended else []
        return ", ".join(told + ([f"{units.counted(unfinished, 'cell')} unfinished"] if unfinished else []))


def _of_hosts(levels: tuple[str, ...], of: Sequence[Reading]) -> FactorCell:
    """A cell with one value a host, the mean of its runs."""
    by_host: dict[str | None, list[float]] = defaultdict(list)
    for reading in of:
        by_host[reading.host].append(reading.value)
    return FactorCell(levels, tuple(map(fmean, by_host.values())), tuple(by_host), len(of))
