"""How often 95 % intervals of runs on several hosts cover the truth, with and without the hosts.

    python -m tools.host_intervals docs/host_intervals.md

Draws times whose variance lies between hosts and between runs in known shares, and counts in how many draws the
interval contains the true mean: as `bench` computes it, where each host counts once, and as if all runs were
independent. Takes less than a minute, and gives the same page every time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.statistics import clustered, estimates
from bench.statistics.estimates import Estimate
from bench.statistics.reading import Reading

TRUTH = 100.0
DRAWS = 4000
HOSTS = (3, 4, 6, 12, 24)
# Of the variance of two recipes' times, measured by others on rented hosts, and of hosts that hardly differ.
SHARES = (0.81, 0.92, 0.0)
RUNS_OF_A_HOST = 8
# So many runs a host, again and again, where hosts have unequal numbers.
UNEQUAL = (2, 14, 5, 11)


@dataclass(frozen=True)
class Design:
    """Runs on hosts: their numbers on each, and the shares of the variance between hosts and between seeds.

    With `same_seeds` each host runs the same seeds, else each run has its own.
    """

    runs: tuple[int, ...]
    of_hosts: float
    of_seeds: float = 0.0
    same_seeds: bool = False

    def readings(self, rng: np.random.Generator) -> list[Reading]:
        """One draw."""
        total = sum(self.runs)
        hosts = np.repeat(np.arange(len(self.runs)), self.runs)
        seeds = np.concatenate([np.arange(count) for count in self.runs]) if self.same_seeds else np.arange(total)
        values = (
            TRUTH
            + self.of_hosts**0.5 * rng.normal(size=len(self.runs))[hosts]
            + self.of_seeds**0.5 * rng.normal(size=total)[seeds]
            + (1 - self.of_hosts - self.of_seeds) ** 0.5 * rng.normal(size=total)
        )
        return [Reading(float(v), f"host {h}", int(s)) for v, h, s in zip(values, hosts, seeds, strict=True)]


@dataclass(frozen=True)
class Coverage:
    """The shares of draws whose interval contains the truth."""

    by_host: float
    as_if_independent: float


def coverage(design: Design, draws: int, seed: int = 0) -> Coverage:
    rng = np.random.default_rng(seed)
    held = np.zeros(2)
    for _ in range(draws):
        readings = design.readings(rng)
        plain = estimates.mean([reading.value for reading in readings])
        held += [_holds(clustered.mean(readings)), _holds(plain)]
    return Coverage(*(float(count) / draws for count in held))


def _holds(estimate: Estimate) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= TRUTH <= estimate.high


def designs() -> list[tuple[str, Design]]:
    """What is simulated, each with its name."""
    found = []
    for share in SHARES:
        for hosts in HOSTS:
            equal = (RUNS_OF_A_HOST,) * hosts
            unequal = tuple(UNEQUAL[host % len(UNEQUAL)] for host in range(hosts))
            found += [(f"{RUNS_OF_A_HOST} each", Design(equal, share))]
            found += [(f"{min(unequal)} to {max(unequal)}", Design(unequal, share))]
    for hosts in HOSTS:
        equal = (RUNS_OF_A_HOST,) * hosts
        found.append((f"the same {RUNS_OF_A_HOST} seeds", Design(equal, 0.5, 0.3, same_seeds=True)))
        found.append((f"the same {RUNS_OF_A_HOST} seeds", Design(equal, 0.0, 0.9, same_seeds=True)))
    return found


def page(draws: int = DRAWS) -> str:
    lines = [
        "# Intervals over hosts, by simulation",
        "",
        f"Written by `python -m tools.host_intervals`, with {draws:,} draws of normal times a row. A 95 % interval",
        "should contain the true mean in 95 % of them. [hosts.md](hosts.md) says how the intervals are made.",
        "",
        "| Hosts | Runs on a host | Variance between hosts | Between seeds | Each host counts once | All independent |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for name, design in designs():
        found = coverage(design, draws)
        shares = f"{design.of_hosts:.0%} | {design.of_seeds:.0%}"
        told = f"{found.by_host:.1%} | {found.as_if_independent:.1%}"
        lines.append(f"| {len(design.runs)} | {name} | {shares} | {told} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> Any:
    """Write the page to the file that is named, or print it."""
    text = page()
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
