"""Remove a baseline."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.cli.baselines import Name
from bench.cli.options import Results
from bench.gate import baseline as baselines
from bench.text.console import say

EPILOG = "Exit codes: 0 it is removed; 2 wrong usage, or not exactly one baseline has such a name."


def drop(name: Name, console: Console, results: Results = Path("results")) -> None:
    """Raises UsageError for a name that means none, or several."""
    path = baselines.named(results / "baselines", name)
    path.unlink()
    say(console, f"{path} is gone")
