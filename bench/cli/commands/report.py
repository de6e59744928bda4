"""Write all that was measured as a folder of pages that need no server: leaderboards, plots, every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.commands.leaderboard import read_all, write
from bench.cli.options import Results, RunFiles
from bench.errors import MissingError, UsageError
from bench.host.gc_pause import collector_paused
from bench.report.html.pages import site
from bench.text import units
from bench.text.console import LastingConsole, say

# Where a report is, below the results.
FOLDER = "report"
START = "index.html"
# What the foot of every page says.
SIGNATURE = "Made by <code>bench report</code>"


def report(
    files: RunFiles = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder, by default `report` below --results; begin with its index.html.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Pages that are there are replaced.

    Raises UsageError for a folder of something else, MissingError where it cannot be written.
    """
    folder = out or results / FOLDER
    if folder.exists() and not _is_ours(folder):
        raise UsageError(f"--out {folder}: there is something else already; name a new folder, or an older report's")
    _make(folder)
    with collector_paused():
        runs, records = read_all(files or (), results)
        made = site(runs, records, results)
        for name, content in made.items():
            write(folder / name, content)
    read = f"{units.counted(len(runs), 'run')} and {units.counted(len(records), 'record')}"
    say(LastingConsole(), f"{read} in {len(made)} files; open {folder / START}")


def _is_ours(out: Path) -> bool:
    """Whether it is an older report, or an empty folder; another site has an index.html too."""
    try:
        if not (out / START).exists():
            return not any(out.iterdir())
        return SIGNATURE in (out / START).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _make(out: Path) -> None:
    """The folder, before the work that would be lost without it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"cannot write {out}: {error.strerror}; name another folder with --out") from None
