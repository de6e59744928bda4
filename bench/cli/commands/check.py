"""Check DAWNBench entries: say what each claims, or everything that is wrong with it."""

from __future__ import annotations

from bench.cli.entries import Entries, say_unread, verdict
from bench.exchange import dawnbench
from bench.text.console import LastingConsole, say


def check(files: Entries) -> int:
    """Raises `UsageError` for a path that is not an entry."""
    console = LastingConsole()
    readings = [dawnbench.read(path) for path in dawnbench.find(files)]
    say_unread(files, console)
    for reading in readings:
        say(console, verdict(reading))
        for error in reading.errors:
            say(console, f"  error: {error}")
        for warning in reading.warnings:
            say(console, f"  warning: {warning}")
    others = sum(reading.other_task is not None for reading in readings)
    invalid = sum(reading.entry is None for reading in readings) - others
    valid = len(readings) - invalid - others
    say(console, f"{valid} valid, {invalid} invalid{f', {others} of other tasks' if others else ''}")
    return 1 if invalid or not valid else 0
