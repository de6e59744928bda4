"""What `bench check` and `bench import` say of DAWNBench entries in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.exchange import dawnbench
from bench.exchange.dawnbench import ReadEntry
from bench.exchange.entry import InferenceEntry
from bench.text import units
from bench.text.console import say

MOST_UNREAD_NAMED = 5

Entries = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="The .json or .tsv file of an entry, or a folder of entries.")
]


def say_unread(paths: Sequence[Path], console: Console) -> None:
    """What in the folders was passed over, a line each for the first."""
    unread = dawnbench.unread(paths)
    for path in unread[:MOST_UNREAD_NAMED]:
        say(console, f"{path}: not read; an entry is a .json file, with a .tsv file of the same stem for training")
    if len(unread) > MOST_UNREAD_NAMED:
        say(console, f"… and {len(unread) - MOST_UNREAD_NAMED} more files that are no entries")


def verdict(reading: ReadEntry) -> str:
    """A line: whether it is valid, and what it claims."""
    entry = reading.entry
    if reading.other_task is not None:
        return f"{reading.path}: another task, {reading.other_task}; only those of CIFAR10 are read here"
    if entry is None:
        return f"{reading.path}: invalid"
    if isinstance(entry, InferenceEntry):
        cost = "" if entry.cost_usd is None else f", {units.dollars(entry.cost_usd * 10_000)} for 10,000 images"
        return f"{reading.path}: valid: {entry.latency_ms:g} ms an image at {entry.top1_percent:.2f} %{cost}"
    cost = "" if entry.cost_usd is None else f", {units.dollars(entry.cost_usd)}"
    row = entry.result
    return (
        f"{reading.path}: valid: {row.top1_percent:.2f} % in {units.duration(entry.time_s)}{cost}, epoch {row.epoch:g}"
    )
