"""Whether the machine itself became slower or faster, by kernels of its own, which no change of the code changes.

Where the clock can be read they are told in cycles too: what became slower in seconds and not in cycles is the clock's
doing, by heat, power or another governor; what became slower in both is a neighbour's, or the memory's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# Of the agent's answer to `reference`: NAME_s are seconds, NAME_hz the clock while it ran, None where that is hidden.
KERNELS = {"matrix_product": "a matrix product", "memory_copy": "a memory copy"}
# A change of theirs by this much is worth a word.
TOLD = 0.03

Reference = Mapping[str, float | None]


@dataclass(frozen=True)
class Drift:
    """By kernel, how much longer it takes now than then, as a fraction; `cycles` has those whose clock is known."""

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
        """What the cycles say of it, where there is something to explain."""
        moved = [name for name, change in self.seconds.items() if abs(change) > TOLD]
        if not moved:
            return ""
        if not all(name in self.cycles for name in moved):
            return "; whether that is its clock is not known, because the clock cannot be read here"
        if all(abs(self.cycles[name]) <= TOLD for name in moved):
            return "; in cycles nothing changed, so that it is the clock"
        return "; in cycles too, so that it is not the clock alone"


def between(then: Sequence[Reference], now: Sequence[Reference]) -> Drift:
    """From some readings to others, by their medians."""
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
