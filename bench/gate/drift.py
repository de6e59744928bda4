"""Drift of the machine itself, measured by reference kernels that do not depend on the code.

If the clock can be read, changes are also given in cycles: slower in seconds but not in cycles means a lower clock, by
heat, power or another governor; slower in both means a neighbour or the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.runs.slow_hosts import KERNELS, Reference

# A change by this much is reported.
TOLD = 0.03


@dataclass(frozen=True)
class Drift:
    """By kernel, the relative change of its time; `cycles` has the kernels whose clock is known."""

    seconds: Mapping[str, float]
    cycles: Mapping[str, float]

    def told(self, kernels: Sequence[str] = tuple(KERNELS)) -> str:
        """`a matrix product +4.0% (in cycles +0.1%)`, and so on."""
        return ", ".join(
            f"{KERNELS[name]} {self.seconds[name]:+.1%}"
            + (f" (in cycles {self.cycles[name]:+.1%})" if name in self.cycles else "")
            for name in kernels
            if name in self.seconds
        )

    @property
    def explained(self) -> str:
        """The explanation by the cycles, if there is something to explain."""
        moved = [name for name, change in self.seconds.items() if abs(change) > TOLD]
        if not moved:
            return ""
        if not all(name in self.cycles for name in moved):
            return "; whether that is its clock is not known, because the clock cannot be read here"
        if all(abs(self.cycles[name]) <= TOLD for name in moved):
            return "; in cycles nothing changed, so that it is the clock"
        return "; in cycles too, so that it is not the clock alone"


def between(then: Sequence[Reference], now: Sequence[Reference]) -> Drift:
    """The drift between the medians of two sets of readings."""
    before, after = middle(then), middle(now)

    def ratio(key: str) -> float | None:
        a, b = before.get(key), after.get(key)
        return b / a if a and b else None

    seconds = {name: ratio(f"{name}_s") for name in KERNELS}
    clocks = {name: ratio(f"{name}_hz") for name in KERNELS}
    return Drift(
        {name: one - 1 for name, one in seconds.items() if one is not None},
        {name: one * clock - 1 for name, one in seconds.items() if one is not None and (clock := clocks[name])},
    )


def middle(references: Sequence[Reference]) -> dict[str, float]:
    """The median of each number that all readings have."""
    keys = [f"{name}_{unit}" for name in KERNELS for unit in ("s", "hz")]
    found = {}
    for key in keys:
        values = [value for one in references if (value := one.get(key))]
        if values and len(values) == len(references):
            found[key] = median(values)
    return found
