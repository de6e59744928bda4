"""Show all that a baseline holds."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.cli.baselines import Name, code_of, noise_of
from bench.cli.options import Results
from bench.gate import baseline as baselines
from bench.gate.quantity import QUANTITIES
from bench.runs.slow_hosts import KERNELS
from bench.statistics.estimates import median
from bench.text import units
from bench.text.console import say

EPILOG = "Exit codes: 0 fine; 2 wrong usage, or not exactly one baseline has such a name; 3 it cannot be read."


def show(name: Name, console: Console, results: Results = Path("results")) -> None:
    """Raises UsageError for a name that means none, or several."""
    one = baselines.read(baselines.named(results / "baselines", name))
    say(console, f"{one.name}: saved {one.saved_at}, of code {code_of(one)}")
    say(console, "machine: " + ", ".join(f"{key} {value}" for key, value in one.machine.items() if value is not None))
    if one.versions:
        say(console, "packages: " + ", ".join(f"{name} {version}" for name, version in one.versions.items()))
    for label in dict.fromkeys(result.label for result in one.results):
        runs = [result for result in one.results if result.label == label]
        say(console, f"{label}: {len(runs)} runs")
        for quantity in QUANTITIES[runs[0].measure]:
            values = [result.metrics[quantity.metric] for result in runs if result.metrics]
            known = [value for value in values if value is not None]
            if known:
                found = median(known)
                ends = f" [{quantity.show(found.low)}, {quantity.show(found.high)}]" if found.low is not None else ""
                say(console, f"  {quantity.name}: median {quantity.show(found.value)}{ends}, n = {found.n}")
    say(console, f"noise: {noise_of(one)}")
    told = [f"{kernel} {units.duration(one.reference[f'{name}_s'])}" for name, kernel in KERNELS.items()]
    clock_hz = max((value for key, value in one.reference.items() if key.endswith("_hz")), default=None)
    clock = f"{clock_hz / 1e9:.2f} GHz" if clock_hz else "not visible"
    say(console, f"the machine itself: {', '.join(told)}; its clock: {clock}")
